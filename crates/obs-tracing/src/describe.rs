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
    ("obskit_spans_dropped_total", "Spans that were not opened or not exported, by reason."),
    ("obskit_spans_exported_total", "Spans that a collector took."),
    ("obskit_spans_failed_total", "Spans that no collector took."),
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
