//! Rendering an exposition: time per line, and memory at the highest point.

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use metrics::{counter, histogram, with_local_recorder};
use prometheus::Encoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::heap;
use crate::measure::{Contender, compare};
use crate::report::Row;
use crate::setup::{self, BOUNDS, observation};

const OURS: &str = "obskit";

/// The labels of every series, as prometheus-client takes them.
type Labels = Vec<(&'static str, String)>;

fn labels(id: usize) -> [(&'static str, String); 2] {
    [("method", String::from("GET")), ("id", id.to_string())]
}

pub(crate) fn measure(only: &str, rounds: usize, rows: &mut Vec<Row>) {
    for (name, lines, contenders) in [
        ("render 1,000 counters", 1_000, counters as fn(usize) -> Vec<Contender>),
        ("render 100,000 counters", 100_000, counters),
        ("render 10,000 histograms of 10 buckets", 10_000 * 13, histograms),
    ] {
        if !name.contains(only) {
            continue;
        }
        let series = if name.contains("histograms") { lines / 13 } else { lines };
        let contenders = contenders(series);
        let spent = compare(&contenders, 1, rounds);
        let per_line = contenders.iter().zip(spent).map(|(one, ns)| (one.name, ns / lines as f64));
        rows.push(Row::new(name, "ns per line", OURS, &per_line.collect::<Vec<_>>()));
        let peak = |contender: &Contender| {
            let peak = heap::counted(|| (contender.work)(1)).peak_bytes;
            peak as f64 / 1_024.0
        };
        let peaks: Vec<_> = contenders.iter().map(|one| (one.name, peak(one))).collect();
        rows.push(Row::new(format!("{name}, peak heap"), "KiB", OURS, &peaks));
    }
}

fn contenders(
    ours: obs_metrics::Registry,
    exporter: metrics_exporter_prometheus::PrometheusHandle,
    client: prometheus_client::registry::Registry,
    classic: prometheus::Registry,
) -> Vec<Contender> {
    let client = Arc::new(client);
    vec![
        Contender::new(OURS, move |times| {
            for _ in 0..times {
                // OK because a sink takes everything.
                let _ = black_box(&ours).write_text(&mut io::sink());
            }
        }),
        Contender::new("prometheus-client", move |times| {
            for _ in 0..times {
                let mut text = String::new();
                let _ = encode(&mut text, &client);
                black_box(text);
            }
        }),
        Contender::new("prometheus", move |times| {
            for _ in 0..times {
                let mut text = Vec::new();
                let _ = prometheus::TextEncoder::new().encode(&classic.gather(), &mut text);
                black_box(text);
            }
        }),
        Contender::new("metrics-exporter-prometheus", move |times| {
            for _ in 0..times {
                black_box(exporter.render());
            }
        }),
    ]
}

fn counters(series: usize) -> Vec<Contender> {
    let ours = setup::ours();
    let exporter = setup::exporter();
    let family = Family::<Labels, Counter>::default();
    let mut client = prometheus_client::registry::Registry::default();
    client.register("requests", "Requests.", family.clone());
    let classic = prometheus::Registry::new();
    let options = prometheus::Opts::new("requests_total", "Requests.");
    let vector = prometheus::IntCounterVec::new(options, &["method", "id"]).ok();
    ours.describe("requests_total", "Requests.");
    for id in 0..series {
        let record = || counter!("requests_total", &labels(id)).increment(id as u64 * 37);
        with_local_recorder(&ours, record);
        with_local_recorder(&*exporter, record);
        family.get_or_create(&labels(id).into()).inc_by(id as u64 * 37);
        if let Some(vector) = &vector {
            vector.with_label_values(&["GET", &id.to_string()]).inc_by(id as u64 * 37);
        }
    }
    if let Some(vector) = vector {
        let _ = classic.register(Box::new(vector));
    }
    contenders(ours, exporter.handle(), client, classic)
}

fn histograms(series: usize) -> Vec<Contender> {
    let ours = setup::ours();
    let exporter = setup::exporter();
    let family = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BOUNDS));
    let mut client = prometheus_client::registry::Registry::default();
    client.register("h_seconds", "Wait.", family.clone());
    let classic = prometheus::Registry::new();
    let options = prometheus::HistogramOpts::new("h_seconds", "Wait.").buckets(BOUNDS.into());
    let vector = prometheus::HistogramVec::new(options, &["method", "id"]).ok();
    ours.describe("h_seconds", "Wait.");
    for id in 0..series {
        for time in 0..4 {
            let value = observation(id as u64 + time);
            let record = || histogram!("h_seconds", &labels(id)).record(value);
            with_local_recorder(&ours, record);
            with_local_recorder(&*exporter, record);
            family.get_or_create(&labels(id).into()).observe(value);
            if let Some(vector) = &vector {
                vector.with_label_values(&["GET", &id.to_string()]).observe(value);
            }
        }
    }
    if let Some(vector) = vector {
        let _ = classic.register(Box::new(vector));
    }
    contenders(ours, exporter.handle(), client, classic)
}
