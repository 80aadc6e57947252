//! What shutdown sends, when it ends, and what it reports.

mod support;

use std::time::Duration;

use obs_delivery::{Delivery, Message, Phase};
use obs_model::{Accepted, DropReason};
use support::{Scripted, Step, config, settle};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn started(transport: &Scripted, bodies: &[&'static str]) -> Delivery {
    let delivery = Delivery::start(config(), transport.clone()).unwrap();
    for body in bodies {
        assert_eq!(delivery.offer(Message::new(*body)), Accepted::Taken);
    }
    delivery
}

#[tokio::test(start_paused = true)]
async fn everything_held_is_sent_and_shutdown_ends_as_soon_as_it_is() {
    let transport = Scripted::new([Step::DeliverAfter(SECOND); 3]);
    let delivery = started(&transport, &["a", "b", "c"]);
    let begun = Instant::now();
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!(transport.delivered(), ["a", "b", "c"]);
    assert_eq!((report.offered, report.delivered, report.undelivered), (3, 3, 0));
    assert!(begun.elapsed() < 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_what_is_left_is_undelivered() {
    let transport = Scripted::new([Step::Deliver, Step::Hang]);
    let delivery = started(&transport, &["a", "b", "c"]);
    let begun = Instant::now();
    let report = delivery.shutdown(5 * SECOND).await;
    assert_eq!((report.delivered, report.dropped.total(), report.undelivered), (1, 0, 2));
    let took = begun.elapsed();
    assert!((5 * SECOND..6 * SECOND).contains(&took), "{took:?}");
    let status = delivery.status();
    assert_eq!((status.phase, status.queued, status.queued_bytes), (Phase::Closed, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all_leaves_everything_undelivered() {
    let transport = Scripted::default();
    let delivery = started(&transport, &["a", "b"]);
    let report = delivery.shutdown(Duration::ZERO).await;
    assert_eq!(report.delivered + report.undelivered, 2);
    assert_eq!(report.delivered, transport.delivered().len() as u64);
}

#[tokio::test(start_paused = true)]
async fn an_endless_deadline_is_accepted() {
    let transport = Scripted::new([Step::Fail]);
    let delivery = started(&transport, &["a"]);
    assert_eq!(delivery.shutdown(Duration::MAX).await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_cuts_a_back_off_short() {
    let transport = Scripted::new([Step::Fail; 9]);
    let delivery = started(&transport, &["a"]);
    while transport.attempts().len() < 9 {
        tokio::time::sleep(SECOND / 1_000).await;
    }
    let begun = Instant::now();
    let report = delivery.shutdown(5 * SECOND).await;
    assert_eq!((report.delivered, begun.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_at_once_if_the_destination_asked_for_more_time_than_there_is() {
    let transport = Scripted::new([Step::FailAsking(60 * SECOND)]);
    let delivery = started(&transport, &["a", "b"]);
    settle().await;
    let begun = Instant::now();
    let report = delivery.shutdown(30 * SECOND).await;
    assert_eq!((report.undelivered, begun.elapsed()), (2, Duration::ZERO));
    assert_eq!(transport.tried(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_out_a_request_that_fits() {
    let transport = Scripted::new([Step::FailAsking(10 * SECOND)]);
    let delivery = started(&transport, &["a", "b"]);
    settle().await;
    let report = delivery.shutdown(30 * SECOND).await;
    assert_eq!(report.delivered, 2);
    assert!(transport.gaps()[0] >= 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn offers_after_shutdown_are_dropped_and_counted() {
    let delivery = started(&Scripted::default(), &["a"]);
    let other = delivery.clone();
    let first = delivery.shutdown(SECOND).await;
    assert_eq!(other.offer(Message::new("late")), Accepted::Dropped(DropReason::Closed));
    let second = other.shutdown(SECOND).await;
    assert_eq!((first.delivered, first.dropped.closed), (1, 0));
    assert_eq!((second.offered, second.delivered, second.dropped.closed), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_deadlines_holds() {
    let delivery = started(&Scripted::new([Step::Hang]), &["a"]);
    let begun = Instant::now();
    let (long, short) = tokio::join!(delivery.shutdown(9 * SECOND), delivery.shutdown(2 * SECOND));
    assert_eq!(long, short);
    assert!(begun.elapsed() < 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_not_awaited_to_its_end_still_ends_at_its_deadline() {
    let delivery = started(&Scripted::new([Step::Hang]), &["a"]);
    let waited = tokio::time::timeout(SECOND, delivery.shutdown(3 * SECOND)).await;
    assert!(waited.is_err());
    assert_eq!(delivery.status().phase, Phase::Draining);
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!((delivery.status().phase, delivery.status().undelivered), (Phase::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn without_any_handle_left_what_is_held_is_still_sent() {
    let transport = Scripted::new([Step::Fail, Step::Fail]);
    drop(started(&transport, &["a", "b"]));
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(transport.delivered(), ["a", "b"]);
}

#[test]
fn a_runtime_that_goes_away_leaves_an_exact_account() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let delivery = runtime.block_on(async { started(&Scripted::new([Step::Hang]), &["a", "b"]) });
    drop(runtime);
    let status = delivery.status();
    assert_eq!((status.phase, status.undelivered, status.queued), (Phase::Closed, 2, 0));
    assert_eq!(delivery.offer(Message::new("c")), Accepted::Dropped(DropReason::Closed));
}
