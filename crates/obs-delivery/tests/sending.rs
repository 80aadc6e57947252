//! Order, retries and drops, with a scripted transport and time that stands still.

mod support;

use std::time::Duration;

use obs_delivery::{Delivery, DeliveryConfig, Message, Phase, RetryPolicy};
use obs_model::{Accepted, DropReason};
use support::{Recorded, Scripted, Step, config, settle};

const SECOND: Duration = Duration::from_secs(1);

/// Offers the messages, shuts down with an hour to do so, and hands back the report.
async fn run(
    config: DeliveryConfig,
    transport: &Scripted,
    messages: &[&'static str],
) -> obs_delivery::DeliveryReport {
    let delivery = Delivery::start(config, transport.clone()).unwrap();
    for message in messages {
        assert_eq!(delivery.offer(Message::new(*message)), Accepted::Taken);
    }
    // Wait for the queue rather than shut down at once, because shutdown changes how long is waited.
    while delivery.status().queued > 0 {
        tokio::time::sleep(SECOND).await;
    }
    delivery.shutdown(SECOND).await
}

#[tokio::test(start_paused = true)]
async fn messages_keep_their_order_through_failures() {
    let transport = Scripted::new([Step::Fail, Step::Fail, Step::Deliver, Step::Fail]);
    let report = run(config(), &transport, &["a", "b", "c"]).await;
    assert_eq!(transport.tried(), ["a", "a", "a", "b", "b", "c"]);
    assert_eq!((report.delivered, report.dropped.total(), report.undelivered), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn waits_stay_under_a_ceiling_that_doubles_up_to_the_cap() {
    let mut longest = [Duration::ZERO; 8];
    for _ in 0..64 {
        let transport = Scripted::new([Step::Fail; 8]);
        let mut config = config();
        config.retry.max_backoff = 8 * SECOND;
        config.breaker = None;
        let _ = run(config, &transport, &["a"]).await;
        for (longest, gap) in longest.iter_mut().zip(transport.gaps()) {
            *longest = gap.max(*longest);
        }
    }
    let ceilings_ms = [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000];
    for (longest, ceiling_ms) in longest.into_iter().zip(ceilings_ms) {
        let ceiling = Duration::from_millis(ceiling_ms);
        // The timer's step is a millisecond. That none of 64 even draws is in the upper half has odds of 2^-64.
        assert!(longest <= ceiling + Duration::from_millis(1), "{longest:?} of {ceiling:?}");
        assert!(longest > ceiling / 2, "{longest:?} of {ceiling:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_destination_is_left_alone_for_as_long_as_it_asks() {
    let transport = Scripted::new([Step::FailAsking(120 * SECOND)]);
    let _ = run(config(), &transport, &["a"]).await;
    let gap = transport.gaps()[0];
    assert!((120 * SECOND..=121 * SECOND).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_to_be_left_alone_is_cut_to_the_limit() {
    let transport = Scripted::new([Step::FailAsking(Duration::MAX)]);
    let _ = run(config(), &transport, &["a"]).await;
    let gap = transport.gaps()[0];
    assert!((600 * SECOND..=601 * SECOND).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_wait_is_left_to_the_next_message() {
    let transport = Scripted::new([Step::FailAsking(100 * SECOND)]);
    let mut config = config();
    config.retry.max_attempts = 1;
    let report = run(config, &transport, &["a", "b"]).await;
    assert_eq!(transport.delivered(), ["b"]);
    assert!(transport.gaps()[0] >= 100 * SECOND);
    assert_eq!(report.dropped.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_is_dropped_at_once_and_the_next_is_sent() {
    let transport = Scripted::new([Step::Refuse]);
    let report = run(config(), &transport, &["a", "b"]).await;
    assert_eq!(transport.tried(), ["a", "b"]);
    assert_eq!((report.delivered, report.dropped.permanent), (1, 1));
    assert_eq!(transport.gaps(), [Duration::ZERO]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_drops_its_message_and_the_worker_goes_on() {
    for step in [Step::PanicAtOnce, Step::PanicLater] {
        let transport = Scripted::new([step]);
        let delivery = Delivery::start(config(), transport.clone()).unwrap();
        let _ = delivery.offer(Message::new("a"));
        let _ = delivery.offer(Message::new("b"));
        let report = delivery.shutdown(SECOND).await;
        assert_eq!(transport.delivered(), ["b"]);
        assert_eq!((report.delivered, report.dropped.permanent, report.undelivered), (1, 1, 0));
        assert_eq!(delivery.status().panics, 1);
        let error = delivery.last_error().unwrap();
        assert!(error.is_permanent && error.message.contains("scripted panic"), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_giving_an_attempt_up_leaves_the_worker_alive() {
    let transport = Scripted::new([Step::PanicInDrop]);
    let report = run(config(), &transport, &["a", "b"]).await;
    assert_eq!(transport.tried(), ["a", "a", "b"]);
    assert_eq!(report.delivered, 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_given_up_and_made_again() {
    let transport = Scripted::new([Step::Hang]);
    let delivery = Delivery::start(config(), transport.clone()).unwrap();
    let _ = delivery.offer(Message::new("a"));
    tokio::time::sleep(11 * SECOND).await;
    assert_eq!(transport.delivered(), ["a"]);
    let gap = transport.gaps()[0];
    assert!((10 * SECOND..=11 * SECOND).contains(&gap), "{gap:?}");
    let status = delivery.status();
    assert_eq!((status.retries, status.failures_in_a_row), (1, 0));
    assert_eq!(status.last_error.unwrap().message, "no answer within 10s");
}

#[tokio::test(start_paused = true)]
async fn a_message_gets_so_many_attempts_and_no_more() {
    let transport = Scripted::new([Step::Fail; 3]);
    let mut config = config();
    config.retry.max_attempts = 3;
    let report = run(config, &transport, &["a", "b"]).await;
    assert_eq!(transport.tried(), ["a", "a", "a", "b"]);
    assert_eq!((report.delivered, report.dropped.attempts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn messages_that_grow_too_old_are_dropped_without_an_attempt() {
    let transport = Scripted::new([Step::FailAsking(90 * SECOND)]);
    let mut config = config();
    config.retry.max_age = 60 * SECOND;
    let delivery = Delivery::start(config, transport.clone()).unwrap();
    let _ = delivery.offer(Message::new("a"));
    tokio::time::sleep(45 * SECOND).await;
    let _ = delivery.offer(Message::new("b"));
    // The first is dropped at its own age, not when the wait ends.
    tokio::time::sleep(16 * SECOND).await;
    assert_eq!(delivery.status().dropped.expired, 1);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(transport.delivered(), ["b"]);
    assert!(transport.gaps()[0] >= 90 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_new_message_and_keeps_the_old() {
    let transport = Scripted::default();
    let delivery =
        Delivery::start(DeliveryConfig { capacity: 2, ..config() }, transport.clone()).unwrap();
    let answers = ["a", "b", "c"].map(|body| delivery.offer(Message::new(body)));
    let full = Accepted::Dropped(DropReason::QueueFull);
    assert_eq!(answers, [Accepted::Taken, Accepted::Taken, full]);
    let report = delivery.shutdown(SECOND).await;
    assert_eq!(transport.delivered(), ["a", "b"]);
    assert_eq!(report.dropped.queue_full, 1);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_with_the_headers_and_freed_by_delivery() {
    let transport = Scripted::default();
    let config = DeliveryConfig { max_bytes: 10, max_message_bytes: 8, ..config() };
    let delivery = Delivery::start(config, transport.clone()).unwrap();
    let large = Message::new("12345").with_header("ab", "cd");
    assert_eq!(delivery.offer(large), Accepted::Dropped(DropReason::TooLarge));
    assert_eq!(delivery.offer(Message::new("12345678")), Accepted::Taken);
    assert_eq!(delivery.offer(Message::new("123")), Accepted::Dropped(DropReason::QueueFull));
    assert_eq!(delivery.offer(Message::new("12")), Accepted::Taken);
    settle().await;
    assert_eq!(delivery.status().queued_bytes, 0);
    assert_eq!(delivery.offer(Message::new("12345678")), Accepted::Taken);
    let report = delivery.shutdown(SECOND).await;
    assert_eq!((report.dropped.too_large, report.dropped.queue_full, report.delivered), (1, 1, 3));
}

#[test]
fn without_a_runtime_starting_is_an_error() {
    let error = Delivery::start(config(), Scripted::default()).unwrap_err();
    assert!(error.is_no_runtime() && !error.is_config(), "{error}");
}

#[tokio::test]
async fn a_bad_setting_is_an_error() {
    let bad = DeliveryConfig {
        retry: RetryPolicy { max_attempts: 0, ..RetryPolicy::default() },
        ..config()
    };
    assert!(Delivery::start(bad, Scripted::default()).unwrap_err().is_config());
}

#[test]
fn the_metrics_agree_with_the_report() {
    let recorded = Recorded::default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    metrics::with_local_recorder(&recorded, obs_delivery::describe);
    runtime.block_on(async {
        let steps = [Step::Fail, Step::Deliver, Step::Refuse, Step::PanicLater, Step::Hang];
        let config = DeliveryConfig { capacity: 5, ..config() };
        let delivery = metrics::with_local_recorder(&recorded, || {
            Delivery::start(config, Scripted::new(steps)).unwrap()
        });
        for body in ["a", "b", "c", "d", "e", "f"] {
            let _ = delivery.offer(Message::new(body));
        }
        // The gauges follow the account within a second while messages are held.
        let held = recorded.gauge("obskit_delivery_queued{destination=test}");
        assert_eq!(held, 0.0, "an offer moves no gauge");
        settle().await;
        assert_eq!(delivery.status().queued, 5);
        let report = delivery.shutdown(5 * SECOND).await;
        assert_eq!((report.delivered, report.undelivered), (1, 2));
        let counter =
            |name: &str| recorded.counter(&format!("obskit_delivery_{name}{{destination=test}}"));
        assert_eq!(counter("offered_total"), report.offered);
        assert_eq!(counter("delivered_total"), report.delivered);
        assert_eq!(counter("undelivered_total"), report.undelivered);
        assert_eq!((counter("retries_total"), counter("transport_panics_total")), (1, 1));
        for (reason, count) in report.dropped.by_reason() {
            let key = format!("obskit_delivery_dropped_total{{destination=test,reason={reason}}}");
            assert_eq!(recorded.counter(&key), count, "{reason}");
        }
        assert_eq!(recorded.gauge("obskit_delivery_queued{destination=test}"), 0.0);
        assert_eq!(recorded.gauge("obskit_delivery_queued_bytes{destination=test}"), 0.0);
        assert_eq!(delivery.status().phase, Phase::Closed);
    });
    for name in recorded.names() {
        assert!(recorded.described().contains(&name), "{name} is not described");
    }
}
