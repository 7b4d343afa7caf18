//! Who may do what: the proxy, which reads what strangers send, may do next to nothing.

use crate::harness::{App, Portreeve, Running, SOON, process, until, worker};

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

/// What a worker's shell prints of itself before it serves.
const BOUNDS: &str = "echo umask $(umask), nice $(nice), score $(cat /proc/self/oom_score_adj), \
                      files $(ulimit -Sn) $(ulimit -Hn), core $(ulimit -c), \
                      frozen $(grep NoNewPrivs /proc/self/status | cut -f2)";

fn with_limits(app: App) -> App {
    let limits = toml::toml! { open_files = { soft = 200, hard = 300 } core = "0B" };
    app.set("umask", "027").set("nice", 7).set("oom_score_adj", 321).set("no_new_privs", true).set("limits", limits)
}

#[test]
fn workers_are_bound_as_the_file_says() {
    let running = Portreeve::new().app("web", with_limits(worker().after(BOUNDS))).start();
    let line = running.output().line(&["web 1.0", "umask"]);
    assert!(line.ends_with("umask 0027, nice 7, score 321, files 200 300, core 0, frozen 1"), "{line}");
    let worker = running.pids("web", 1)[0];
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().collect::<Vec<_>>()[3..5], ["200", "300"], "{limits}");
}

#[test]
fn as_root_workers_have_the_groups_that_they_were_given() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give up privileges");
        return;
    }
    let app = worker().set("user", NOBODY).set("group", "4242").set("groups", vec!["4343", "daemon"]);
    let running = Portreeve::new().app("web", app).start();
    let worker = running.pids("web", 1)[0];
    assert_eq!(process::status_field(worker, "Gid").as_deref(), Some("4242\t4242\t4242\t4242"));
    let groups = process::status_field(worker, "Groups").unwrap();
    let mut groups: Vec<&str> = groups.split_whitespace().collect();
    groups.sort_unstable();
    assert_eq!(groups, ["1", "4242", "4343"], "nothing of root, nothing of the user's own");
}

/// Portreeve as `nobody`, who may do nothing.
fn powerless(app: App) -> Option<Running> {
    if !rustix::process::geteuid().is_root() || !crate::tools::need("setpriv") {
        eprintln!("skipped: only root can give up privileges");
        return None;
    }
    let portreeve = Portreeve::new();
    let words = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all"];
    let words = words.map(str::to_owned);
    std::os::unix::fs::chown(portreeve.path(), Some(65534), Some(65534)).unwrap();
    Some(portreeve.launched_by(&words).app("web", app).launch())
}

#[test]
fn what_is_not_permitted_is_named_by_check_and_by_the_start_that_fails() {
    for (key, value, step) in [
        ("nice", toml::Value::from(-5), "set nice -5"),
        ("oom_score_adj", (-500).into(), "set oom_score_adj -500"),
        ("user", "root".into(), "setgroups 0 (user root)"),
    ] {
        let Some(running) = powerless(worker().set(key, value)) else { return };
        let failure = until(SOON, "the start fails", || running.status().app("web").last_failure.clone());
        assert!(failure.contains("could not be started: ") && failure.contains(step), "{failure}");
        let warned = running.output().stderr();
        assert!(warned.contains("takes the rights of root"), "{warned}");
    }
}

#[test]
fn users_and_groups_that_do_not_exist_are_errors_of_check() {
    let mut running = Portreeve::new().app("web", worker()).start();
    for (key, word) in [("user", "no user named"), ("group", "no group named")] {
        running.configure(&format!("app.web.{key}"), "no-such-name");
        let said = running.cli(&["check"]);
        assert_eq!(said.code, 78, "{}", said.text);
        assert!(said.text.contains(word), "{}", said.text);
        running.configure(&format!("app.web.{key}"), "root");
    }
}
