//! Whatever is recorded reads back as the same from every format.

use std::collections::BTreeMap;

use obs_metrics::Registry;
use obs_metrics::expose::parse::{self, Family, FamilyType, Names};
use obs_metrics::expose::proto;
use obs_model::{Gather, MetricValue};
use proptest::prelude::*;
use prost::Message;

/// One recording: kind, name, labels and value.
type Recording = (u8, String, Vec<(String, String)>, f64);

fn recording() -> impl Strategy<Value = Recording> {
    let name =
        prop_oneof!["[a-c]{1,2}(_(total|created|info|count|seconds))?", "[a-c.ü \\\\\"\n]{1,4}",];
    let label = prop_oneof!["[a-c]{1,2}", "[a-c.ü\"\n ]{1,3}", Just(String::from("le"))];
    let value = any::<String>();
    let number = prop_oneof![any::<f64>(), (0_u32..2_000_000).prop_map(f64::from), -2.0..2.0];
    (0_u8..4, name, prop::collection::vec((label, value), 0..3), number)
}

fn record(registry: &Registry, (kind, name, labels, value): &Recording) {
    let labels: Vec<_> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    match kind {
        // OK because a cast saturates.
        0 => registry.counter(name, &labels).increment(value.abs() as u64 % 1_000_000_007),
        1 => registry.float_counter(name, &labels).increment(value.abs()),
        2 => registry.gauge(name, &labels).set(*value),
        _ => registry.histogram(name, &labels).record(*value),
    }
}

/// Every sample by name and sorted labels, `le` as a number's text.
type Samples = BTreeMap<(String, Vec<(String, String)>), u64>;

fn insert(samples: &mut Samples, name: String, labels: &[(String, String)], value: f64) {
    let mut labels = labels.to_vec();
    for (label, value) in &mut labels {
        if label == "le"
            && let (true, Ok(bound)) = (name.ends_with("_bucket"), value.parse::<f64>())
        {
            *value = bound.to_string();
        }
    }
    labels.sort();
    let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    assert_eq!(samples.insert((name, labels), bits), None);
}

fn parsed_samples(families: &[Family]) -> Samples {
    let mut samples = Samples::new();
    for sample in families.iter().flat_map(|family| &family.samples) {
        if !sample.name.starts_with("obskit_metrics_") {
            insert(&mut samples, sample.name.clone(), &sample.labels, sample.value);
        }
    }
    samples
}

/// What the registry holds, with the names of the lines that show it.
fn gathered_samples(registry: &Registry) -> Samples {
    let mut samples = Samples::new();
    registry.gather(&mut |family| {
        if family.name.starts_with("obskit_metrics_") {
            return;
        }
        for point in &family.points {
            let labels: Vec<_> = point
                .labels
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            match &point.value {
                MetricValue::Counter(value) | MetricValue::Gauge(value) => {
                    insert(&mut samples, family.name.to_string(), &labels, *value);
                }
                MetricValue::Histogram(histogram) => {
                    for bucket in &histogram.buckets {
                        let mut labels = labels.clone();
                        labels.push((String::from("le"), bucket.upper_bound.to_string()));
                        let count = bucket.cumulative_count as f64;
                        insert(&mut samples, format!("{}_bucket", family.name), &labels, count);
                    }
                    insert(&mut samples, format!("{}_sum", family.name), &labels, histogram.sum);
                    let count = histogram.count as f64;
                    insert(&mut samples, format!("{}_count", family.name), &labels, count);
                }
            }
        }
    });
    samples
}

fn written(registry: &Registry, accept: &str) -> Vec<u8> {
    let mut document = Vec::new();
    registry.negotiate(Some(accept), None).write(&mut document).unwrap();
    document
}

/// The number of families and the samples of a protobuf document, with the names of the text format.
fn protobuf_samples(document: &[u8]) -> Samples {
    let mut rest = document;
    let mut samples = Samples::new();
    while !rest.is_empty() {
        let family = proto::MetricFamily::decode_length_delimited(&mut rest).unwrap();
        let name = family.name();
        if name.starts_with("obskit_metrics_") {
            continue;
        }
        for metric in &family.metric {
            let labels: Vec<_> = metric
                .label
                .iter()
                .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
                .collect();
            if let Some(counter) = &metric.counter {
                insert(&mut samples, name.to_owned(), &labels, counter.value());
            }
            if let Some(gauge) = &metric.gauge {
                insert(&mut samples, name.to_owned(), &labels, gauge.value());
            }
            if let Some(histogram) = &metric.histogram {
                for bucket in &histogram.bucket {
                    let mut labels = labels.clone();
                    labels.push((String::from("le"), bucket.upper_bound().to_string()));
                    let count = bucket.cumulative_count() as f64;
                    insert(&mut samples, format!("{name}_bucket"), &labels, count);
                }
                insert(&mut samples, format!("{name}_sum"), &labels, histogram.sample_sum());
                let count = histogram.sample_count() as f64;
                insert(&mut samples, format!("{name}_count"), &labels, count);
            }
        }
    }
    samples
}

proptest! {
    #[test]
    fn every_format_reads_back(recordings in prop::collection::vec(recording(), 0..25), help in any::<String>()) {
        let registry = Registry::default();
        for recording in &recordings {
            registry.describe(&recording.1, &help);
            record(&registry, recording);
        }
        let expected = gathered_samples(&registry);

        let text = parse::text(&written(&registry, "text/plain")).unwrap();
        prop_assert_eq!(&parsed_samples(&text), &expected);
        prop_assert!(text.iter().filter(|family| !family.name.starts_with("obskit_")).all(|family| family.help == help.trim_start_matches([' ', '\t'])));

        prop_assert_eq!(&protobuf_samples(&written(&registry, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")), &expected);

        // OpenMetrics has more lines (_created), fewer (a sum that fell), and other names of counters.
        let document = written(&registry, "application/openmetrics-text");
        let families = parse::openmetrics(&document)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{}", String::from_utf8_lossy(&document))))?;
        for family in &families {
            for sample in &family.samples {
                let name = match family.kind {
                    _ if sample.name.ends_with("_created") && sample.name != family.name => continue,
                    _ if family.name.starts_with("obskit_metrics_") => continue,
                    FamilyType::Counter if !expected.keys().any(|(name, _)| *name == sample.name) => family.name.clone(),
                    _ => sample.name.clone(),
                };
                let mut one = Samples::new();
                insert(&mut one, name, &sample.labels, sample.value);
                let (key, value) = one.pop_first().unwrap();
                prop_assert_eq!(expected.get(&key), Some(&value), "{:?}", key);
            }
        }

        for accept in [
            "application/openmetrics-text;escaping=allow-utf-8",
            "application/openmetrics-text;escaping=dots",
            "application/openmetrics-text;escaping=values",
        ] {
            let document = written(&registry, accept);
            if let Err(error) = parse::openmetrics_with(&document, Names::Utf8) {
                return Err(TestCaseError::fail(format!("{accept}: {error}\n{}", String::from_utf8_lossy(&document))));
            }
        }
        parse::text_with(&written(&registry, "text/plain;version=1.0.0;escaping=allow-utf-8"), Names::Utf8).unwrap();
    }

    #[test]
    fn no_document_makes_a_parser_panic(document in prop::collection::vec(prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec!["# TYPE ", "# HELP ", "# UNIT ", "# EOF", "\n", " ", "a", "_total", "_bucket", "{", "}", "le=\"", "+Inf", "\"", "\\", ",", "1", " # {", "histogram", "counter", "é"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
    ], 0..40)) {
        let document = document.concat();
        for names in [Names::Legacy, Names::Utf8] {
            let _ = parse::openmetrics_with(&document, names);
            let _ = parse::text_with(&document, names);
        }
    }
}
