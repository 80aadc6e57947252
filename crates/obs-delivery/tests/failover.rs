//! Several endpoints: which of them is tried when, and what its breaker lets through.

mod support;

use std::time::Duration;

use obs_delivery::{
    BreakerConfig, BreakerState, Delivery, DeliveryConfig, Message, Phase, Transport,
};
use support::{Recorded, Scripted, Step, config, settle};

const SECOND: Duration = Duration::from_secs(1);

fn breaking() -> DeliveryConfig {
    let mut config = DeliveryConfig {
        breaker: Some(BreakerConfig {
            failures: 3,
            open_for: 30 * SECOND,
            max_open_for: 60 * SECOND,
            probe_timeout: SECOND,
        }),
        ..config()
    };
    config.retry.max_backoff = SECOND;
    config
}

fn start(config: DeliveryConfig, near: impl Transport, far: impl Transport) -> Delivery {
    Delivery::builder(config).endpoint("near", near).endpoint("far", far).start().unwrap()
}

async fn offer_one_each_second(delivery: &Delivery, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let _ = delivery.offer(Message::new(number.to_string()));
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_endpoint_takes_over_at_once_and_the_order_is_kept() {
    let (near, far) = (Scripted::new([Step::Fail; 1_000]), Scripted::default());
    let delivery = start(breaking(), near.clone(), far.clone());
    for number in 0..50 {
        let _ = delivery.offer(Message::new(number.to_string()));
    }
    let begun = tokio::time::Instant::now();
    assert!(delivery.flush(SECOND).await.is_complete);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(far.delivered(), (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    let status = delivery.status();
    assert_eq!(status.delivered, 50);
    assert!(!status.endpoints[0].is_active && status.endpoints[1].is_active);
}

#[tokio::test(start_paused = true)]
async fn the_preferred_endpoint_is_returned_to_after_a_probe() {
    let near = Scripted::new([Step::Fail; 4]);
    let delivery = start(breaking(), near.clone(), Scripted::default());
    offer_one_each_second(&delivery, 0..20).await;
    assert_eq!(near.attempts().len(), 3, "open");
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::Open);
    offer_one_each_second(&delivery, 20..60).await;
    assert_eq!(near.attempts().len(), 4, "one probe, and open for twice as long");
    offer_one_each_second(&delivery, 60..180).await;
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::Closed);
    assert!(delivery.status().endpoints[0].is_active);
    assert!(near.delivered().len() > 20);
    assert_eq!(near.delivered().last().unwrap(), "179");
    assert_eq!(delivery.status().delivered, 180);
}

#[tokio::test(start_paused = true)]
async fn a_preferred_endpoint_that_hangs_holds_up_a_probe_for_its_own_timeout_only() {
    let near = Scripted::new([Step::Hang; 100]);
    let far = Scripted::default();
    let delivery = start(breaking(), near.clone(), far.clone());
    offer_one_each_second(&delivery, 0..40).await;
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::Open);
    let probed = near.attempts().len();
    tokio::time::sleep(90 * SECOND).await;
    let _ = delivery.offer(Message::new("after"));
    tokio::time::sleep(SECOND + SECOND / 2).await;
    assert_eq!(near.attempts().len(), probed + 1);
    assert_eq!(far.delivered().last().unwrap(), "after");
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_lets_one_request_through_however_many_may_be_in_flight() {
    let transport = Scripted::new(
        [Step::Hang; 8].into_iter().chain([Step::DeliverAfter(SECOND / 2), Step::Deliver]),
    );
    let config = DeliveryConfig { concurrency: 8, ..breaking() };
    let delivery = Delivery::start(config, transport.clone()).unwrap();
    for number in 0..20 {
        let _ = delivery.offer(Message::new(number.to_string()));
    }
    settle().await;
    assert_eq!(transport.attempts().len(), 8, "all at once");
    tokio::time::sleep(11 * SECOND).await;
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::Open);
    while transport.attempts().len() == 8 {
        tokio::time::sleep(SECOND / 100).await;
    }
    settle().await;
    assert_eq!(transport.attempts().len(), 9, "the probe");
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::HalfOpen);
    tokio::time::sleep(SECOND).await;
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::Closed);
    assert_eq!(delivery.status().delivered, 20);
}

#[tokio::test(start_paused = true)]
async fn refusals_do_not_open_a_breaker() {
    let transport = Scripted::new([Step::Refuse; 20]);
    let delivery = Delivery::start(breaking(), transport.clone()).unwrap();
    for number in 0..20 {
        let _ = delivery.offer(Message::new(number.to_string()));
    }
    assert!(delivery.flush(SECOND).await.is_complete);
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::Closed);
    assert_eq!(delivery.status().dropped.permanent, 20);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_asks_for_time_gets_it_while_the_other_serves() {
    let near = Scripted::new([Step::FailAsking(20 * SECOND)]);
    let delivery = start(breaking(), near.clone(), Scripted::default());
    offer_one_each_second(&delivery, 0..20).await;
    assert_eq!(near.attempts().len(), 1);
    offer_one_each_second(&delivery, 20..30).await;
    assert!(near.delivered().len() >= 8);
}

#[tokio::test(start_paused = true)]
async fn shutdown_probes_an_open_breaker_rather_than_wait() {
    let transport = Scripted::new([Step::Fail; 3]);
    let delivery = Delivery::start(breaking(), transport.clone()).unwrap();
    let _ = delivery.offer(Message::new("a"));
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(delivery.status().endpoints[0].breaker, BreakerState::Open);
    let report = delivery.shutdown(SECOND).await;
    assert_eq!((report.delivered, transport.attempts().len()), (1, 4));
    assert_eq!(delivery.status().phase, Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn endpoints_need_names_of_their_own() {
    let error = Delivery::builder(config()).start().unwrap_err();
    assert!(error.is_config() && error.to_string().contains("no endpoint"), "{error}");
    let error = Delivery::builder(config())
        .endpoint("", Scripted::default())
        .endpoint("a", Scripted::default())
        .endpoint("a", Scripted::default())
        .start()
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("endpoint 0 is empty") && text.contains("two endpoints"), "{text}");
}

#[test]
fn the_series_of_each_endpoint_show_its_breaker_and_whether_it_serves() {
    let recorded = Recorded::default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let near = Scripted::new([Step::Fail; 3]);
        let delivery = metrics::with_local_recorder(&recorded, || {
            start(breaking(), near, Scripted::default())
        });
        offer_one_each_second(&delivery, 0..10).await;
        let gauge = |name: &str, endpoint: &str| {
            recorded
                .gauge(&format!("obskit_delivery_{name}{{destination=test,endpoint={endpoint}}}"))
        };
        assert_eq!(gauge("breaker_state", "near"), 2.0);
        assert_eq!(gauge("breaker_state", "far"), 0.0);
        assert_eq!(gauge("endpoint_active", "near"), 0.0);
        assert_eq!(gauge("endpoint_active", "far"), 1.0);
    });
}
