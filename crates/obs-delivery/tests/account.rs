//! The account is exact over random sequences: every message offered is in exactly one column.

mod support;

use std::time::Duration;

use obs_delivery::{Delivery, DeliveryConfig, DeliveryReport, Message, RetryPolicy};
use obs_model::Accepted;
use support::{Scripted, Step};

fn random_step(rng: &mut fastrand::Rng) -> Step {
    match rng.u32(0..20) {
        0..8 => Step::Deliver,
        8..10 => Step::DeliverAfter(Duration::from_millis(rng.u64(0..3_000))),
        10..14 => Step::Fail,
        14 => Step::FailAsking(Duration::from_millis(rng.u64(0..20_000))),
        15 | 16 => Step::Refuse,
        17 => Step::PanicAtOnce,
        18 => Step::PanicLater,
        _ => Step::Hang,
    }
}

fn random_config(rng: &mut fastrand::Rng) -> DeliveryConfig {
    DeliveryConfig {
        capacity: rng.usize(1..12),
        max_bytes: rng.usize(40..200),
        max_message_bytes: 40,
        timeout: Duration::from_millis(rng.u64(500..4_000)),
        retry: RetryPolicy {
            max_attempts: rng.u32(1..6),
            max_age: Duration::from_millis(rng.u64(1_000..30_000)),
            ..RetryPolicy::default()
        },
        ..support::config()
    }
}

/// What the test itself counted.
#[derive(Default)]
struct Model {
    offered: u64,
    taken: Vec<String>,
    refused: u64,
}

async fn run(rng: &mut fastrand::Rng) -> (Model, DeliveryReport, Scripted) {
    let transport = Scripted::new((0..400).map(|_| random_step(rng)).collect::<Vec<_>>());
    let delivery = Delivery::start(random_config(rng), transport.clone()).unwrap();
    let mut model = Model::default();
    for step in 0..rng.usize(0..80) {
        if rng.u32(0..3) > 0 {
            let body = format!("{step:04}{}", "x".repeat(rng.usize(0..42)));
            model.offered += 1;
            match delivery.offer(Message::new(body.clone())) {
                Accepted::Taken => model.taken.push(body),
                Accepted::Dropped(_) => model.refused += 1,
            }
        } else {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..4_000))).await;
        }
        let status = delivery.status();
        let settled = status.delivered + status.dropped.total() + status.undelivered;
        assert_eq!((status.recovered, status.spooled), (0, 0));
        assert_eq!(status.offered, settled + status.queued as u64);
        assert_eq!(status.offered, model.offered);
    }
    let report = delivery.shutdown(Duration::from_millis(rng.u64(0..20_000))).await;
    (model, report, transport)
}

fn check(model: &Model, report: &DeliveryReport, transport: &Scripted) {
    let dropped = report.dropped;
    assert_eq!(report.offered, model.offered);
    assert_eq!(report.offered, report.delivered + dropped.total() + report.undelivered);
    assert_eq!(dropped.queue_full + dropped.too_large + dropped.closed, model.refused);

    // The transport's own account of what it did must be the same.
    assert_eq!(transport.delivered().len() as u64, report.delivered);
    let refusals = [Step::Refuse, Step::PanicAtOnce, Step::PanicLater];
    let attempts = transport.attempts();
    let refused = attempts.iter().filter(|it| it.ended.is_some_and(|end| refusals.contains(&end)));
    assert_eq!(refused.count() as u64, dropped.permanent);

    // Attempts follow the order of the offers, and nothing is delivered twice.
    let position = |body: &String| model.taken.iter().position(|taken| taken == body).unwrap();
    let tried: Vec<usize> = transport.tried().iter().map(position).collect();
    assert!(tried.is_sorted(), "{tried:?}");
    let delivered: Vec<usize> = transport.delivered().iter().map(position).collect();
    assert!(delivered.windows(2).all(|pair| pair[0] < pair[1]), "{delivered:?}");
}

#[tokio::test(start_paused = true)]
async fn offered_is_delivered_and_dropped_and_undelivered_for_any_sequence() {
    std::panic::set_hook(Box::new(|info| {
        // The scripted panics are expected, and hundreds of them would hide a real one.
        if !info.to_string().contains("scripted panic") {
            std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{info}\n")).unwrap();
        }
    }));
    let mut seen = [0_u64; 8];
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (model, report, transport) = run(&mut rng).await;
        let outcome = std::panic::catch_unwind(|| check(&model, &report, &transport));
        assert!(outcome.is_ok(), "seed {seed}: {report:?} {:?}", transport.attempts());
        let dropped = report.dropped;
        let columns = [
            report.delivered,
            report.undelivered,
            dropped.queue_full,
            dropped.too_large,
            dropped.permanent,
            dropped.attempts,
            dropped.expired,
            1,
        ];
        for (seen, count) in seen.iter_mut().zip(columns) {
            *seen += count;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "some outcome never came up: {seen:?}");
}
