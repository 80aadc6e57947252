//! No query makes the evaluation panic or pass its limits, whatever it asks of counters, gauges and gaps.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use obs_model::{Labels, Sample, Timestamp};
use obs_query::promql::{Engine, EngineOptions, ParseOptions, Steps, parse_bytes};
use obs_query::{STALE, SeriesStore, StoreConfig};

/// An hour of a few series: a counter with resets, gauges with odd values, a histogram, one that ends.
static STORE: LazyLock<SeriesStore> = LazyLock::new(|| {
    let store = SeriesStore::new(StoreConfig::default());
    let append = |labels: &[(&str, &str)], value: &dyn Fn(i64) -> Option<f64>| {
        let series = Labels::new(labels.iter().copied()).expect("the labels are valid");
        for tick in 0..240 {
            if let Some(value) = value(tick) {
                let sample = Sample { timestamp: Timestamp::from_millis(tick * 15_000), value };
                store.append(&series, sample).expect("the samples are in order");
            }
        }
    };
    for code in ["200", "404", "500"] {
        append(&[("__name__", "c"), ("code", code)], &|tick| Some((tick % 100) as f64));
    }
    let odd = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, -1.5];
    for host in ["a", "b"] {
        append(&[("__name__", "g"), ("host", host)], &|tick| Some(odd[tick as usize % odd.len()]));
    }
    for (le, slope) in [("0.1", 1.0), ("1", 2.0), ("+Inf", 2.5)] {
        append(&[("__name__", "h_bucket"), ("le", le)], &|tick| Some(tick as f64 * slope));
    }
    append(&[("__name__", "ended")], &|tick| match tick {
        0..120 => (tick % 3 != 0).then_some(1.0),
        120 => Some(STALE),
        _ => None,
    });
    store
});

fuzz_target!(|text: &[u8]| {
    let parse = ParseOptions::all();
    let Ok(query) = parse_bytes(text, parse) else {
        return;
    };
    let engine = Engine::new(EngineOptions {
        max_samples: 20_000,
        max_samples_read: 200_000,
        timeout: Duration::from_millis(500),
        parse,
        ..EngineOptions::default()
    });
    let at = Timestamp::from_millis(2_000_007);
    // OK because an error is an answer, too: what counts is that there is one.
    let _ = engine.instant(&*STORE, &query, at, &|| false);
    let steps = Steps {
        start: Timestamp::from_millis(1_000_000),
        end: at,
        step: Duration::from_secs(61),
    };
    let _ = engine.range(&*STORE, &query, steps, &|| false);
});
