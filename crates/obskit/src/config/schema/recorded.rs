//! What is recorded: of which service, and how much is kept.

use super::super::value::{
    at_least_one, boolean, duration_within, exemplar_filter, filled, mebibytes, pairs, parsed,
    whole_within,
};
use super::super::{logging, outputs};
use super::{DAY, MILLISECOND, SECOND, Setting};

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

    "metrics.exemplars", ["OTEL_METRICS_EXEMPLAR_FILTER"], "false",
    "Whether histograms keep the trace ids of some observations, for OpenMetrics and protobuf scrapes.",
    |s, text| s.metrics.exemplars = boolean(text)?, via exemplar_filter;

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

    "log.max_line_kib", [], "64",
    "How long a line is at most, in KiB; a longer one is cut, and says so.",
    |s, text| s.log.max_line_bytes = whole_within(text, 16..=1_024, "KiB")? << 10;

    "log.max_field_bytes", ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"], "16384",
    "How long one value of a field, of lines and of spans, and a message are at most, in bytes; longer ones are cut, and marked.",
    |s, text| s.log.max_field_bytes = whole_within(text, 64..=1_048_576, "bytes")?;

    "log.max_fields", ["OTEL_ATTRIBUTE_COUNT_LIMIT"], "64",
    "How many fields a line and a span have at most; the first stay.",
    |s, text| s.log.max_fields = whole_within(text, 1..=1_024, "fields")?;

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
}
