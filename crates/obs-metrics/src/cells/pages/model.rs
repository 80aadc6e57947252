//! Models of how pages change hands, run under loom over every order in which the steps can happen.
//!
//! `RUSTFLAGS="--cfg obskit_loom" CARGO_TARGET_DIR=target/loom cargo test --release -p obs-metrics --lib model`

use loom::sync::Arc;
use loom::thread;

use super::{CELLS, Home, Pool, Writer, add_float};
use crate::sync::{AtomicU64, Ordering};

/// A home that lives for ever, as the real ones do; a model leaks a few hundred bytes for each order it tries.
fn home(max_bytes: usize) -> &'static Home {
    let pool: &'static Pool = Box::leak(Box::new(Pool::new(max_bytes)));
    Box::leak(Box::new(Home::new(pool, 0)))
}

/// What `local::with` does, with a writer in place of the thread-local one.
fn record(writer: &mut Writer, home: &'static Home, offset: usize, value: u64) {
    // SAFETY: the writer outlives the reference.
    match unsafe { writer.touch(home).as_ref() } {
        Some(page) => {
            let cell = &page.cells()[offset];
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
        }
        None => {
            home.cells()[offset].fetch_add(value, Ordering::Relaxed);
        }
    }
}

fn total(home: &Home) -> u64 {
    home.total(0, &home.pool().read())
}

#[test]
fn a_gather_beside_the_end_of_a_thread_sees_each_increment_once() {
    loom::model(|| {
        let home = home(usize::MAX);
        let writer = thread::spawn(move || {
            let mut writer = Writer::new();
            record(&mut writer, home, 0, 1);
            record(&mut writer, home, 0, 2);
        });
        let (first, second) = (total(home), total(home));
        assert!([0, 1, 3].contains(&first) && [0, 1, 3].contains(&second) && first <= second);
        writer.join().unwrap();
        assert_eq!(total(home), 3);
    });
}

#[test]
fn two_threads_that_come_and_go_at_once_lose_nothing() {
    loom::model(|| {
        let home = home(usize::MAX);
        let threads = [1, 2].map(|value| {
            thread::spawn(move || {
                let mut writer = Writer::new();
                record(&mut writer, home, 0, value);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(total(home), 3);
    });
}

#[test]
fn a_gather_beside_two_threads_that_come_and_go_sees_whole_increments() {
    let mut model = loom::model::Builder::new();
    // Three threads have too many orders to try all; faults of this sort show with two preemptions.
    model.preemption_bound = Some(2);
    model.check(|| {
        let home = home(usize::MAX);
        let threads = [1, 2].map(|value| {
            thread::spawn(move || {
                let mut writer = Writer::new();
                record(&mut writer, home, 0, value);
            })
        });
        let (first, second) = (total(home), total(home));
        assert!(first <= second && second <= 3);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(total(home), 3);
    });
}

#[test]
fn a_page_between_two_others_is_taken_out_and_the_others_stay() {
    loom::model(|| {
        let home = home(usize::MAX);
        let mut oldest = Writer::new();
        record(&mut oldest, home, 0, 1);
        let middle = thread::spawn(move || {
            let mut middle = Writer::new();
            record(&mut middle, home, 0, 2);
        });
        let mut newest = Writer::new();
        record(&mut newest, home, 0, 4);
        middle.join().unwrap();
        assert_eq!(total(home), 7);
        drop(oldest);
        assert_eq!(total(home), 7);
        drop(newest);
        assert_eq!(total(home), 7);
    });
}

#[test]
fn beyond_the_budget_the_shared_cell_takes_the_increments() {
    loom::model(|| {
        let home = home(0);
        let threads = [1, 2].map(|value| {
            thread::spawn(move || {
                let mut writer = Writer::new();
                record(&mut writer, home, 0, value);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(total(home), 3);
    });
}

#[test]
fn a_cell_that_is_given_out_again_starts_at_zero_for_every_thread() {
    loom::model(|| {
        let home = home(usize::MAX);
        // The two handles of a series: the last one dropped clears the cell for the next series.
        let handle = Arc::new(AtomicU64::new(2));
        let give_back = move |handle: &AtomicU64| {
            if handle.fetch_sub(1, Ordering::AcqRel) == 1 {
                home.clear(0, &home.pool().read());
                true
            } else {
                false
            }
        };
        let other = Arc::clone(&handle);
        let thread = thread::spawn(move || {
            let mut writer = Writer::new();
            record(&mut writer, home, 0, 5);
            let last = give_back(&other);
            // The cell beside it belongs to another series and is not touched.
            record(&mut writer, home, CELLS - 1, 1);
            if last {
                record(&mut writer, home, 0, 7);
            }
            last
        });
        let mut writer = Writer::new();
        record(&mut writer, home, 0, 5);
        let last = give_back(&handle);
        if last {
            record(&mut writer, home, 0, 7);
        }
        let other_last = thread.join().unwrap();
        assert!(last != other_last);
        assert_eq!(total(home), 7);
        assert_eq!(home.total(CELLS - 1, &home.pool().read()), 1);
    });
}

#[test]
fn a_float_is_moved_as_a_float() {
    loom::model(|| {
        let home = home(usize::MAX);
        home.mark(0, true);
        let thread = thread::spawn(move || {
            let mut writer = Writer::new();
            record(&mut writer, home, 0, 0.5_f64.to_bits());
        });
        add_float(&home.cells()[0], 0.25);
        thread.join().unwrap();
        assert_eq!(home.float_total(0, &home.pool().read()).to_bits(), 0.75_f64.to_bits());
    });
}
