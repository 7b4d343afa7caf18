//! Who may do what: the proxy, which reads what strangers send, may do next to nothing.

use crate::harness::{Portreeve, process, worker};

const NOBODY: &str = "nobody";

/// User and group of a process, each real, effective, saved and for files.
fn identity(pid: u32) -> [Option<String>; 2] {
    ["Uid", "Gid"].map(|field| process::status_field(pid, field))
}

#[test]
fn the_proxy_may_not_start_programs() {
    let running = Portreeve::new().app("web", worker()).start();
    let proxy = running.proxy();
    assert_eq!(process::status_field(proxy, "Seccomp").as_deref(), Some("2"), "a filter is in force");
    assert_eq!(process::status_field(proxy, "NoNewPrivs").as_deref(), Some("1"));
    for thread in process::threads(proxy) {
        assert_eq!(process::status_field(thread, "Seccomp").as_deref(), Some("2"), "also on thread {thread}");
    }
    assert!(running.get("/fork").json()["pid"].is_u64(), "workers may");
}

#[test]
fn as_root_the_proxy_and_the_workers_run_as_the_users_they_were_given() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give up privileges");
        return;
    }
    let app = worker().workers(2).set("user", NOBODY);
    let running = Portreeve::new().set("proxy.user", NOBODY).app("web", app).start();
    let expected = nobody().map(|id| Some([id.as_str(); 4].join("\t")));
    let proxy = running.proxy();
    assert_eq!(identity(proxy), expected);
    assert_eq!(process::status_field(proxy, "CapEff").as_deref(), Some("0000000000000000"));
    for worker in running.pids("web", 2) {
        assert_eq!(identity(worker), expected);
        assert_eq!(process::status_field(worker, "CapEff").as_deref(), Some("0000000000000000"));
    }
    assert_eq!(running.get("/whoami").status, 200);
    running.reload_live();
    assert_eq!(running.get("/whoami").generation(), Some(2));
    let successor = running.proxy_after(running.kill_proxy());
    assert_eq!(identity(successor), expected);
}

/// User and group id of `nobody`.
fn nobody() -> [String; 2] {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("nobody:")).expect("every system has nobody");
    let mut fields = line.split(':').skip(2).map(str::to_owned);
    [fields.next().unwrap(), fields.next().unwrap()]
}

#[test]
fn strangers_do_not_get_at_the_admin_socket() {
    use std::os::unix::fs::PermissionsExt;
    let running = Portreeve::new().app("web", worker()).start();
    let path = running.site("web").release().ancestors().nth(2).unwrap().join("admin.sock");
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
