//! Random sequences of everything at once: batches, endpoints, priorities, overflow, flushes, partial answers. Every
//! message has exactly one fate, and the transport's account is the same.

mod support;

use std::collections::HashSet;
use std::time::Duration;

use obs_delivery::{
    BatchConfig, BreakerConfig, Delivery, DeliveryConfig, DeliveryReport, Framing, Message,
    Overflow, Priority, RetryPolicy,
};
use obs_model::Accepted;
use proptest::prelude::*;
use support::{Lines, Scripted, Step, config};

#[derive(Clone, Debug)]
enum Event {
    Offer { size: usize, priority: usize },
    Pass(u64),
    Flush(u64),
}

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    capacity: usize,
    max_bytes: usize,
    overflow: Overflow,
    max_items: usize,
    concurrency: usize,
    endpoints: usize,
    max_attempts: u32,
    max_age_ms: u64,
    breaks: bool,
    events: Vec<Event>,
    deadline_ms: u64,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (0_usize..40, 0_usize..5).prop_map(|(size, priority)| Event::Offer { size, priority }),
        2 => (0_u64..2_000).prop_map(Event::Pass),
        1 => (0_u64..3_000).prop_map(Event::Flush),
    ];
    proptest::collection::vec(event, 0..120)
}

fn plan() -> impl Strategy<Value = Plan> {
    let overflow = prop_oneof![
        Just(Overflow::DropNewest),
        Just(Overflow::DropOldest),
        Just(Overflow::ByPriority)
    ];
    let queue = (1_usize..30, 60_usize..1_000, overflow);
    let sending = (1_usize..8, 1_usize..4, 1_usize..4, any::<bool>());
    let retry = (1_u32..8, 500_u64..30_000);
    (any::<u64>(), queue, sending, retry, events(), 0_u64..20_000).prop_map(
        |(seed, queue, sending, retry, events, deadline_ms)| Plan {
            seed,
            capacity: queue.0,
            max_bytes: queue.1,
            overflow: queue.2,
            max_items: sending.0,
            concurrency: sending.1,
            endpoints: sending.2,
            breaks: sending.3,
            max_attempts: retry.0,
            max_age_ms: retry.1,
            events,
            deadline_ms,
        },
    )
}

fn step(rng: &mut fastrand::Rng) -> Step {
    match rng.u32(0..20) {
        0..8 => Step::Deliver,
        8 => Step::DeliverAfter(Duration::from_millis(rng.u64(0..2_000))),
        9..12 => Step::Fail,
        12 => Step::FailAsking(Duration::from_millis(rng.u64(0..5_000))),
        13 => Step::Refuse,
        14 => Step::PanicLater,
        15 => Step::Hang,
        16 => Step::TooLarge,
        _ => Step::Partial(rng.u64(..)),
    }
}

impl Plan {
    fn config(&self) -> DeliveryConfig {
        DeliveryConfig {
            capacity: self.capacity,
            max_bytes: self.max_bytes,
            max_message_bytes: 44,
            overflow: self.overflow,
            batch: BatchConfig {
                max_items: self.max_items,
                max_bytes: 200,
                max_age: Duration::from_millis(300),
            },
            concurrency: self.concurrency,
            timeout: Duration::from_secs(1),
            retry: RetryPolicy {
                max_attempts: self.max_attempts,
                max_age: Duration::from_millis(self.max_age_ms),
                ..RetryPolicy::default()
            },
            breaker: self.breaks.then(|| BreakerConfig {
                failures: 2,
                open_for: Duration::from_millis(700),
                max_open_for: Duration::from_secs(3),
                probe_timeout: Duration::from_millis(300),
            }),
            ..config()
        }
    }

    async fn run(&self) -> (u64, u64, DeliveryReport, Lines) {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let transport = Scripted::new((0..600).map(|_| step(&mut rng)).collect::<Vec<_>>());
        let mut builder = Delivery::builder(self.config()).encoder(Framing::lines());
        for endpoint in 0..self.endpoints {
            builder = builder.endpoint(endpoint.to_string(), transport.clone());
        }
        let delivery = builder.start().unwrap();
        let (mut offered, mut refused) = (0, 0);
        for event in &self.events {
            match event {
                Event::Offer { size, priority } => {
                    let body = format!("{offered:04}{}", "x".repeat(*size));
                    let message = Message::new(body).with_priority(Priority::ALL[*priority]);
                    offered += 1;
                    refused += u64::from(delivery.offer(message) != Accepted::Taken);
                }
                Event::Pass(millis) => tokio::time::sleep(Duration::from_millis(*millis)).await,
                Event::Flush(millis) => {
                    let report = delivery.flush(Duration::from_millis(*millis)).await;
                    assert!(!report.is_complete || report.queued == 0, "{report:?}");
                }
            }
            let status = delivery.status();
            let settled = status.delivered + status.dropped.total() + status.undelivered;
            assert_eq!(status.offered, settled + status.queued as u64);
            assert_eq!(status.offered, offered);
            assert!(status.queued <= self.capacity && status.queued_bytes <= self.max_bytes);
        }
        let report = delivery.shutdown(Duration::from_millis(self.deadline_ms)).await;
        let status = delivery.status();
        assert_eq!((status.queued, status.queued_bytes, status.in_flight), (0, 0, 0));
        (offered, refused, report, transport.lines())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_exactly_one_fate(plan in plan()) {
        silence_scripted_panics();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (offered, refused, report, lines) = runtime.unwrap().block_on(plan.run());
        prop_assert_eq!(report.offered, offered);
        prop_assert_eq!(
            report.offered, report.delivered + report.dropped.total() + report.undelivered
        );
        prop_assert_eq!(report.dropped.refused(), refused);
        prop_assert_eq!(report.delivered, lines.accepted.len() as u64);
        prop_assert_eq!(report.dropped.permanent, lines.refused.len() as u64);
        let all: Vec<&String> = lines.accepted.iter().chain(&lines.refused).collect();
        prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "two fates");
        if plan.concurrency == 1 && plan.max_items == 1 {
            prop_assert!(lines.accepted.is_sorted(), "{:?}", lines.accepted);
        }
    }
}

fn silence_scripted_panics() {
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("scripted panic") {
            std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{info}\n")).unwrap();
        }
    }));
}
