//! The same recordings through this recorder and through metrics-exporter-prometheus give the same series and values.

use std::collections::BTreeMap;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use obs_metrics::Registry;
use obs_metrics::expose::parse;

/// Like all observations, multiples of a power of two: their sum is exact in whatever order it is made.
const BOUNDS: [f64; 5] = [0.015_625, 0.125, 0.5, 1.0, 5.0];
const RECORDINGS: usize = 20_000;

/// Records what a seeded generator says: every kind, with no label, one and two, values on and between the bounds.
fn record() {
    let mut random = fastrand::Rng::with_seed(20_261_122);
    for _ in 0..RECORDINGS {
        let code = ["200", "404", "500", "a \"b\"\\c\nd"][random.usize(..4)];
        let route = format!("/r/{}", random.u8(..20));
        match random.u8(..7) {
            0 => counter!("plain_total").increment(random.u64(..5)),
            1 => counter!("requests_total", "code" => code, "route" => route).increment(1),
            2 => counter!("absolute_total", "code" => code).absolute(random.u64(..1_000)),
            3 => gauge!("level", "route" => route).set(random.f64() * 1e6 - 5e5),
            4 => gauge!("balance", "code" => code).increment(f64::from(random.u8(..100)) / 8.0),
            5 => gauge!("balance", "code" => code).decrement(f64::from(random.u8(..100)) / 8.0),
            _ => {
                let value = if random.bool() {
                    BOUNDS[random.usize(..5)]
                } else {
                    f64::from(random.u16(..8_192)) / 1_024.0
                };
                histogram!("took_seconds", "code" => code).record(value);
            }
        }
    }
}

/// Every sample by its name and labels, with the family's type; what a recorder says of itself is left out.
fn samples(document: &str) -> BTreeMap<String, (String, f64)> {
    let families = parse::text(document.as_bytes()).expect("the exposition is valid");
    let foreign = families.into_iter().filter(|family| !family.name.starts_with("obskit_"));
    let of_family = |family: parse::Family| {
        let kind = format!("{:?}", family.kind);
        family.samples.into_iter().map(move |sample| {
            let mut labels: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            labels.sort();
            (format!("{}{labels:?}", sample.name), (kind.clone(), sample.value))
        })
    };
    foreign.flat_map(of_family).collect()
}

#[test]
fn the_same_workload_gives_equal_series_and_values() {
    let ours = Registry::default();
    ours.set_buckets("took_seconds", &BOUNDS).expect("the bounds are in order");
    metrics::with_local_recorder(&ours, record);

    let theirs = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("took_seconds".to_owned()), &BOUNDS)
        .expect("the bounds are not empty")
        .build_recorder();
    metrics::with_local_recorder(&theirs, record);

    let (ours, theirs) = (samples(&ours.render_text()), samples(&theirs.handle().render()));
    assert!(ours.len() > 100, "too little was recorded to compare: {}", ours.len());
    for (series, value) in &theirs {
        assert_eq!(ours.get(series), Some(value), "{series}");
    }
    assert_eq!(ours.len(), theirs.len());
}
