//! What the metrics of this crate mean, for those who read them.

use metrics::{describe_counter, describe_gauge, describe_histogram};

const COUNTERS: &[(&str, &str)] = &[
    ("database_errors_total", "Database operations that failed, by type of error."),
    ("grpc_client_requests_total", "Calls of gRPC to other services, by method and code."),
    ("grpc_server_requests_total", "Calls of gRPC that were served, by method and code."),
    ("http_client_requests_total", "HTTP requests to other services, by method, host and status."),
    ("obskit_baggage_dropped_total", "Pairs of baggage that were not taken or sent, by reason."),
    ("obskit_correlation_replaced_total", "Correlation ids from outside that were not valid."),
    ("obskit_log_dropped_total", "Log lines that were not written, by reason and level."),
    ("obskit_log_file_rotations_total", "Rotations of log files, by destination and result."),
    (
        "obskit_log_file_upkeep_failures_total",
        "Times that rotated log files could not be compressed or removed, by destination.",
    ),
    ("obskit_span_memory_dropped_total", "Finished spans that left the memory, by reason."),
    ("obskit_spans_dropped_total", "Spans that were not opened or not exported, by reason."),
    ("obskit_spans_exported_total", "Spans that a collector took."),
    ("obskit_spans_failed_total", "Spans that no collector took."),
    (
        "obskit_spans_rejected_total",
        "Spans that a collector did not store though it took their request.",
    ),
    ("obskit_traces_dropped_total", "Traces that were not sampled and not kept either, by reason."),
    ("obskit_traces_kept_total", "Traces that were not sampled and kept all the same, by reason."),
    ("span_errors_total", "Spans that failed, by name."),
    ("span_requests_total", "Spans that ended, by name."),
    ("tool_call_errors_total", "Calls to tools elsewhere that failed, by type of error."),
    ("tool_calls_total", "Calls to tools elsewhere that ended, by how they ended."),
    ("tool_errors_total", "Tool calls that failed, by type of error."),
    ("tool_executions_total", "Tool calls that ended, by how they ended."),
    ("websocket_connections_total", "WebSocket connections that ended, by close code."),
    ("websocket_messages_total", "WebSocket messages, by direction and type."),
];

const GAUGES: &[(&str, &str)] = &[
    ("database_connections_active", "Database connections in use."),
    ("database_connections_limit", "Most connections that the database pool may have."),
    ("websocket_connections_active", "WebSocket connections that are open."),
];

const HISTOGRAMS: &[(&str, &str)] = &[
    ("database_query_duration_seconds", "Duration of database queries, by operation."),
    ("database_query_result_rows", "Rows that database queries returned."),
    ("grpc_client_request_duration_seconds", "Duration of gRPC calls to other services."),
    ("grpc_server_request_duration_seconds", "Duration of gRPC calls that were served."),
    ("http_client_request_duration_seconds", "Duration of HTTP requests to other services."),
    ("span_duration_ms", "Duration of spans in milliseconds, by name."),
    ("tool_call_duration_seconds", "Duration of calls to tools elsewhere."),
    ("tool_duration_seconds", "Duration of tool calls."),
    ("websocket_connection_duration_seconds", "How long WebSocket connections were open."),
    ("websocket_message_bytes", "Size of WebSocket messages, by direction."),
];

/// Gives the metrics of this crate their help, through the `metrics` facade: once, after a recorder was installed.
///
/// The families of API requests and log lines have theirs from the catalogs of `obs-metrics`, and those of
/// [`Tools::new`](crate::tools::Tools::new) with a namespace from `ToolMetrics` there.
///
/// ```
/// obs_tracing::describe_metrics();
/// ```
pub fn describe_metrics() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(*name, *help);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every name in the sources that begins with `obskit_`, and whether its file describes what it names.
    fn named(folder: &Path, found: &mut Vec<(String, bool)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                named(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let is_describing = text.contains("describe_") && !path.ends_with("describe.rs");
                let literals = text.split('"').skip(1).step_by(2);
                let is_name =
                    |text: &&str| text.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
                let names = literals.filter(|text| text.starts_with("obskit_")).filter(is_name);
                found.extend(names.map(|name| (name.to_owned(), is_describing)));
            }
        }
    }

    #[test]
    fn every_series_of_this_crate_has_a_help_text() {
        let mut found = Vec::new();
        named(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() > 20, "{found:?}");
        let described: Vec<&str> =
            COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS).map(|(name, _)| *name).collect();
        // The registry describes what it counts for itself.
        found.retain(|(name, _)| name != "obskit_metrics_dropped_total");
        for (name, is_describing) in &found {
            assert!(*is_describing || described.contains(&name.as_str()), "{name} has none");
        }
    }
}
