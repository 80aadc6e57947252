//! Structured logs, correlation and traces, through the `tracing` facade.
//!
//! [`install`] makes one pipeline the subscriber of the process: a filter that can be changed while the service
//! runs, a layer that gives every span its ids and writes one JSON line per event, and, when an endpoint is
//! given, the export of spans by OTLP.
//!
//! ```
//! use std::io::Write;
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! use obs_model::{Context, Resource};
//! use obs_tracing::{LogConfig, LogOutput};
//!
//! # #[derive(Clone, Default)]
//! # struct Lines(Arc<Mutex<Vec<u8>>>);
//! # impl Write for Lines {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.0.lock().unwrap().write(bytes) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let lines = Lines::default();
//! let mut config = LogConfig::new(Resource::new("checkout"));
//! config.output = LogOutput::Writer(Box::new(lines.clone()));
//! let handle = obs_tracing::install(config)?;
//!
//! let _entered = Context::new().with_user("u-17").enter();
//! tracing::info_span!("order", order = 42).in_scope(|| tracing::info!(total = 9.5, "paid"));
//!
//! handle.shutdown_blocking(Duration::from_secs(5))?;
//! let line: serde_json::Value = serde_json::from_slice(&lines.0.lock().unwrap()).unwrap();
//! assert_eq!(line["message"], "paid");
//! assert_eq!(line["userId"], "u-17");
//! assert_eq!(line["metadata"]["order"], 42);
//! assert_eq!(line["traceId"].as_str().unwrap().len(), 32);
//! # Ok::<(), obs_tracing::Error>(())
//! ```
//!
//! # A line
//!
//! Members stand in this order; those without a value are left out.
//!
//! | member | what |
//! |---|---|
//! | `timestamp` | RFC 3339, UTC, milliseconds |
//! | `level` | `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR` |
//! | `message`, `service`, `target` | always there |
//! | `correlationId` | field `correlation_id`, else the [`Context`](obs_model::Context) |
//! | `traceId`, `spanId` | always there inside a span or a request, exported or not; the same as exported |
//! | `userId`, `organizationId`, `agentId`, `sessionId`, `requestId`, `workflow`, `step`, `tool` | fields of that name (`user_id` or `userId`) of the event, else of the innermost span that has it, else of the context |
//! | `error` | `{name, message, stack}`: from an error value (`error = &e as &dyn Error`), whose sources are the `stack`, from a text field `error` or `err`, or from fields `error.name`, `error.message`, `error.stack` |
//! | `metadata` | every other field of the event and its spans; the innermost value of a name wins |
//! | `truncated` | `true` when a field was left out or a text cut, which then ends with `…[truncated N bytes]` |
//!
//! [`LogFormat::Logfmt`] has the same names as `key=value`; [`LogFormat::Text`] is for people, with colours on a terminal.
//!
//! Numbers that are not finite are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`; whole numbers beyond 64
//! bits are strings. Fields named `otel.*` speak to the export only. Values of secret-looking names, and secrets
//! inside texts, are replaced by the [`Redactor`](obs_model::Redactor), in lines and in exported spans.
//!
//! # Ids
//!
//! A root span takes its trace from the current context (a caller's `traceparent`, a message) or starts one; an
//! inner span belongs to the enclosing one's trace. When code inside a span makes a context of *another* trace
//! current, as a consumer of messages does, that context wins.
//!
//! Both go along to other tasks and threads with [`spawn`], [`spawn_blocking`], [`spawn_in`] and [`carry`], through
//! channels with [`channel`], to other services with [`client`], [`grpc`] and [`tools`], and stay with a connection in
//! [`websocket`]. Queries to databases have spans of their own with [`db`], and workflows and their steps with [`workflow`].
//!
//! Of what a caller sends along as baggage, names on a list are taken and sent on: see [`baggage`].
//!
//! Whether a trace is exported is decided once, where it starts: see [`Sampling`]. Exported spans are made of what the
//! pipeline keeps itself. `OpenTelemetrySpanExt` works on sampled spans: the first call about one makes a span of
//! tracing-opentelemetry that stands for it, with the same ids, and what is said to that joins what is exported. It is
//! started when it is made, so that `set_parent` comes too late: set a context instead. OpenTelemetry's own current
//! context follows the spans that are entered only if `OtlpConfig::context` asks for it.
//!
//! A trace that is not sampled can be kept all the same when it turns out to be worth it, see `TailConfig`. Only the part
//! that this process saw is kept then, because callers and callees were told that it is not sampled.
//!
//! # Metrics
//!
//! Through the `metrics` facade, beside those of [`http`], [`client`], [`grpc`], [`db`], [`tools`], [`websocket`] and
//! [`InFlight`]; [`describe_metrics`] says what they mean.
//!
//! | metric | |
//! |---|---|
//! | `log_events_total{level,service}` | lines |
//! | `log_processing_duration_ms` | how long it took to make a line, of one in 64 |
//! | `obskit_log_dropped_total{reason,level}` | lines that were not written: `queue_full`, `closed`, `write_failed`, `rate_limited`, `sampled`, `sinks_full`, `sink_panicked` |
//! | `span_requests_total{span}`, `span_errors_total{span}`, `span_duration_ms{span}` | with [`LogConfig::span_metrics`], spans that ended |
//! | `obskit_spans_exported_total`, `obskit_spans_failed_total`, `obskit_spans_rejected_total` | spans that a collector took, that none took, and that one did not store |
//! | `obskit_spans_dropped_total{reason}` | spans that were not opened or not exported: `queue_full`, `closed`, `too_many_open`, `trace_too_large` |
//! | `obskit_traces_kept_total{reason}`, `obskit_traces_dropped_total{reason}` | see `TailConfig` |
//! | `obskit_span_memory_dropped_total{reason}` | finished spans that are not kept any more: `evicted`, `too_large` |
//! | `obskit_baggage_dropped_total{reason}` | see [`baggage`] |
//!
//! Sinks that send lines away have the `obskit_delivery_…` series of their destination, which is named as the sink, and
//! `obskit_log_refused_total{destination,reason}`; Loki also has `obskit_loki_capped_label_sets_total{destination}`, and a
//! file `obskit_log_file_rotations_total{destination,result}` (`ok`, `failed`) and
//! `obskit_log_file_upkeep_failures_total{destination}`, of compressing and removing rotated files.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `log` | lines of libraries that use the `log` crate: see `LogConfig::log_crate` |
//! | `http` (default) | [`http`]: the tower layer for axum; [`client`] and [`grpc`]: those for clients and gRPC, and propagation to other services |
//! | `reqwest` (default) | [`client::SendObserved`](client) for requests of reqwest |
//! | `otlp` (default) | `OtlpConfig`: export of spans by OTLP over HTTP or gRPC; `sink::OtlpLogsConfig`: log lines by OTLP |
//! | `loki` (default) | `sink::LokiConfig`: log lines to Grafana Loki |
//! | `elasticsearch` (default) | `sink::ElasticsearchConfig`: log lines to Elasticsearch and OpenSearch |
//! | `syslog` (default), `syslog-tls` | `sink::SyslogConfig`: lines sent to syslog servers, over TLS as well |
//! | `file-gzip` (default), `file-zstd` | [`sink::FileCompression`]: rotated log files compressed |
//!
//! # Limits
//!
//! Logging never waits for the output: lines beyond the queue are dropped and counted, the less important ones first.
//! Lines of one thread stay in their order; those of several threads are put in order by their times, to the millisecond.
//! The pipeline is a subscriber of its own, not a layer, so that other layers of `tracing-subscriber` do not stand on it. ERROR events of HTTP and
//! telemetry libraries are logged but not offered to the error sink, and what the exporting and writing threads
//! log is dropped, so that telemetry never causes itself. A `Debug` form that itself logs is followed three deep.
//! Records of the `log` crate are lines where the feature `log` is on; where a dependency also turns on `log-always` of
//! `tracing`, events come twice. `tracestate` is not passed on.

pub mod baggage;
pub mod channel;
#[cfg(feature = "http")]
pub mod client;
mod config;
mod counters;
pub mod db;
mod describe;
mod duration;
mod error;
mod fields;
#[cfg(feature = "http")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http;
mod incoming;
mod inflight;
mod install;
mod line;
#[cfg(feature = "log")]
mod log_crate;
mod logger;
pub mod memory;
mod names;
mod operation;
#[cfg(feature = "otlp")]
mod otlp;
mod outgoing;
mod pipeline;
mod sampling;
mod sent;
pub mod sink;
mod spans;
mod task;
pub mod tools;
mod traceparent;
mod traces;
pub mod websocket;
pub mod workflow;

pub use baggage::BaggageConfig;
pub use config::{CallsiteLimit, Colors, LogConfig, LogFormat, LogOutput};
pub use describe::describe_metrics;
pub use error::Error;
pub use inflight::{
    InFlight, InFlightConfig, InFlightSummary, InFlightTime, Operation, OperationFilter,
    Operations, Running, ThreadStacks, may_block,
};
pub use install::{TracingHandle, build, install};
pub use logger::{
    DistributedTracing, LogAggregator, LogDetails, LogEvent, Logger, Meter, SpanEvent, SpanKind,
    SpanOptions, Telemetry, Timer, TraceSpan, Tracer, create_logger,
};
#[cfg(feature = "otlp")]
pub use otlp::{OpenTelemetryContext, OtlpCompression, OtlpConfig, OtlpProtocol};
pub use pipeline::control::{LogControl, TargetLevel};
pub use pipeline::filter::check_filter;
#[cfg(feature = "otlp")]
pub use sampling::{LinkedTraces, TailConfig, TailSampler};
pub use sampling::{Sampler, Sampling};
pub use sent::Sent;
pub use task::{carry, carry_fn, spawn, spawn_blocking, spawn_in, spawn_local, trace_async};
pub use traces::{
    EventInSpan, FinishedSpan, FinishedSpans, LinkedSpan, SpanInTrace, SpanQuery, Trace,
};
