//! With a spool: what is on disk, what is sent from it, and what a failing disk changes.

mod support;

use std::time::Duration;

#[cfg(feature = "spool")]
use obs_delivery::StoreSpool;
use obs_delivery::{
    BatchConfig, Delivery, DeliveryConfig, Framing, Message, Overflow, Priority, RetryPolicy,
    Spool, SpoolConfig, Spooled,
};
use obs_model::{Accepted, DropReason};
use support::spools::{FileSpool, MemorySpool, Trouble};
use support::{Scripted, Step, config};

const SECOND: Duration = Duration::from_secs(1);

fn spooling() -> DeliveryConfig {
    DeliveryConfig {
        retry: RetryPolicy::patient(24 * 3_600 * SECOND),
        breaker: None,
        max_message_bytes: 1_000,
        ..config()
    }
}

fn start(config: DeliveryConfig, transport: &Scripted, spool: &MemorySpool) -> Delivery {
    let builder = Delivery::builder(config).endpoint("only", transport.clone());
    builder.spool(spool.clone()).start().unwrap()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn offer(delivery: &Delivery, range: std::ops::Range<usize>) {
    for body in numbers(range) {
        assert_eq!(delivery.offer_spooled(Message::new(body)).await, Spooled::Durably);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_shutdown_is_in_the_spool_and_is_sent_first_after_the_next_start() {
    let spool = MemorySpool::default();
    let transport = Scripted::new([Step::Deliver, Step::Deliver, Step::Hang]);
    let delivery = start(spooling(), &transport, &spool);
    for body in numbers(0..10) {
        assert_eq!(delivery.offer(Message::new(body)), Accepted::Taken);
    }
    let report = delivery.shutdown(5 * SECOND).await;
    assert_eq!(
        (report.offered, report.delivered, report.spooled, report.undelivered),
        (10, 2, 8, 0)
    );
    assert_eq!(spool.len(), 8);

    let transport = Scripted::default();
    let delivery = start(spooling(), &transport, &spool);
    assert_eq!((delivery.status().recovered, delivery.status().spooled), (8, 8));
    offer(&delivery, 10..12).await;
    let report = delivery.shutdown(5 * SECOND).await;
    assert_eq!(transport.delivered(), numbers(2..12));
    assert_eq!((report.offered, report.recovered, report.delivered), (2, 8, 10));
    assert_eq!((report.spooled, spool.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn content_type_headers_and_priority_come_back() {
    let spool = MemorySpool::default();
    let delivery = start(spooling(), &Scripted::new([Step::Hang; 9]), &spool);
    let message = Message::new("body")
        .with_content_type("text/plain")
        .with_header("x-key", "value")
        .with_priority(Priority::High);
    assert_eq!(delivery.offer_spooled(message).await, Spooled::Durably);
    let _ = delivery.shutdown(SECOND).await;

    struct Check(tokio::sync::mpsc::UnboundedSender<Message>);
    impl obs_delivery::Transport for Check {
        fn send<'a>(&'a self, message: &'a Message) -> obs_delivery::SendFuture<'a> {
            self.0.send(message.clone()).unwrap();
            Box::pin(async { Ok(()) })
        }
    }
    let (sender, mut sent) = tokio::sync::mpsc::unbounded_channel();
    let builder = Delivery::builder(spooling()).endpoint("only", Check(sender));
    let delivery = builder.spool(spool.clone()).start().unwrap();
    let message = sent.recv().await.unwrap();
    assert_eq!(message.body(), "body");
    assert_eq!(message.content_type(), Some("text/plain"));
    assert_eq!(message.headers().collect::<Vec<_>>(), [("x-key", "value")]);
    assert_eq!(message.priority(), Priority::High);
    assert_eq!(delivery.shutdown(SECOND).await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_soon_is_not_read_back_from_disk() {
    let spool = MemorySpool::default();
    let transport = Scripted::default();
    let delivery = start(spooling(), &transport, &spool);
    for range in [0..50, 50..100] {
        offer(&delivery, range).await;
        assert!(delivery.flush(SECOND).await.is_complete);
    }
    assert_eq!(transport.delivered(), numbers(0..100));
    assert_eq!(spool.calls().1, 0);
    let _ = delivery.shutdown(SECOND).await;
    assert_eq!(spool.len(), 0, "acknowledged");
}

#[tokio::test(start_paused = true)]
async fn an_outage_fills_the_disk_and_not_the_memory() {
    let spool = MemorySpool::default();
    let transport = Scripted::new([Step::FailAsking(600 * SECOND)]);
    let config = DeliveryConfig {
        capacity: 100,
        spool: SpoolConfig { window_bytes: 500, ..SpoolConfig::default() },
        batch: BatchConfig { max_items: 64, ..BatchConfig::default() },
        ..spooling()
    };
    let builder = Delivery::builder(config).encoder(Framing::lines());
    let delivery =
        builder.endpoint("only", transport.clone()).spool(spool.clone()).start().unwrap();
    for chunk in 0..100 {
        for body in numbers(chunk * 50..(chunk + 1) * 50) {
            assert_eq!(delivery.offer(Message::new(body)), Accepted::Taken);
        }
        tokio::time::sleep(6 * SECOND).await;
    }
    let status = delivery.status();
    assert_eq!((status.queued, status.queued_bytes), (0, 0));
    assert!(status.spooled > 4_000, "{status:?}");
    assert!(delivery.flush(60 * SECOND).await.is_complete);
    let delivered: Vec<String> = transport
        .delivered()
        .iter()
        .flat_map(|body| body.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(delivered, numbers(0..5_000));
    assert_eq!(delivery.status().spooled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_keeps_what_it_has_and_the_memory_overflows_by_its_rule() {
    let spool = MemorySpool::default();
    let transport = Scripted::new([Step::FailAsking(60 * SECOND)]);
    let config = DeliveryConfig {
        capacity: 4,
        overflow: Overflow::DropOldest,
        spool: SpoolConfig { max_items: 3, ..SpoolConfig::default() },
        ..spooling()
    };
    let delivery = start(config, &transport, &spool);
    offer(&delivery, 0..3).await;
    for body in numbers(3..10) {
        assert_eq!(delivery.offer(Message::new(body)), Accepted::Taken);
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!((delivery.status().spooled, delivery.status().queued), (3, 4));
    assert_eq!(delivery.status().dropped.evicted, 3);
    assert!(delivery.flush(120 * SECOND).await.is_complete);
    assert_eq!(transport.delivered(), [numbers(0..3), numbers(6..10)].concat());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_does_not_keep_messages_from_being_sent() {
    std::panic::set_hook(Box::new(|_| {}));
    for trouble in [Trouble::Failing, Trouble::Panicking, Trouble::Full] {
        let spool = MemorySpool::default();
        spool.set(trouble);
        let transport = Scripted::default();
        let delivery = start(spooling(), &transport, &spool);
        let answers = ["a", "b"].map(|body| delivery.offer_spooled(Message::new(body)));
        for answer in answers {
            assert_eq!(answer.await, Spooled::InMemory, "{trouble:?}");
        }
        assert_eq!(transport.delivered(), ["a", "b"]);
        assert!(delivery.status().spool_errors > 0);
        assert!(delivery.last_error().unwrap().message.starts_with("spool: "));
        spool.set(Trouble::None);
        tokio::time::sleep(SECOND).await;
        assert_eq!(delivery.offer_spooled(Message::new("c")).await, Spooled::Durably);
        let report = delivery.shutdown(SECOND).await;
        assert_eq!((report.offered, report.delivered, report.spooled), (3, 3, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_for_a_while_costs_no_order() {
    let spool = MemorySpool::default();
    let transport = Scripted::new([Step::DeliverAfter(SECOND / 100); 2_000]);
    let delivery = start(spooling(), &transport, &spool);
    for round in 0..20 {
        spool.set(if round % 3 == 1 { Trouble::Failing } else { Trouble::None });
        for body in numbers(round * 20..(round + 1) * 20) {
            assert_eq!(delivery.offer(Message::new(body)), Accepted::Taken);
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    }
    spool.set(Trouble::None);
    assert!(delivery.flush(60 * SECOND).await.is_complete);
    assert_eq!(transport.delivered(), numbers(0..400));
}

#[tokio::test(start_paused = true)]
async fn batches_side_by_side_are_acknowledged_only_when_those_before_them_are() {
    let spool = MemorySpool::default();
    let transport =
        Scripted::new([Step::Hang, Step::Deliver, Step::Deliver, Step::Hang, Step::Hang]);
    let delivery = start(DeliveryConfig { concurrency: 2, ..spooling() }, &transport, &spool);
    offer(&delivery, 0..3).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(transport.delivered(), ["1", "2"]);
    assert_eq!(spool.len(), 3);
    let report = delivery.shutdown(SECOND).await;
    assert_eq!((report.delivered, report.spooled), (2, 1));
    let transport = Scripted::default();
    let delivery = start(spooling(), &transport, &spool);
    assert!(delivery.flush(SECOND).await.is_complete);
    assert_eq!(transport.delivered(), ["0", "1", "2"], "at least once");
}

#[tokio::test(start_paused = true)]
async fn an_old_message_in_the_spool_expires_by_its_own_age_after_a_restart() {
    use obs_model::{ManualClock, Timestamp};
    let clock = std::sync::Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let config = || DeliveryConfig {
        clock: clock.clone(),
        retry: RetryPolicy { max_age: 60 * SECOND, ..RetryPolicy::default() },
        ..spooling()
    };
    let spool = MemorySpool::default();
    let delivery = start(config(), &Scripted::new([Step::Hang; 9]), &spool);
    offer(&delivery, 0..1).await;
    let _ = delivery.shutdown(SECOND).await;
    clock.advance(61 * SECOND);
    tokio::time::advance(100 * SECOND).await;
    let delivery = start(config(), &Scripted::default(), &spool);
    let report = delivery.shutdown(SECOND).await;
    assert_eq!((report.recovered, report.dropped.expired, report.delivered), (1, 1, 0));
    assert_eq!(spool.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_message_is_dropped_and_counted() {
    let spool = MemorySpool::default();
    spool.push(&[b"not a message"]).unwrap();
    let transport = Scripted::default();
    let delivery = start(spooling(), &transport, &spool);
    offer(&delivery, 0..1).await;
    let report = delivery.shutdown(SECOND).await;
    assert_eq!((report.recovered, report.dropped.permanent, report.delivered), (1, 1, 1));
    assert_eq!(spool.len(), 0);
}

/// What holds for the spool in memory holds for those on disk.
async fn survives_a_restart<S: Spool>(open: impl Fn() -> S) {
    let config = || DeliveryConfig {
        spool: SpoolConfig { window_bytes: 700, ..SpoolConfig::default() },
        ..spooling()
    };
    let start = |transport: &Scripted| {
        let builder = Delivery::builder(config()).endpoint("only", transport.clone());
        builder.spool(open()).start().unwrap()
    };
    let delivery = start(&Scripted::new([Step::Deliver, Step::Deliver, Step::Hang]));
    for body in numbers(0..100) {
        assert_eq!(delivery.offer(Message::new(body)), Accepted::Taken);
    }
    let report = delivery.shutdown(5 * SECOND).await;
    assert_eq!((report.delivered, report.spooled, report.undelivered), (2, 98, 0));
    drop(delivery);
    let transport = Scripted::default();
    let delivery = start(&transport);
    assert_eq!(delivery.status().recovered, 98);
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!((report.delivered, report.spooled), (98, 0));
    assert_eq!(transport.delivered(), numbers(2..100));
    assert_eq!(open().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_spool_survives_a_restart() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    survives_a_restart(|| FileSpool::open(folders[0].path())).await;
    #[cfg(feature = "spool")]
    {
        let (store, _) =
            obs_store::Store::open(folders[1].path().join("state.redb"), Default::default())
                .unwrap();
        survives_a_restart(|| StoreSpool::open(&store, "test", 1 << 20).unwrap()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_spool_a_message_is_in_memory_and_after_shutdown_it_is_dropped() {
    let delivery = Delivery::start(spooling(), Scripted::default()).unwrap();
    assert_eq!(delivery.offer_spooled(Message::new("a")).await, Spooled::InMemory);
    let _ = delivery.shutdown(SECOND).await;
    let dropped = Spooled::Dropped(DropReason::Closed);
    assert_eq!(delivery.offer_spooled(Message::new("b")).await, dropped);
}

#[tokio::test(start_paused = true)]
async fn a_spool_smaller_than_a_message_is_an_error() {
    let config = DeliveryConfig {
        spool: SpoolConfig { max_bytes: 1_000, ..SpoolConfig::default() },
        ..spooling()
    };
    let builder = Delivery::builder(config).endpoint("only", Scripted::default());
    let error = builder.spool(MemorySpool::default()).start().unwrap_err();
    assert!(error.to_string().contains("spool.max_bytes is 1000: at least 1064"), "{error}");
}

/// Random offers, failures, disk troubles and restarts: every message has exactly one fate, and the order holds.
#[tokio::test(start_paused = true)]
async fn every_message_is_accounted_for_through_restarts_and_disk_troubles() {
    let mut ordered_rounds = 0;
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let spool = MemorySpool::default();
        let mut left = 0;
        let mut next = 0;
        for _ in 0..4 {
            let steps: Vec<Step> = (0..200)
                .map(|_| match rng.u32(0..8) {
                    0 => Step::Fail,
                    1 => Step::Hang,
                    2 => Step::Refuse,
                    3 => Step::DeliverAfter(Duration::from_millis(rng.u64(0..50))),
                    _ => Step::Deliver,
                })
                .collect();
            let transport = Scripted::new(steps);
            let config = DeliveryConfig {
                capacity: rng.usize(1..20),
                timeout: Duration::from_millis(200),
                retry: RetryPolicy {
                    base_backoff: Duration::from_millis(10),
                    max_backoff: Duration::from_millis(100),
                    ..RetryPolicy::patient(3_600 * SECOND)
                },
                spool: SpoolConfig {
                    max_items: rng.u64(1..30),
                    window_bytes: rng.usize(1..200),
                    ..SpoolConfig::default()
                },
                ..spooling()
            };
            let delivery = start(config, &transport, &spool);
            let mut is_readable = !spool.fails();
            for _ in 0..rng.usize(0..60) {
                match rng.u32(0..10) {
                    0 => {
                        is_readable = false;
                        spool.set(Trouble::Failing);
                    }
                    1 => spool.set(Trouble::Full),
                    2..4 => spool.set(Trouble::None),
                    4..6 => {
                        tokio::time::sleep(Duration::from_millis(rng.u64(0..700))).await;
                    }
                    _ => {
                        let _ = delivery.offer(Message::new(next.to_string()));
                        next += 1;
                    }
                }
                let status = delivery.status();
                let settled = status.delivered + status.dropped.total() + status.undelivered;
                assert_eq!(
                    status.offered + status.recovered,
                    settled + status.queued as u64 + status.spooled,
                    "{status:?}"
                );
            }
            let report = delivery.shutdown(Duration::from_millis(rng.u64(0..2_000))).await;
            let settled = report.delivered + report.dropped.total() + report.undelivered;
            assert_eq!(report.offered + report.recovered, settled + report.spooled, "{report:?}");
            assert!(report.recovered >= left, "seed {seed}: a restart lost messages");
            assert_eq!(transport.delivered().len() as u64, report.delivered);
            let order: Vec<usize> =
                transport.delivered().iter().map(|body| body.parse().unwrap()).collect();
            // What cannot be read from the spool is overtaken by what was offered since.
            let is_ordered = order.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(is_ordered || !is_readable, "seed {seed}: {order:?}");
            ordered_rounds += u32::from(is_readable);
            left = report.spooled;
            assert!(spool.len() >= left, "seed {seed}: {report:?}");
        }
    }
    assert!(ordered_rounds > 20, "{ordered_rounds}");
}
