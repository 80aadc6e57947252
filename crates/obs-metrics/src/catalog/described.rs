//! Metrics that other crates record through the `metrics` macros: their help and buckets.

use crate::registry::Registry;

const API_DURATION_BUCKETS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 750.0, 1_000.0, 2_000.0, 5_000.0,
    10_000.0,
];
const LOG_DURATION_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0];

/// Describes the metrics of HTTP requests that the service serves:
///
/// | metric | |
/// |---|---|
/// | `api_requests_total{endpoint,method,status}` | requests; `endpoint` is the route's template |
/// | `api_errors_total{endpoint,method}` | requests that failed |
/// | `api_request_duration_ms{endpoint,method}` | how long they took, 1 ms to 10 s |
pub fn describe_api(registry: &Registry) {
    registry.declare(
        "api_requests_total",
        "API requests, by route template, method and status code.",
        None,
    );
    registry.declare(
        "api_errors_total",
        "API requests that failed, by route template and method.",
        None,
    );
    registry.declare(
        "api_request_duration_ms",
        "Duration of API requests in milliseconds, by route template and method.",
        Some(API_DURATION_BUCKETS),
    );
}

/// Describes the metrics of log lines:
///
/// | metric | |
/// |---|---|
/// | `log_events_total{level,service}` | log events |
/// | `log_processing_duration_ms` | how long it took to filter, redact and encode one, 1 µs to 100 ms |
pub fn describe_logs(registry: &Registry) {
    registry.declare("log_events_total", "Log events, by level and service.", None);
    registry.declare(
        "log_processing_duration_ms",
        "Time to filter, redact and encode one log event, in milliseconds.",
        Some(LOG_DURATION_BUCKETS),
    );
}
