//! The counting allocator as the global one, with threads that come and go.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use obs_metrics::Registry;
use obs_metrics::collect::{Allocations, Collectors, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::system();

const BLOCK: usize = 1 << 16;

fn now() -> Allocations {
    Allocations::now().unwrap()
}

/// Runs each of `tasks` on a thread of its own, all at once, and waits until the threads themselves have ended: the end
/// of a scope only waits for what runs on them, and a thread frees its own bookkeeping after that.
fn run_to_their_ends(tasks: impl IntoIterator<Item = impl FnOnce() + Send>) {
    thread::scope(|scope| {
        let threads: Vec<_> = tasks.into_iter().map(|task| scope.spawn(task)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// One test, because the totals are of the whole process.
#[test]
fn every_block_is_counted_once_whichever_thread_allocates_frees_or_ends() {
    // More threads than there are slots, all alive at once, again and again.
    for _ in 0..3 {
        let before = now();
        let barrier = Barrier::new(300);
        run_to_their_ends((0..300).map(|_| {
            || {
                let blocks: Vec<_> = (0..10).map(|_| vec![1_u8; BLOCK]).collect();
                barrier.wait();
                drop(black_box(blocks));
            }
        }));
        let after = now();
        assert!(after.allocations - before.allocations >= 3_000);
        assert!(after.allocated_bytes - before.allocated_bytes >= 3_000 * BLOCK as u64);
        // What is left belongs to the test harness and to the threads' own bookkeeping.
        assert!(
            after.live_bytes() < before.live_bytes() + 10 * BLOCK as u64,
            "{before:?} {after:?}"
        );
    }

    // Blocks that one thread allocates and others free.
    let before = now();
    let blocks: Vec<_> = (0..64).map(|_| vec![1_u8; BLOCK]).collect();
    assert!(now().live_bytes() >= before.live_bytes() + 64 * BLOCK as u64);
    run_to_their_ends(blocks.into_iter().map(|block| move || drop(black_box(block))));
    assert!(now().live_bytes() < before.live_bytes() + BLOCK as u64);

    // A block that grows in place or moves is as large as it is now.
    let before = now();
    let mut block = Vec::<u8>::with_capacity(BLOCK);
    for power in 1..=4 {
        block.reserve_exact(BLOCK << power);
    }
    let grown = now().live_bytes() - before.live_bytes();
    assert!((BLOCK as u64 * 16..BLOCK as u64 * 17).contains(&grown), "{grown}");
    drop(black_box(block));

    // The registry shows it.
    let registry = Registry::default();
    Collectors::standard(&registry).refresh();
    let live = registry.value("allocator_live_bytes", &[]).unwrap();
    assert!(live > 0.0 && live <= registry.value("allocator_allocated_bytes_total", &[]).unwrap());
    let of_type = registry.value("memory_usage_bytes", &[("type", "heap_live")]).unwrap();
    assert!((of_type - live).abs() < 10e6, "{of_type} {live}");
}
