//! Threads that come and go: nothing is lost, nothing counted twice.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use metrics::{Counter, counter, histogram, with_local_recorder};
use obs_metrics::Registry;

/// Eight workers record `each` increments, each worker through `lives` threads one after the other, while another
/// thread reads all the time.
fn check(each: u64, lives: u64) {
    let registry = Registry::default();
    let shared = registry.counter("handle_total", &[]);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut before = 0.0;
            while !ended.load(Ordering::Relaxed) {
                let now = registry.value("handle_total", &[]).unwrap();
                assert!(now >= before, "a total fell from {before} to {now}");
                assert!(now <= (8 * each) as f64, "{now} is more than was recorded");
                before = now;
            }
        });
        let workers: Vec<_> = (0..8_u64)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..lives {
                        thread::scope(|life| {
                            life.spawn(|| record(&registry, &shared, each / lives));
                        });
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        ended.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    let all = Some((8 * each) as f64);
    assert_eq!(registry.value("handle_total", &[]), all);
    assert_eq!(registry.value("macro_total", &[("kind", "static")]), all);
    assert_eq!(registry.value("size_bytes_count", &[]), all);
    assert_eq!(registry.value("size_bytes_sum", &[]), all.map(|count| count * 300.0));
}

fn record(registry: &Registry, shared: &Counter, times: u64) {
    with_local_recorder(registry, || {
        for _ in 0..times {
            shared.increment(1);
            counter!("macro_total", "kind" => "static").increment(1);
            histogram!("size_bytes").record(300.0);
        }
    });
}

#[test]
fn eight_threads_that_die_and_are_made_anew_sum_exactly() {
    check(20_000, 50);
}

#[test]
fn eight_threads_of_ten_million_increments_with_threads_that_die_sum_exactly() {
    check(10_000_000, 100);
}

/// Records when it is dropped: at the end of its thread, after other thread-local values are gone.
struct Late(Option<(Registry, Counter)>);

impl Drop for Late {
    fn drop(&mut self) {
        if let Some((registry, counter)) = self.0.take() {
            counter.increment(1);
            with_local_recorder(&registry, || {
                counter!("late_macro_total").increment(1);
                histogram!("late_ms").record(1.0);
            });
        }
    }
}

thread_local! {
    static FIRST: RefCell<Late> = const { RefCell::new(Late(None)) };
    static LAST: RefCell<Late> = const { RefCell::new(Late(None)) };
}

#[test]
fn what_is_recorded_while_a_thread_ends_is_counted() {
    let registry = Registry::default();
    let counter = registry.counter("late_total", &[]);
    for early_use in [true, false] {
        for _ in 0..20 {
            let (registry, counter) = (registry.clone(), counter.clone());
            thread::spawn(move || {
                // Thread-local values are dropped in an order that depends on their first use, so one of these is
                // dropped before the recorder's own and one after it.
                let late = || Late(Some((registry.clone(), counter.clone())));
                FIRST.with(|first| *first.borrow_mut() = late());
                if early_use {
                    counter.increment(1);
                    with_local_recorder(&registry, || counter!("late_macro_total").increment(1));
                }
                LAST.with(|last| *last.borrow_mut() = late());
            })
            .join()
            .unwrap();
        }
    }
    assert_eq!(registry.value("late_total", &[]), Some(2.0 * 40.0 + 20.0));
    assert_eq!(registry.value("late_macro_total", &[]), Some(2.0 * 40.0 + 20.0));
    assert_eq!(registry.value("late_ms_count", &[]), Some(2.0 * 40.0));
}

#[test]
fn a_handle_that_moves_between_threads_records_in_each() {
    let registry = Registry::default();
    let (counter, sizes) = with_local_recorder(&registry, || {
        (Arc::new(counter!("moved_total")), Arc::new(histogram!("moved_bytes")))
    });
    counter.increment(1);
    for _ in 0..10 {
        let (counter, sizes) = (Arc::clone(&counter), Arc::clone(&sizes));
        thread::spawn(move || {
            counter.increment(2);
            sizes.record_many(500.0, 3);
        })
        .join()
        .unwrap();
    }
    assert_eq!(registry.value("moved_total", &[]), Some(21.0));
    assert_eq!(registry.value("moved_bytes_bucket", &[("le", "1024")]), Some(30.0));
}

#[test]
fn registries_that_come_and_go_do_not_mix_their_totals() {
    for round in 0..300_u64 {
        let registry = Registry::default();
        let handle = registry.counter("x_total", &[]);
        let sizes = registry.histogram("x_bytes", &[]);
        thread::scope(|scope| {
            scope.spawn(|| handle.increment(round));
            scope.spawn(|| sizes.record(256.0));
        });
        with_local_recorder(&registry, || counter!("x_total").increment(1));
        sizes.record(1.0);
        assert_eq!(registry.value("x_total", &[]), Some((round + 1) as f64));
        assert_eq!(registry.value("x_bytes_sum", &[]), Some(257.0));
    }
}

#[test]
fn an_absolute_total_and_increments_of_other_threads_add_up() {
    let registry = Registry::default();
    let counter = registry.counter("read_total", &[]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for total in 1..=5_000 {
                    counter.absolute(total);
                }
            });
        }
    });
    assert_eq!(registry.value("read_total", &[]), Some(5_000.0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| counter.increment(10));
        }
    });
    counter.absolute(5_020);
    assert_eq!(registry.value("read_total", &[]), Some(5_040.0));
}
