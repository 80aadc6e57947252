//! An offer allocates nothing of its own once the queue has its size.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use obs_delivery::{Delivery, Framing, Message};
use obs_model::Accepted;
use support::{Scripted, config, settle};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it is; the count, which neither allocates nor unwinds, is
// all that is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`, and `pointer` came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_allocates_nothing_once_the_queue_has_its_size() {
    let builder = Delivery::builder(config()).encoder(Framing::lines());
    let delivery = builder.endpoint("only", Scripted::default()).start().unwrap();
    for round in 0..5 {
        let before = COUNT.get();
        for _ in 0..500 {
            let message = Message::new(Bytes::from_static(b"a line"));
            assert_eq!(delivery.offer(message), Accepted::Taken);
        }
        let allocations = COUNT.get() - before;
        assert!(round == 0 || allocations == 0, "{allocations} in round {round}");
        let flush = delivery.flush(std::time::Duration::from_secs(5)).await;
        assert!(flush.is_complete);
        settle().await;
    }
}
