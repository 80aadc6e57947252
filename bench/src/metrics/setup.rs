//! The libraries, set up with the same series.

use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use obs_metrics::{Registry, RegistryConfig};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};

/// The bounds of every histogram: ten buckets.
pub(crate) const BOUNDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Sizes that fall into all of the buckets.
pub(crate) fn observation(time: u64) -> f64 {
    const VALUES: [f64; 8] = [0.004, 0.2, 0.03, 0.7, 0.08, 1.5, 0.01, 4.0];
    VALUES[(time % 8) as usize]
}

pub(crate) fn ours() -> Registry {
    let caps = RegistryConfig {
        max_series: 1_000_000,
        max_series_per_metric: 1_000_000,
        ..RegistryConfig::default()
    };
    let registry = Registry::new(caps);
    for name in ["wait_seconds", "h_seconds"] {
        // OK because the bounds are rising; were they refused, the benchmark would say so by its output.
        let _ = registry.set_buckets(name, &BOUNDS);
    }
    registry
}

pub(crate) fn exporter() -> Arc<PrometheusRecorder> {
    let builder = PrometheusBuilder::new();
    let builder = match builder.set_buckets(&BOUNDS) {
        Ok(builder) => builder,
        Err(_) => PrometheusBuilder::new(),
    };
    Arc::new(builder.build_recorder())
}

/// A provider that nobody reads, as between two collections.
pub(crate) struct OpenTelemetry {
    pub(crate) _provider: SdkMeterProvider,
    pub(crate) meter: opentelemetry::metrics::Meter,
}

pub(crate) fn opentelemetry() -> OpenTelemetry {
    let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
    OpenTelemetry { meter: provider.meter("bench"), _provider: provider }
}
