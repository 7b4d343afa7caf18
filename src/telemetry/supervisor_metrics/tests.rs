use super::super::exposition::render;
use super::super::strict_text;
use super::*;

const STATES: [&str; 3] = ["starting", "serving", "draining"];

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|known| known == *line), "no {line} in\n{text}");
    }
}

#[test]
fn the_exposition_is_valid_and_complete_from_the_start() {
    let text = render(SupervisorMetrics::new().gather(&Picture::default()));
    strict_text::accept(&text);
    assert_lines(
        &text,
        &[
            "portreeve_reload_seconds_bucket{le=\"+Inf\"} 0",
            "portreeve_proxies 0",
            "portreeve_proxy_restarts_total 0",
            "portreeve_self_emptied_total 0",
            "portreeve_promote_ungated_total 0",
            "portreeve_fd_unclaimed_total 0",
            "portreeve_generation_leaked_total 0",
            concat!("portreeve_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ],
    );
}

#[test]
fn a_worker_shows_one_for_its_state_and_zero_for_the_others() {
    let (web, api) = (app("web"), app("api"));
    let worker = |app, slot, state| Worker { app, slot: Slot(slot), state, in_flight: 2 };
    let picture = Picture {
        states: &STATES,
        workers: vec![
            worker(&web, 1, "starting"),
            worker(&web, 0, "draining"),
            worker(&web, 0, "serving"),
            worker(&api, 0, "serving"),
        ],
        app_states: &["running", "crash-looping"],
        apps: vec![(&web, "crash-looping")],
        panics: vec![(&web, true), (&api, false)],
        generations: vec![(&web, Generation(12)), (&api, Generation(1))],
        proxies: 2,
        jobs: vec![
            Job { app: &web, last_success: Some(1.5), next: None },
            Job { app: &api, last_success: None, next: Some(2.0) },
        ],
    };
    let text = render(SupervisorMetrics::new().gather(&picture));
    strict_text::accept(&text);
    assert_lines(
        &text,
        &[
            "portreeve_worker_state{app=\"web\",slot=\"0\",state=\"starting\"} 0",
            "portreeve_worker_state{app=\"web\",slot=\"0\",state=\"serving\"} 1",
            "portreeve_worker_inflight{app=\"web\",slot=\"0\"} 4",
            "portreeve_worker_inflight{app=\"api\",slot=\"0\"} 2",
            "portreeve_worker_state{app=\"web\",slot=\"0\",state=\"draining\"} 1",
            "portreeve_worker_state{app=\"web\",slot=\"1\",state=\"starting\"} 1",
            "portreeve_worker_state{app=\"api\",slot=\"0\",state=\"serving\"} 1",
            "portreeve_app_state{app=\"web\",state=\"crash-looping\"} 1",
            "portreeve_app_state{app=\"web\",state=\"running\"} 0",
            "portreeve_panic_routing{app=\"web\"} 1",
            "portreeve_panic_routing{app=\"api\"} 0",
            "portreeve_generation{app=\"web\"} 12",
            "portreeve_proxies 2",
            "portreeve_job_last_success_timestamp_seconds{app=\"web\"} 1.5",
            "portreeve_job_next_run_timestamp_seconds{app=\"api\"} 2",
        ],
    );
    assert_eq!(text.matches("portreeve_worker_state{").count(), 9);
}

#[test]
fn a_slot_that_is_no_more_leaves_no_series_behind() {
    let (metrics, web) = (SupervisorMetrics::new(), app("web"));
    let picture = |slots: u32| Picture {
        states: &STATES,
        workers: (0..slots).map(Slot).map(|slot| Worker { app: &web, slot, state: "serving", in_flight: 0 }).collect(),
        ..Picture::default()
    };
    assert!(render(metrics.gather(&picture(2))).contains("slot=\"1\""));
    assert!(!render(metrics.gather(&picture(1))).contains("slot=\"1\""));
}

#[test]
fn events_are_counted_by_app_and_reason() {
    let (metrics, web) = (SupervisorMetrics::new(), app("web"));
    metrics.worker_restarted(&web, "crash");
    metrics.worker_restarted(&web, "crash");
    metrics.workers_recycled(&web, "max-age", 3);
    metrics.worker_finished(&web, Slot(1), 7);
    metrics.reload_live(&web, "live", Duration::from_millis(700));
    metrics.reload_failed(&web, "aborted");
    metrics.proxy_restarted();
    metrics.worker_ended(&web, "crashed", false);
    metrics.worker_ended(&web, "crashed", true);
    metrics.jobs().ended(&web, "failed");
    metrics.jobs().missed(&web);
    metrics.invariants().drain_forced("worker");
    metrics.clone().invariants().self_emptied.inc();
    let text = render(metrics.gather(&Picture::default()));
    strict_text::accept(&text);
    assert_lines(
        &text,
        &[
            "portreeve_worker_restarts_total{app=\"web\",reason=\"crash\"} 2",
            "portreeve_recycles_total{app=\"web\",reason=\"max-age\"} 3",
            "portreeve_worker_requests_total{app=\"web\",slot=\"1\"} 7",
            "portreeve_worker_exits_total{app=\"web\",cause=\"crashed\"} 2",
            "portreeve_worker_oom_total{app=\"web\"} 1",
            "portreeve_reloads_total{app=\"web\",outcome=\"live\"} 1",
            "portreeve_reloads_total{app=\"web\",outcome=\"aborted\"} 1",
            "portreeve_reload_seconds_bucket{le=\"0.5\"} 0",
            "portreeve_reload_seconds_bucket{le=\"1\"} 1",
            "portreeve_reload_seconds_count 1",
            "portreeve_proxy_restarts_total 1",
            "portreeve_drain_forced_total{kind=\"worker\"} 1",
            "portreeve_self_emptied_total 1",
        ],
    );
}
