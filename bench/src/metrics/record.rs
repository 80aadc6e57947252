//! Recording: handles and macros, on one thread and on two that share a series.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use metrics::{counter, histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use obs_metrics::Registry;
use opentelemetry::KeyValue;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;

use crate::heap;
use crate::measure::{Contender, compare};
use crate::report::Row;
use crate::setup::{self, BOUNDS, observation};

/// The name that our contender goes by.
const OURS: &str = "obskit";
const EXPORTER: &str = "metrics-exporter-prometheus";
/// No recorder, and so no peer.
const KEY_ALONE: &str = "(key alone)";

struct Case {
    name: &'static str,
    contenders: Vec<Contender>,
}

fn cases() -> Vec<Case> {
    vec![
        Case { name: "counter handle", contenders: counter_handles() },
        Case { name: "counter! no labels", contenders: counter_macros() },
        Case { name: "counter! two static labels", contenders: static_labels() },
        Case { name: "counter! two dynamic String labels", contenders: dynamic_labels() },
        Case { name: "counter of a typed family, two labels", contenders: families() },
        Case { name: "gauge handle", contenders: gauge_handles() },
        Case { name: "histogram handle", contenders: histogram_handles() },
        Case { name: "histogram! two static labels", contenders: histogram_macros() },
    ]
}

pub(crate) fn measure(only: &str, rounds: usize, rows: &mut Vec<Row>) {
    for case in cases().into_iter().filter(|case| case.name.contains(only)) {
        for threads in [1, 2] {
            let spent = compare(&case.contenders, threads, rounds);
            let all: Vec<_> = case.contenders.iter().map(|one| one.name).zip(spent).collect();
            rows.push(Row::new(format!("{}, {threads}T", case.name), "ns per call", OURS, &all));
        }
        let calls = |contender: &Contender| {
            (contender.work)(100);
            heap::counted(|| (contender.work)(1_000)).calls as f64 / 1_000.0
        };
        let all: Vec<_> = case.contenders.iter().map(|one| (one.name, calls(one))).collect();
        rows.push(Row::new(format!("{}, allocations", case.name), "per call", OURS, &all));
    }
}

/// Runs one contender of one case, for a count of instructions.
pub(crate) fn run_once(case: &str, contender: &str, calls: u64) -> Result<(), Box<dyn Error>> {
    let case = cases().into_iter().find(|one| one.name == case).ok_or("there is no such case")?;
    let found = case.contenders.iter().find(|one| one.name == contender);
    (found.ok_or("there is no such contender")?.work)(calls);
    Ok(())
}

fn counter_handles() -> Vec<Contender> {
    let ours = setup::ours().counter("requests_total", &[]);
    let exporter = with_local_recorder(&*setup::exporter(), || counter!("requests_total"));
    let client = prometheus_client::metrics::counter::Counter::<u64>::default();
    let classic = prometheus::IntCounter::new("requests_total", "Requests.").ok();
    let measured = measured::Counter::new();
    let otel = setup::opentelemetry();
    let bound = otel.meter.u64_counter("requests").build();
    let mut all = vec![
        Contender::new(OURS, move |times| {
            for _ in 0..times {
                black_box(&ours).increment(1);
            }
        }),
        Contender::new(EXPORTER, move |times| {
            for _ in 0..times {
                black_box(&exporter).increment(1);
            }
        }),
        Contender::new("prometheus-client", move |times| {
            for _ in 0..times {
                black_box(&client).inc();
            }
        }),
        Contender::new("measured", move |times| {
            for _ in 0..times {
                black_box(&measured).get_metric().inc();
            }
        }),
        Contender::new("opentelemetry", move |times| {
            let _keep = &otel;
            for _ in 0..times {
                black_box(&bound).add(1, &[]);
            }
        }),
    ];
    all.extend(classic.map(|classic| {
        Contender::new("prometheus", move |times| {
            for _ in 0..times {
                black_box(&classic).inc();
            }
        })
    }));
    all
}

fn both(
    ours: impl Fn(u64) + Send + Sync + Copy + 'static,
) -> (Registry, Arc<PrometheusRecorder>, [Contender; 2]) {
    let (registry, exporter) = (setup::ours(), setup::exporter());
    let (own, peer) = (registry.clone(), Arc::clone(&exporter));
    let contenders = [
        Contender::new(OURS, move |times| with_local_recorder(&own, || ours(times))),
        Contender::new(EXPORTER, move |times| with_local_recorder(&*peer, || ours(times))),
    ];
    (registry, exporter, contenders)
}

fn counter_macros() -> Vec<Contender> {
    let (.., contenders) = both(|times| {
        for _ in 0..times {
            counter!("requests_total").increment(1);
        }
    });
    contenders.into()
}

fn static_labels() -> Vec<Contender> {
    let (.., contenders) = both(|times| {
        for _ in 0..times {
            counter!("requests_total", "method" => "GET", "status" => "200").increment(1);
        }
    });
    contenders.into()
}

fn dynamic_labels() -> Vec<Contender> {
    let with_labels = |times| {
        let (method, route) = (black_box(String::from("GET")), black_box(String::from("/orders")));
        for _ in 0..times {
            counter!("requests_total", "method" => method.clone(), "route" => route.clone())
                .increment(1);
        }
    };
    let (.., contenders) = both(with_labels);
    let mut all = Vec::from(contenders);
    // What the macro itself spends on making and dropping the key, whatever the recorder.
    all.push(Contender::new(KEY_ALONE, move |times| {
        with_local_recorder(&metrics::NoopRecorder, || with_labels(times));
    }));
    all
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    status: &'static str,
}

obs_metrics::label_set! {
    struct OwnLabels {
        method: &'static str,
        status: &'static str,
    }
}

fn families() -> Vec<Contender> {
    let client = Family::<Labels, prometheus_client::metrics::counter::Counter>::default();
    let otel = setup::opentelemetry();
    let instrument = otel.meter.u64_counter("requests").build();
    let attributes = [KeyValue::new("method", "GET"), KeyValue::new("status", "200")];
    let ours = setup::ours().counter_family::<OwnLabels>("requests_total");
    vec![
        Contender::new(OURS, move |times| {
            let labels = OwnLabels { method: "GET", status: "200" };
            for _ in 0..times {
                ours.with(black_box(&labels), |counter| counter.increment(1));
            }
        }),
        Contender::new("prometheus-client", move |times| {
            let labels = Labels { method: "GET", status: "200" };
            for _ in 0..times {
                client.get_or_create(black_box(&labels)).inc();
            }
        }),
        Contender::new("opentelemetry", move |times| {
            let _keep = &otel;
            for _ in 0..times {
                black_box(&instrument).add(1, black_box(&attributes));
            }
        }),
    ]
}

fn gauge_handles() -> Vec<Contender> {
    let ours = setup::ours().gauge("depth", &[]);
    let exporter = with_local_recorder(&*setup::exporter(), || metrics::gauge!("depth"));
    let client =
        prometheus_client::metrics::gauge::Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    vec![
        Contender::new(OURS, move |times| {
            for _ in 0..times {
                black_box(&ours).increment(1.0);
            }
        }),
        Contender::new(EXPORTER, move |times| {
            for _ in 0..times {
                black_box(&exporter).increment(1.0);
            }
        }),
        Contender::new("prometheus-client", move |times| {
            for _ in 0..times {
                black_box(&client).inc();
            }
        }),
    ]
}

fn histogram_handles() -> Vec<Contender> {
    let ours = setup::ours().histogram("wait_seconds", &[]);
    let recorder = setup::exporter();
    let exporter = with_local_recorder(&*recorder, || histogram!("wait_seconds"));
    let upkeep = recorder.handle();
    let client = prometheus_client::metrics::histogram::Histogram::new(BOUNDS);
    let options = prometheus::HistogramOpts::new("wait_seconds", "Wait.").buckets(BOUNDS.into());
    let classic = prometheus::Histogram::with_opts(options).ok();
    let thresholds = measured::metric::histogram::Thresholds::with_buckets(BOUNDS);
    let measured = measured::Histogram::with_metadata(thresholds);
    let otel = setup::opentelemetry();
    let bound = otel.meter.f64_histogram("wait").with_boundaries(BOUNDS.into()).build();
    let mut all = vec![
        Contender::new(OURS, move |times| {
            for time in 0..times {
                black_box(&ours).record(observation(time));
            }
        }),
        // Its samples are kept until the upkeep that a service has to run, so that is part of the cost.
        Contender::new(EXPORTER, move |times| {
            for time in 0..times {
                black_box(&exporter).record(observation(time));
                if time % 100_000 == 99_999 {
                    upkeep.run_upkeep();
                }
            }
            upkeep.run_upkeep();
        }),
        Contender::new("prometheus-client", move |times| {
            for time in 0..times {
                black_box(&client).observe(observation(time));
            }
        }),
        Contender::new("measured", move |times| {
            for time in 0..times {
                black_box(&measured).get_metric().observe(observation(time));
            }
        }),
        Contender::new("opentelemetry", move |times| {
            let _keep = &otel;
            for time in 0..times {
                black_box(&bound).record(observation(time), &[]);
            }
        }),
    ];
    all.extend(classic.map(|classic| {
        Contender::new("prometheus", move |times| {
            for time in 0..times {
                black_box(&classic).observe(observation(time));
            }
        })
    }));
    all
}

fn histogram_macros() -> Vec<Contender> {
    let (_, exporter, [ours, peer]) = both(|times| {
        for time in 0..times {
            histogram!("wait_seconds", "method" => "GET", "status" => "200")
                .record(observation(time));
        }
    });
    let upkeep = exporter.handle();
    let peer = Contender::new(EXPORTER, move |times| {
        (peer.work)(times);
        upkeep.run_upkeep();
    });
    vec![ours, peer]
}
