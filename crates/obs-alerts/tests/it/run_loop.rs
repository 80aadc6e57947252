//! The evaluation loop: exact times, start and stop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::Bench;
use obs_alerts::Rule;
use obs_model::Severity;
use tokio::time::Instant;

/// An engine with a rule that notes tokio's time, in milliseconds since the start, at each evaluation.
fn watched() -> (Bench, Arc<Mutex<Vec<u128>>>) {
    let bench = Bench::new();
    let (times, start) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
    let kept = Arc::clone(&times);
    let rule = Rule::closure("watch", "Watch", Severity::Info, move |_| {
        kept.lock().expect("no test panics here").push(start.elapsed().as_millis());
        Ok(false)
    });
    bench.engine.add_rule(rule).expect("a valid rule");
    (bench, times)
}

fn seen(times: &Mutex<Vec<u128>>) -> Vec<u128> {
    times.lock().expect("no test panics here").clone()
}

async fn minutes(count: u32) {
    tokio::time::sleep(Duration::from_secs(60) * count + Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_loop_evaluates_at_once_and_then_exactly_every_interval() {
    let (bench, times) = watched();
    let task = tokio::spawn(Arc::clone(&bench.engine).run_on_interval());
    minutes(3).await;
    assert_eq!(seen(&times), [0, 60_000, 120_000, 180_000]);
    task.abort();
    minutes(3).await;
    assert_eq!(seen(&times).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_started_loop_runs_once_until_it_is_stopped_and_can_start_again() {
    let (bench, times) = watched();
    let engine = &bench.engine;
    engine.start().expect("there is a runtime");
    engine.start().expect("there is a runtime");
    assert!(engine.is_running());
    minutes(1).await;
    assert_eq!(seen(&times).len(), 2);
    engine.stop();
    minutes(2).await;
    assert!(!engine.is_running());
    assert_eq!(seen(&times).len(), 2);
    engine.start().expect("there is a runtime");
    minutes(1).await;
    assert_eq!(seen(&times).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_started_loop_does_not_keep_the_engine_alive() {
    let (bench, _) = watched();
    bench.engine.start().expect("there is a runtime");
    minutes(1).await;
    let engine = Arc::downgrade(&bench.engine);
    drop(bench);
    assert!(engine.upgrade().is_none());
}

#[test]
fn without_a_runtime_the_loop_cannot_start() {
    let error = Bench::new().engine.start().unwrap_err();
    assert!(error.is_no_runtime(), "{error}");
}
