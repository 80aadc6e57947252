//! Which message goes when there is no room, and that threads lose none.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use obs_delivery::{BatchConfig, Delivery, DeliveryConfig, Framing, Message, Overflow, Priority};
use obs_model::{Accepted, DropReason};
use proptest::prelude::*;
use support::{Scripted, Step, config, settle};

const SECOND: Duration = Duration::from_secs(1);
const FULL: Accepted = Accepted::Dropped(DropReason::QueueFull);

fn prioritised(body: &'static str, priority: Priority) -> Message {
    Message::new(body).with_priority(priority)
}

#[tokio::test(start_paused = true)]
async fn the_oldest_go_first_but_not_what_is_in_flight() {
    let transport = Scripted::new([Step::DeliverAfter(SECOND)]);
    let config = DeliveryConfig { capacity: 3, overflow: Overflow::DropOldest, ..config() };
    let delivery = Delivery::start(config, transport.clone()).unwrap();
    assert_eq!(delivery.offer(Message::new("in flight")), Accepted::Taken);
    settle().await;
    for body in ["a", "b", "c", "d"] {
        assert_eq!(delivery.offer(Message::new(body)), Accepted::Taken);
    }
    let report = delivery.shutdown(5 * SECOND).await;
    assert_eq!(transport.delivered(), ["in flight", "c", "d"]);
    assert_eq!((report.offered, report.dropped.evicted, report.delivered), (5, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_evicts_as_many_as_it_takes_and_none_in_vain() {
    let config = DeliveryConfig {
        max_bytes: 10,
        max_message_bytes: 10,
        overflow: Overflow::DropOldest,
        ..config()
    };
    let transport = Scripted::new([Step::DeliverAfter(SECOND)]);
    let delivery = Delivery::start(config, transport.clone()).unwrap();
    let _ = delivery.offer(Message::new("12"));
    settle().await;
    for body in ["345", "67", "890"] {
        assert_eq!(delivery.offer(Message::new(body)), Accepted::Taken);
    }
    assert_eq!(delivery.offer(Message::new("abcd")), Accepted::Taken);
    assert_eq!(delivery.status().dropped.evicted, 2);
    let _ = delivery.shutdown(5 * SECOND).await;
    assert_eq!(transport.delivered(), ["12", "890", "abcd"]);
}

#[tokio::test(start_paused = true)]
async fn lower_priorities_make_room_and_the_order_stays() {
    use Priority::{High, Highest, Low, Lowest, Normal};
    let config = DeliveryConfig { capacity: 4, overflow: Overflow::ByPriority, ..config() };
    let transport = Scripted::default();
    let delivery = Delivery::start(config, transport.clone()).unwrap();
    let offers = [
        ("debug 1", Low, Accepted::Taken),
        ("error 1", Highest, Accepted::Taken),
        ("debug 2", Low, Accepted::Taken),
        ("info 1", Normal, Accepted::Taken),
        ("trace", Lowest, FULL),
        ("debug 3", Low, FULL),
        ("error 2", Highest, Accepted::Taken),
        ("warn", High, Accepted::Taken),
        ("error 3", Highest, Accepted::Taken),
        ("error 4", Highest, Accepted::Taken),
        ("error 5", Highest, FULL),
    ];
    for (body, priority, expected) in offers {
        assert_eq!(delivery.offer(prioritised(body, priority)), expected, "{body}");
    }
    let report = delivery.shutdown(SECOND).await;
    assert_eq!(transport.delivered(), ["error 1", "error 2", "error 3", "error 4"]);
    assert_eq!((report.dropped.evicted, report.dropped.queue_full), (4, 3));
    assert_eq!(delivery.status().dropped_by_priority, [1, 3, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_evicted_for_a_message_that_still_would_not_fit() {
    let config = DeliveryConfig {
        max_bytes: 10,
        max_message_bytes: 10,
        overflow: Overflow::ByPriority,
        ..config()
    };
    let delivery = Delivery::start(config, Scripted::default()).unwrap();
    let _ = delivery.offer(prioritised("12", Priority::Low));
    let _ = delivery.offer(prioritised("12345678", Priority::High));
    assert_eq!(delivery.offer(prioritised("abc", Priority::High)), FULL);
    assert_eq!(delivery.offer(prioritised("ab", Priority::High)), Accepted::Taken);
    let report = delivery.shutdown(SECOND).await;
    assert_eq!((report.dropped.evicted, report.dropped.queue_full, report.delivered), (1, 1, 2));
}

/// What the queue should do, as plainly as it can be said.
fn model(
    capacity: usize,
    max_bytes: usize,
    rule: Overflow,
    offers: &[(usize, Priority)],
) -> Vec<usize> {
    let mut held: Vec<(usize, usize, Priority)> = Vec::new();
    for (index, (size, priority)) in offers.iter().enumerate() {
        let fits = |held: &[(usize, usize, Priority)]| {
            held.len() < capacity
                && held.iter().map(|(_, size, _)| size).sum::<usize>() + size <= max_bytes
        };
        let mut next = held.clone();
        while !fits(&next) {
            let victim = match rule {
                Overflow::DropNewest => None,
                Overflow::DropOldest => (!next.is_empty()).then_some(0),
                Overflow::ByPriority => {
                    let lowest = next.iter().map(|(_, _, priority)| *priority).min();
                    let lowest = lowest.filter(|lowest| lowest < priority);
                    lowest.and_then(|lowest| next.iter().position(|held| held.2 == lowest))
                }
            };
            match victim {
                Some(victim) => drop(next.remove(victim)),
                None => break,
            }
        }
        if fits(&next) {
            next.push((index, *size, *priority));
            held = next;
        }
    }
    held.into_iter().map(|(index, ..)| index).collect()
}

proptest! {
    #[test]
    fn what_is_held_is_what_the_rule_says(
        capacity in 1_usize..8,
        max_bytes in 10_usize..40,
        rule in prop_oneof![
            Just(Overflow::DropNewest), Just(Overflow::DropOldest), Just(Overflow::ByPriority)
        ],
        offers in proptest::collection::vec((2_usize..10, 0_usize..5), 0..60),
    ) {
        let offers: Vec<(usize, Priority)> =
            offers.into_iter().map(|(size, level)| (size, Priority::ALL[level])).collect();
        let expected = model(capacity, max_bytes, rule, &offers);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let config = DeliveryConfig {
                capacity, max_bytes, max_message_bytes: 10, overflow: rule, ..config()
            };
            let transport = Scripted::default();
            let delivery = Delivery::start(config, transport.clone()).unwrap();
            for (index, (size, priority)) in offers.iter().enumerate() {
                let body = format!("{index:02}{}", "x".repeat(size - 2));
                let _ = delivery.offer(Message::new(body).with_priority(*priority));
            }
            let report = delivery.shutdown(SECOND).await;
            let delivered: Vec<usize> =
                transport.delivered().iter().map(|body| body[..2].parse().unwrap()).collect();
            assert_eq!(delivered, expected);
            assert_eq!(report.offered, report.delivered + report.dropped.total());
        });
    }
}

/// Each thread's messages arrive in its order, and every one has exactly one fate.
fn threads_offer(overflow: Overflow, capacity: usize) {
    const THREADS: usize = 8;
    const EACH: usize = 5_000;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let transport = Scripted::default();
    let config = DeliveryConfig {
        capacity,
        overflow,
        batch: BatchConfig { max_items: 64, ..BatchConfig::default() },
        ..config()
    };
    let delivery = runtime.block_on(async {
        let builder = Delivery::builder(config).encoder(Framing::lines());
        builder.endpoint("only", transport.clone()).start().unwrap()
    });
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let delivery = &delivery;
            scope.spawn(move || {
                for number in 0..EACH {
                    let message = Message::new(format!("{thread} {number}"))
                        .with_priority(Priority::ALL[number % 5]);
                    let _ = delivery.offer(message);
                }
            });
        }
    });
    let report = runtime.block_on(delivery.shutdown(30 * SECOND));
    assert_eq!(report.offered, (THREADS * EACH) as u64);
    assert_eq!(report.offered, report.delivered + report.dropped.total() + report.undelivered);
    assert_eq!(report.undelivered, 0);
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut count = 0;
    for line in transport.delivered().iter().flat_map(|body| body.lines()) {
        let (thread, number) = line.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        let before = last.insert(thread.to_owned(), number);
        assert!(before.is_none_or(|before| before < number), "{line} after {before:?}");
        count += 1;
    }
    assert_eq!(count, report.delivered);
    let (_, bytes) = (delivery.status().queued, delivery.status().queued_bytes);
    assert_eq!(bytes, 0);
}

#[test]
fn many_threads_lose_nothing_when_there_is_room() {
    threads_offer(Overflow::DropNewest, 1 << 20);
}

#[test]
fn many_threads_are_counted_exactly_when_there_is_none() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::ByPriority] {
        threads_offer(overflow, 100);
    }
}

/// Each thread offers the next number under a lock, so that one offer has returned before the next begins.
#[test]
fn offers_one_after_the_other_keep_their_order_across_threads() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let transport = Scripted::default();
    let config = DeliveryConfig {
        capacity: 1 << 20,
        batch: BatchConfig { max_items: 7, ..BatchConfig::default() },
        ..config()
    };
    let delivery = runtime.block_on(async {
        let builder = Delivery::builder(config).encoder(Framing::lines());
        builder.endpoint("only", transport.clone()).start().unwrap()
    });
    let next = std::sync::Mutex::new(0_u32);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let mut next = next.lock().unwrap();
                    if *next == 30_000 {
                        return;
                    }
                    let priority = Priority::ALL[*next as usize % 5];
                    let message = Message::new(next.to_string()).with_priority(priority);
                    assert_eq!(delivery.offer(message), Accepted::Taken);
                    *next += 1;
                }
            });
        }
    });
    assert_eq!(runtime.block_on(delivery.shutdown(30 * SECOND)).delivered, 30_000);
    let numbers: Vec<u32> = transport
        .delivered()
        .iter()
        .flat_map(|body| body.lines().map(|line| line.parse().unwrap()).collect::<Vec<u32>>())
        .collect();
    assert!(numbers.is_sorted() && numbers.len() == 30_000);
}
