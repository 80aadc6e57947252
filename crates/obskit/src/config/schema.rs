//! The one table of settings: key, environment variables, meaning, and how a text is applied.

use std::time::Duration;

use super::outputs;
use super::value::{
    Expected, at_least_one, boolean, compression, duration_within, exporters, filled, http_url,
    mebibytes, milliseconds, pairs, parsed, paths,
};
use super::{Settings, WebhookSettings, logging, shipping};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const LEVEL: &str = "trace, debug, info, warn or error";

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in a file: `section.name`.
    pub key: &'static str,
    /// The environment variables that set it, beside `OBSKIT_SECTION_NAME`; an earlier one wins.
    pub variables: &'static [&'static str],
    /// Its default, for people.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Turns the value of one of `variables` into the form that the file has.
    pub(super) from_variable: fn(&str) -> Result<String, Expected>,
    /// Applies a text; the error says what would be accepted.
    pub(super) apply: fn(&mut Settings, &str) -> Result<(), Expected>,
}

impl Setting {
    /// The variable that every setting has: `OBSKIT_SECTION_NAME`.
    #[must_use]
    pub fn own_variable(&self) -> String {
        format!("OBSKIT_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// Every setting, in the order of the documentation.
#[must_use]
pub fn reference() -> &'static [Setting] {
    SETTINGS
}

macro_rules! settings {
    ($($key:literal, [$($variable:literal),*], $default:literal, $meaning:literal,
       |$settings:ident, $text:ident| $apply:expr $(, via $from:expr)?;)*) => {
        const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            variables: &[$($variable),*],
            default: $default,
            meaning: $meaning,
            from_variable: settings!(@from $($from)?),
            apply: |$settings, $text| {
                $apply;
                Ok(())
            },
        }),*];
    };
    (@from) => { |text| Ok(text.to_owned()) };
    (@from $from:expr) => { $from };
}

settings! {
    "service.name", ["OTEL_SERVICE_NAME"], "the name given to init",
    "The service's name in logs, traces, errors and the console.",
    |s, text| s.service.name = filled(text, "a name")?;

    "service.version", [], "none", "The service's version.",
    |s, text| s.service.version = Some(filled(text, "a version")?);

    "service.environment", ["OTEL_ENVIRONMENT"], "none",
    "The deployment environment, such as production.",
    |s, text| s.service.environment = Some(filled(text, "an environment's name")?);

    "service.instance", [], "none", "What tells this instance from others of the service.",
    |s, text| s.service.instance = Some(filled(text, "an instance's id")?);

    "service.attributes", ["OTEL_RESOURCE_ATTRIBUTES"], "none",
    "More resource attributes, as name=value pairs with commas between them.",
    |s, text| s.service.attributes = pairs(text)?;

    "metrics.enabled", ["ENABLE_METRICS"], "true", "Whether metrics are recorded and `/metrics` answers.",
    |s, text| s.metrics.enabled = boolean(text)?;

    "metrics.business", ["BUSINESS_METRICS_ENABLED"], "true",
    "Whether the business families are recorded.",
    |s, text| s.metrics.business = boolean(text)?;

    "metrics.namespace", [], "none",
    "The namespace of the workflow and tool families, such as `analyst` in `analyst_tool_executions_total`.",
    |s, text| s.metrics.namespace = match text {
        name if obs_model::is_valid_metric_name(name) => name.to_owned(),
        _ => return Err(String::from("a metric name: [a-zA-Z_:][a-zA-Z0-9_:]*")),
    };

    "metrics.idle_timeout", [], "none: series stay",
    "How long a series that nobody records any more is still shown.",
    |s, text| s.metrics.idle_timeout = Some(duration_within(text, SECOND, 366 * DAY)?);

    "metrics.sqlx", [], "false",
    "Whether what sqlx says about its queries becomes the database metrics, for services that do not wrap them.",
    |s, text| s.metrics.sqlx = boolean(text)?;

    "metrics.exemplars", [], "false",
    "Whether histograms keep the trace ids of some observations, for OpenMetrics and protobuf scrapes.",
    |s, text| s.metrics.exemplars = boolean(text)?;

    "metrics.created_lines", [], "false",
    "Whether OpenMetrics scrapes have `_created` lines, which Prometheus before version 3 stores as series.",
    |s, text| s.metrics.created_lines = boolean(text)?;

    "metrics.sample_interval", [], "5s", "The grid on which the series store is filled.",
    |s, text| s.metrics.sample_interval = duration_within(text, 100 * MILLISECOND, 300 * SECOND)?;

    "metrics.retention", [], "24h", "How far back the series store reaches, within its bound on memory.",
    |s, text| s.metrics.retention = duration_within(text, SECOND, 366 * DAY)?;

    "metrics.max_series", [], "50000", "How many series the store holds.",
    |s, text| s.metrics.max_series = parsed(text, "a whole number of series")?;

    "metrics.max_store_mib", [], "128",
    "How much memory the series store may take, in MiB; above it the oldest samples go first.",
    |s, text| s.metrics.max_store_bytes = mebibytes(text, 1)?;

    "state.dir", [], "none: a restart starts with an empty store",
    "A folder of this process alone, for what survives a restart: the series store, and pushes by remote write, log lines and spans that were not delivered.",
    |s, text| s.state.dir = Some(filled(text, "a folder")?.into());

    "state.max_mib", [], "512", "How much of the disk the state may take, in MiB; above it the oldest samples go first.",
    |s, text| s.state.max_bytes = mebibytes(text, 16)? as u64;

    "query.max_samples", [], "50000000",
    "How many samples a query may have in memory at once, of a request or of a rule.",
    |s, text| s.query.max_samples = at_least_one(text, "samples")?;

    "query.timeout", [], "2m", "How long a query may take.",
    |s, text| s.query.timeout = duration_within(text, MILLISECOND, DAY)?;

    "query.max_concurrent", [], "20",
    "How many queries of requests are evaluated at once; further ones wait for as long as a query may take.",
    |s, text| s.query.max_concurrent = at_least_one(text, "queries")?;

    "log.level", ["LOG_LEVEL"], "info",
    "A level (trace, debug, info, warn, error) or filter directives such as `info,sqlx=warn`.",
    |s, text| s.log.level = filled(text, "a level or filter directives such as info,sqlx=warn")?;

    "log.format", ["LOG_FORMAT"], "json", "How a log line is written to the output of the process: json, logfmt or text.",
    |s, text| s.log.format = logging::format(text)?;

    "log.colors", [], "auto",
    "Whether lines of format text have colours: always, never, or auto: on a terminal, unless `NO_COLOR` is set.",
    |s, text| s.log.colors = logging::colors(text)?;

    "log.log_crate", [], "true",
    "Whether what libraries say through the `log` crate becomes lines too, unless the service has set a logger for it.",
    |s, text| s.log.log_crate = boolean(text)?;

    "log.memory_mib", [], "16",
    "How much memory the newest lines take that can be searched at the admin listener, in MiB; 0 keeps none.",
    |s, text| s.log.memory_bytes = mebibytes(text, 0)?;

    "log.callsite_limit", [], "none",
    "How many lines one place in the code may write in a period, such as `100/10s`; what was withheld is said and counted.",
    |s, text| s.log.callsite_limit = Some(logging::callsite_limit(text)?);

    "log.keep_one_in", [], "none: all are written",
    "Levels below warn of which one line in so many is written, such as `trace=100,debug=10`.",
    |s, text| s.log.keep_one_in = logging::keep_one_in(text)?;

    "log.redaction", [], "mask",
    "What stands in place of a secret in lines, spans and errors: mask, hash (with `log.redaction_key`) or drop.",
    |s, text| s.log.redaction.mode = logging::redaction(text)?;

    "log.redaction_key", [], "none", "The key of hashes: 32 hexadecimal digits, which those who read the logs must not know.",
    |s, text| s.log.redaction.key = Some(logging::hash_key(text)?);

    "log.secret_fields", [], "none",
    "Names of fields whose values are secret beside the usual ones (password, token, authorization …), with commas between them.",
    |s, text| s.log.redaction.fields = logging::names(text);

    "log.not_secret", [], "none",
    "What is not looked for in texts: email, phone_number, card_number, bank_account, credential, url_password, web_token, service_key, private_key.",
    |s, text| s.log.redaction.without = logging::kinds(text)?;

    "log.outputs", [], "stdout",
    "Where lines go, with commas between: `stdout` or `stderr`, `file:/var/log/app.log`, `syslog://host:514`, `loki://host:3100`, `elasticsearch://host:9200/index`, `otlp://host:4318`, and their kin below. `[[log.output]]` in a file has options.",
    |s, text| s.log.outputs = outputs::list(text)?;

    "traces.sampler", ["OTEL_TRACES_SAMPLER"], "parentbased_always_on",
    "Which traces are exported: always_on, always_off or traceidratio, or one of them after `parentbased_`, which follows the callers.",
    |s, text| s.traces.sampler = logging::sampler(text)?;

    "traces.sampler_share", ["OTEL_TRACES_SAMPLER_ARG"], "1", "The share of traceidratio, from 0 to 1.",
    |s, text| s.traces.sampler_share = logging::share(text)?;

    "traces.rules", [], "none",
    "Shares of the traces that begin with a route or a span, such as `/health*=0,/checkout=0.5`; the first that fits counts before the sampler.",
    |s, text| s.traces.rules = logging::sampling_rules(text)?;

    "traces.propagators", ["OTEL_PROPAGATORS"], "tracecontext",
    "The forms in which trace ids travel in headers: tracecontext, b3, b3multi, jaeger, with commas between them, or none.",
    |s, text| s.traces.propagators = logging::propagators(text)?;

    "traces.span_metrics", [], "200",
    "How many names of spans are measured (`span_requests_total`, `span_errors_total`, `span_duration_ms`); 0 measures none.",
    |s, text| s.traces.span_metrics = parsed(text, "a whole number of names")?;

    "traces.tail", [], "false",
    "Whether traces that the sampler does not take are exported all the same if they err, or are slow for their own route.",
    |s, text| s.traces.tail = boolean(text)?;

    "traces.baggage", [], "none",
    "Names of the baggage of callers that is taken and sent on, with commas between them.",
    |s, text| s.traces.baggage = logging::names(text);

    "traces.baggage_on_lines", [], "none", "Those of `traces.baggage` that stand on every log line.",
    |s, text| s.traces.baggage_on_lines = logging::names(text);

    "traces.memory_mib", [], "4",
    "How much memory the spans that finished last are kept in, in MiB; 0 keeps none.",
    |s, text| s.traces.memory_bytes = mebibytes(text, 0)?;

    "operations.enabled", [], "true",
    "Whether open spans are watched, so that operations that hang or block the executor are found.",
    |s, text| s.operations.enabled = boolean(text)?;

    "operations.stuck_after", [], "30s",
    "How long nothing may happen in an operation, and below it, before it counts as stuck.",
    |s, text| s.operations.stuck_after = duration_within(text, MILLISECOND, 7 * DAY)?;

    "operations.blocking_after", [], "100ms",
    "How long an operation may hold a thread of the executor before it counts as blocking.",
    |s, text| s.operations.blocking_after = duration_within(text, MILLISECOND, 7 * DAY)?;

    "operations.waiting", [], "none",
    "Names of operations that may wait for as long as they like, such as a consumer's, with commas between them: they never count as stuck.",
    |s, text| s.operations.waiting = logging::operations(text)?;

    "operations.may_block", [], "none",
    "Names of operations that may hold their thread, because nobody waits for it, with commas between them: they never count as blocking.",
    |s, text| s.operations.may_block = logging::operations(text)?;

    "operations.longest", [], "none",
    "How long operations of a name may be open before they count as stuck, whatever happens in them, such as `checkout=30s,report=10m`.",
    |s, text| s.operations.longest = logging::longest(text)?;

    "otlp.endpoint", ["OTEL_EXPORTER_OTLP_ENDPOINT"], "none: nothing is exported",
    "The OTLP collector's base URL (HTTP, protobuf); `/v1/traces`, `/v1/metrics` and `/v1/logs` are added.",
    |s, text| s.otlp.endpoint = Some(http_url(text)?);

    "otlp.traces_endpoint", ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], "none",
    "The full URL for spans, used as it is, before `otlp.endpoint`.",
    |s, text| s.otlp.traces_endpoint = Some(http_url(text)?);

    "otlp.traces_fallback", [], "none",
    "The full URL that gets spans while the first does not take them; for gRPC the server.",
    |s, text| s.otlp.traces_fallback = Some(http_url(text)?);

    "otlp.traces_protocol", ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    "grpc at port 4317, else http/protobuf",
    "How spans are sent: grpc, to the host and port of the endpoint, or http/protobuf.",
    |s, text| s.otlp.traces_protocol = Some(shipping::protocol(text)?);

    "otlp.metrics_protocol", ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    "grpc at port 4317, else http/protobuf", "How metrics are sent by OTLP, in the same way.",
    |s, text| s.otlp.metrics_protocol = Some(shipping::protocol(text)?);

    "otlp.logs_protocol", ["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    "grpc at port 4317, else http/protobuf", "How log lines are sent by OTLP, in the same way.",
    |s, text| s.otlp.logs.protocol = Some(shipping::protocol(text)?);

    "otlp.traces_compression", ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"], "gzip",
    "How spans are compressed: gzip or none.",
    |s, text| s.otlp.traces_compression = compression(text)?;

    "otlp.traces", ["OTEL_TRACES_EXPORTER"], "true",
    "Whether spans are exported to the collector; of the variable, only what names `otlp` says so.",
    |s, text| s.otlp.traces = boolean(text)?, via exporters;

    "otlp.traces_headers", ["OTEL_EXPORTER_OTLP_TRACES_HEADERS"], "those of otlp.headers",
    "Headers of an export of spans, in place of `otlp.headers`.",
    |s, text| s.otlp.traces_headers = Some(pairs(text)?);

    "otlp.traces_timeout", ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"], "that of otlp.timeout",
    "How long one export of spans may take; the variable is in milliseconds.",
    |s, text| s.otlp.traces_timeout = Some(duration_within(text, MILLISECOND, 600 * SECOND)?), via milliseconds;

    "otlp.traces_batch", ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], "512", "How many spans one request has at most.",
    |s, text| s.otlp.traces_batch.items = at_least_one(text, "spans")?;

    "otlp.traces_queue", ["OTEL_BSP_MAX_QUEUE_SIZE"], "8192",
    "How many spans wait for their export at most; more are dropped and counted.",
    |s, text| s.otlp.traces_batch.queue = at_least_one(text, "spans")?;

    "otlp.traces_batch_wait", ["OTEL_BSP_SCHEDULE_DELAY"], "5s",
    "How long a span waits for others to go along with; the variable is in milliseconds.",
    |s, text| s.otlp.traces_batch.wait = duration_within(text, MILLISECOND, 600 * SECOND)?, via milliseconds;

    "otlp.logs_batch", ["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"], "1000",
    "How many log lines one request has at most.",
    |s, text| s.otlp.logs.batch.items = at_least_one(text, "lines")?;

    "otlp.logs_queue", ["OTEL_BLRP_MAX_QUEUE_SIZE"], "16384",
    "How many log lines wait for their export at most; the less important are dropped first, and counted.",
    |s, text| s.otlp.logs.batch.queue = at_least_one(text, "lines")?;

    "otlp.logs_batch_wait", ["OTEL_BLRP_SCHEDULE_DELAY"], "1s",
    "How long a log line waits for others to go along with; the variable is in milliseconds.",
    |s, text| s.otlp.logs.batch.wait = duration_within(text, MILLISECOND, 600 * SECOND)?, via milliseconds;

    "otlp.headers", ["OTEL_EXPORTER_OTLP_HEADERS"], "none",
    "Headers of an export, as name=value pairs with commas between them.",
    |s, text| s.otlp.headers = pairs(text)?;

    "otlp.api_key", ["OTEL_API_KEY"], "none", "An API key, sent as `Authorization: Bearer …`.",
    |s, text| s.otlp.api_key = Some(filled(text, "a key")?);

    "otlp.timeout", ["OTEL_EXPORTER_OTLP_TIMEOUT"], "10s",
    "How long one export may take; the variable is in milliseconds.",
    |s, text| s.otlp.timeout = duration_within(text, MILLISECOND, 600 * SECOND)?, via milliseconds;

    "otlp.metrics", ["OTEL_METRICS_EXPORTER"], "true",
    "Whether metrics are pushed to the collector too; of the variable, only what names `otlp` says so.",
    |s, text| s.otlp.metrics = boolean(text)?, via exporters;

    "otlp.metrics_endpoint", ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"], "none",
    "The full URL for metrics, used as it is, before `otlp.endpoint`.",
    |s, text| s.otlp.metrics_endpoint = Some(http_url(text)?);

    "otlp.metrics_headers", ["OTEL_EXPORTER_OTLP_METRICS_HEADERS"], "those of otlp.headers",
    "Headers of an export of metrics, in place of `otlp.headers`.",
    |s, text| s.otlp.metrics_headers = Some(pairs(text)?);

    "otlp.metrics_timeout", ["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"], "that of otlp.timeout",
    "How long one export of metrics may take; the variable is in milliseconds.",
    |s, text| s.otlp.metrics_timeout = Some(duration_within(text, MILLISECOND, 600 * SECOND)?), via milliseconds;

    "otlp.metrics_compression", ["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"], "gzip",
    "How exports of metrics are compressed: gzip or none.",
    |s, text| s.otlp.metrics_compression = compression(text)?;

    "otlp.metrics_interval", ["OTEL_METRIC_EXPORT_INTERVAL"], "60s",
    "How often metrics are pushed by OTLP; the variable is in milliseconds.",
    |s, text| s.otlp.metrics_interval = duration_within(text, 100 * MILLISECOND, DAY)?, via milliseconds;

    "otlp.logs", ["OTEL_LOGS_EXPORTER"], "true",
    "Whether log lines are exported to the collector too; of the variable, only what names `otlp` says so.",
    |s, text| s.otlp.logs.enabled = boolean(text)?, via exporters;

    "otlp.logs_endpoint", ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"], "none",
    "The full URL for log lines, used as it is, before `otlp.endpoint`.",
    |s, text| s.otlp.logs.endpoint = Some(http_url(text)?);

    "otlp.logs_headers", ["OTEL_EXPORTER_OTLP_LOGS_HEADERS"], "those of otlp.headers",
    "Headers of an export of log lines, in place of `otlp.headers`.",
    |s, text| s.otlp.logs.headers = Some(pairs(text)?);

    "otlp.logs_timeout", ["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"], "that of otlp.timeout",
    "How long one export of log lines may take; the variable is in milliseconds.",
    |s, text| s.otlp.logs.timeout = Some(duration_within(text, MILLISECOND, 600 * SECOND)?), via milliseconds;

    "otlp.logs_compression", ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"], "gzip",
    "How exports of log lines are compressed: gzip or none.",
    |s, text| s.otlp.logs.compression = compression(text)?;

    "otlp.logs_level", [], "trace: all that is logged", "The least important level of log lines that is exported.",
    |s, text| s.otlp.logs.level = parsed(text, LEVEL)?;

    "remote_write.endpoint", [], "none: nothing is pushed",
    "The URL that metrics are pushed to by Prometheus remote write, such as `http://mimir/api/v1/push`.",
    |s, text| s.remote_write.endpoint = Some(http_url(text)?);

    "remote_write.fallback", [], "none",
    "The URL that takes over while `remote_write.endpoint` fails.",
    |s, text| s.remote_write.fallback = Some(http_url(text)?);

    "remote_write.interval", [], "15s", "How often metrics are pushed by remote write.",
    |s, text| s.remote_write.interval = duration_within(text, 100 * MILLISECOND, DAY)?;

    "remote_write.headers", [], "none",
    "Headers of a push, such as `X-Scope-OrgID`, as name=value pairs with commas between them.",
    |s, text| s.remote_write.headers = pairs(text)?;

    "remote_write.token", [], "none", "A bearer token for a push.",
    |s, text| s.remote_write.token = Some(filled(text, "a token")?);

    "remote_write.user", [], "none", "The name for basic authentication of a push.",
    |s, text| s.remote_write.user = Some(filled(text, "a name")?);

    "remote_write.password", [], "none", "The password for basic authentication of a push.",
    |s, text| s.remote_write.password = Some(filled(text, "a password")?);

    "loki.endpoint", [], "none: nothing is sent",
    "The base URL of a Grafana Loki that log lines are sent to, such as `http://loki:3100`.",
    |s, text| s.loki.endpoint = Some(http_url(text)?);

    "loki.fallback", [], "none", "The base URL that takes over while `loki.endpoint` fails.",
    |s, text| s.loki.fallback = Some(http_url(text)?);

    "loki.tenant", [], "none", "The tenant, sent as `X-Scope-OrgID`.",
    |s, text| s.loki.tenant = Some(filled(text, "a tenant")?);

    "loki.labels", [], "none",
    "Labels with the same value on every line, as name=value pairs with commas between them.",
    |s, text| s.loki.labels = pairs(text)?;

    "loki.label_fields", [], "service,level",
    "Fields of lines that are labels, with commas between them; they should have few values.",
    |s, text| s.loki.label_fields = shipping::list(text)?;

    "loki.structured_metadata", [], "true",
    "Whether ids are sent as structured metadata, which Loki before 3.0 refuses.",
    |s, text| s.loki.structured_metadata = boolean(text)?;

    "loki.level", [], "trace: all that is logged", "The least important level that is sent to Loki.",
    |s, text| s.loki.level = parsed(text, LEVEL)?;

    "loki.headers", [], "none", "Headers of a request to Loki, as name=value pairs with commas between them.",
    |s, text| s.loki.headers = pairs(text)?;

    "loki.token", [], "none", "A bearer token for Loki.",
    |s, text| s.loki.token = Some(filled(text, "a token")?);

    "loki.user", [], "none", "The name for basic authentication at Loki.",
    |s, text| s.loki.user = Some(filled(text, "a name")?);

    "loki.password", [], "none", "The password for basic authentication at Loki.",
    |s, text| s.loki.password = Some(filled(text, "a password")?);

    "elasticsearch.endpoint", [], "none: nothing is sent",
    "The base URL of an Elasticsearch or OpenSearch that log lines are sent to, such as `http://search:9200`.",
    |s, text| s.elasticsearch.endpoint = Some(http_url(text)?);

    "elasticsearch.fallback", [], "none", "The base URL that takes over while `elasticsearch.endpoint` fails.",
    |s, text| s.elasticsearch.fallback = Some(http_url(text)?);

    "elasticsearch.index", [], "logs-%Y.%m.%d",
    "The index or data stream, with %Y, %m, %d and %H for the date of a line in UTC.",
    |s, text| s.elasticsearch.index = filled(text, "the name of an index")?;

    "elasticsearch.pipeline", [], "none", "An ingest pipeline that documents go through.",
    |s, text| s.elasticsearch.pipeline = Some(filled(text, "the name of a pipeline")?);

    "elasticsearch.level", [], "trace: all that is logged",
    "The least important level that is sent to Elasticsearch.",
    |s, text| s.elasticsearch.level = parsed(text, LEVEL)?;

    "elasticsearch.headers", [], "none",
    "Headers of a request to Elasticsearch, as name=value pairs with commas between them.",
    |s, text| s.elasticsearch.headers = pairs(text)?;

    "elasticsearch.api_key", [], "none", "An API key, in the form that Elasticsearch calls `encoded`.",
    |s, text| s.elasticsearch.api_key = Some(filled(text, "an API key")?);

    "elasticsearch.user", [], "none", "The name for basic authentication at Elasticsearch.",
    |s, text| s.elasticsearch.user = Some(filled(text, "a name")?);

    "elasticsearch.password", [], "none", "The password for basic authentication at Elasticsearch.",
    |s, text| s.elasticsearch.password = Some(filled(text, "a password")?);

    "errors.enabled", ["ERROR_TRACKING_ENABLED"], "true", "Whether errors are tracked.",
    |s, text| s.errors.enabled = boolean(text)?;

    "alerts.enabled", [], "true", "Whether alert rules are evaluated.",
    |s, text| s.alerts.enabled = boolean(text)?;

    "alerts.check_interval", ["ALERT_CHECK_INTERVAL_MS"], "60s",
    "How often alert rules are evaluated; the variable is in milliseconds.",
    |s, text| s.alerts.check_interval = duration_within(text, 100 * MILLISECOND, DAY)?, via milliseconds;

    "alerts.default_rules", [], "true",
    "Whether the default rules (error rate, workflow failure rate, stuck requests, blocked executor, memory) are there beside the service's own.",
    |s, text| s.alerts.default_rules = boolean(text)?;

    "alerts.rule_files", [], "none",
    "Prometheus rule files to evaluate, with commas between them: recording rules write series, alerting rules have alerts.",
    |s, text| s.alerts.rule_files = paths(text)?;

    "alerts.webhook_url", [], "none",
    "A webhook that is told of every alert; `[[alerts.webhooks]]` in a file names several.",
    |s, text| {
        let url = http_url(text)?;
        s.alerts.webhooks.retain(|webhook| webhook.name != WebhookSettings::DEFAULT_NAME);
        s.alerts.webhooks.push(WebhookSettings { name: WebhookSettings::DEFAULT_NAME.into(), url });
    };

    "health.interval", [], "15s",
    "How often the health checks run by themselves, beside whenever a report is asked for.",
    |s, text| s.health.interval = duration_within(text, SECOND, DAY)?;

    "profiling.enabled", [], "true", "Whether CPU profiles can be taken.",
    |s, text| s.profiling.enabled = boolean(text)?;

    "admin.enabled", [], "true", "Whether the admin listener runs.",
    |s, text| s.admin.enabled = boolean(text)?;

    "admin.address", [], "127.0.0.1",
    "The admin listener's IP address; one that others can reach needs a token.",
    |s, text| s.admin.address = parsed(text, "an IP address")?;

    "admin.port", ["METRICS_PORT", "PROMETHEUS_PORT"], "9464",
    "The admin listener's port; 0 takes any that is free.",
    |s, text| s.admin.port = parsed(text, "a port from 0 to 65535")?;

    "admin.token", [], "none",
    "The token that everything but metrics and health asks for.",
    |s, text| s.admin.token = Some(match text.trim() {
        token if token.len() >= 8 && token.bytes().all(|byte| byte.is_ascii_graphic()) => token.to_owned(),
        _ => return Err(String::from("at least 8 printable ASCII characters without spaces")),
    });

    "shutdown.deadline", [], "5s", "How long the shutdown may take to flush.",
    |s, text| s.shutdown_deadline = duration_within(text, Duration::ZERO, 600 * SECOND)?;
}
