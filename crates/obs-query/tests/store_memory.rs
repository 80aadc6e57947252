//! What a store says that it takes, beside what the allocator gave it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

use obs_model::{Labels, Timestamp};
use obs_query::{Queryable, SeriesStore, StoreConfig, TimeRange};

/// Counts what is allocated at present, with what an allocator adds to each piece.
struct Counting;

static PRESENT: AtomicI64 = AtomicI64::new(0);

fn count(size: usize, sign: i64) {
    let whole = (size + 8).next_multiple_of(16).max(32);
    PRESENT.fetch_add(sign * i64::try_from(whole).unwrap_or(i64::MAX), Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it came; counting touches an atomic only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

#[test]
fn what_a_store_says_that_it_takes_is_what_the_allocator_gave() {
    let config = StoreConfig { max_series: 3_000, max_bytes: usize::MAX, ..StoreConfig::default() };
    let before = PRESENT.load(Ordering::Relaxed);
    let store = SeriesStore::new(config);
    let labels = |index: usize| {
        Labels::new([
            ("__name__", "http_requests_total"),
            ("instance", &format!("10.0.0.{}:9090", index % 30)),
            ("route", &format!("/r{}", index / 30)),
            ("status", "200"),
        ])
    };
    let ids: Vec<_> =
        (0..3_000).map(|index| store.resolve(&labels(index).unwrap()).unwrap()).collect();
    let mut batch: Vec<_> = ids.iter().map(|id| (*id, 0.0)).collect();
    for (tick, step) in [(10, 40), (250, 400), (700, 700)] {
        for tick in tick..tick + step {
            for (index, (_, value)) in batch.iter_mut().enumerate() {
                // Counters, readings with a fraction, noise, and what stays the same.
                *value = match index % 4 {
                    0 => (tick * index + index % 7) as f64,
                    1 => (tick * 7 % 100) as f64 / 10.0,
                    2 => ((tick * index) as f64).sin(),
                    _ => 1.0,
                };
            }
            let at = i64::try_from(tick).unwrap() * 5_000;
            assert_eq!(store.append_batch(Timestamp::from_millis(at), &batch).appended, 3_000);
        }
        let selector = "http_requests_total".parse().unwrap();
        assert_eq!(store.series(&selector, TimeRange::all()).len(), 3_000);
        let ours = (ids.capacity() * 8 + batch.capacity() * 16) as i64;
        let given = PRESENT.load(Ordering::Relaxed) - before - ours;
        let said = i64::try_from(store.stats().bytes).unwrap();
        let off = (said - given).abs() as f64 / given as f64;
        assert!(off < 0.15, "after {tick} ticks: {said} is said and {given} was given");
    }
}
