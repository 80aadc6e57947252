//! What is sent away, and where to.

use super::super::tls::path;
use super::super::value::{
    at_least_one, boolean, compression, duration_within, exporters, filled, http_url, milliseconds,
    opposite, pairs, parsed,
};
use super::super::{otlp, shipping};
use super::{DAY, LEVEL, MILLISECOND, SECOND, Setting};

settings! {
    "otlp.enabled", ["OTEL_SDK_DISABLED"], "true",
    "Whether anything is exported by these settings; the variable says the opposite: true exports nothing.",
    |s, text| s.otlp.enabled = boolean(text)?, via opposite;

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
    |s, text| s.otlp.traces_protocol = Some(otlp::protocol(text)?);

    "otlp.metrics_protocol", ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    "grpc at port 4317, else http/protobuf", "How metrics are sent by OTLP, in the same way.",
    |s, text| s.otlp.metrics_protocol = Some(otlp::protocol(text)?);

    "otlp.logs_protocol", ["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
    "grpc at port 4317, else http/protobuf", "How log lines are sent by OTLP, in the same way.",
    |s, text| s.otlp.logs.protocol = Some(otlp::protocol(text)?);

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

    "otlp.traces_root_file", ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"], "that of otlp.root_file",
    "A file with the root certificates, in PEM form, that an export of spans trusts over TLS.",
    |s, text| s.otlp.traces_tls.root_file = Some(path(text)?);

    "otlp.traces_certificate_file", ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"], "that of otlp",
    "A file with the certificate, in PEM form, that an export of spans proves itself with over TLS.",
    |s, text| s.otlp.traces_tls.certificate_file = Some(path(text)?);

    "otlp.traces_key_file", ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"], "that of otlp",
    "A file with the key of that certificate, in PEM form.",
    |s, text| s.otlp.traces_tls.key_file = Some(path(text)?);

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

    "otlp.root_file", ["OTEL_EXPORTER_OTLP_CERTIFICATE"], "those of the operating system",
    "A file with the root certificates, in PEM form, that an export trusts over TLS.",
    |s, text| s.otlp.tls.root_file = Some(path(text)?);

    "otlp.certificate_file", ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"], "none",
    "A file with the certificate, in PEM form, that an export proves itself with over TLS.",
    |s, text| s.otlp.tls.certificate_file = Some(path(text)?);

    "otlp.key_file", ["OTEL_EXPORTER_OTLP_CLIENT_KEY"], "none",
    "A file with the key of that certificate, in PEM form.",
    |s, text| s.otlp.tls.key_file = Some(path(text)?);

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

    "otlp.metrics_root_file", ["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE"], "that of otlp.root_file",
    "A file with the root certificates, in PEM form, that an export of metrics trusts over TLS.",
    |s, text| s.otlp.metrics_tls.root_file = Some(path(text)?);

    "otlp.metrics_certificate_file", ["OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE"], "that of otlp",
    "A file with the certificate, in PEM form, that an export of metrics proves itself with over TLS.",
    |s, text| s.otlp.metrics_tls.certificate_file = Some(path(text)?);

    "otlp.metrics_key_file", ["OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY"], "that of otlp",
    "A file with the key of that certificate, in PEM form.",
    |s, text| s.otlp.metrics_tls.key_file = Some(path(text)?);

    "otlp.metrics_compression", ["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"], "gzip",
    "How exports of metrics are compressed: gzip or none.",
    |s, text| s.otlp.metrics_compression = compression(text)?;

    "otlp.metrics_temporality", ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"], "cumulative",
    "Whether points have totals or what was added since the last one: cumulative, delta, or lowmemory: delta except of counters that are observed.",
    |s, text| s.otlp.metrics_temporality = otlp::temporality(text)?;

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

    "otlp.logs_root_file", ["OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE"], "that of otlp.root_file",
    "A file with the root certificates, in PEM form, that an export of log lines trusts over TLS.",
    |s, text| s.otlp.logs.tls.root_file = Some(path(text)?);

    "otlp.logs_certificate_file", ["OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE"], "that of otlp",
    "A file with the certificate, in PEM form, that an export of log lines proves itself with over TLS.",
    |s, text| s.otlp.logs.tls.certificate_file = Some(path(text)?);

    "otlp.logs_key_file", ["OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY"], "that of otlp",
    "A file with the key of that certificate, in PEM form.",
    |s, text| s.otlp.logs.tls.key_file = Some(path(text)?);

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

    "remote_write.root_file", [], "those of the operating system",
    "A file with the root certificates, in PEM form, that a push trusts over TLS.",
    |s, text| s.remote_write.tls.root_file = Some(path(text)?);

    "remote_write.certificate_file", [], "none",
    "A file with the certificate, in PEM form, that a push proves itself with over TLS.",
    |s, text| s.remote_write.tls.certificate_file = Some(path(text)?);

    "remote_write.key_file", [], "none",
    "A file with the key of that certificate, in PEM form.",
    |s, text| s.remote_write.tls.key_file = Some(path(text)?);

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

    "loki.root_file", [], "those of the operating system",
    "A file with the root certificates, in PEM form, that a request to Loki trusts over TLS.",
    |s, text| s.loki.tls.root_file = Some(path(text)?);

    "loki.certificate_file", [], "none",
    "A file with the certificate, in PEM form, that a request to Loki proves itself with over TLS.",
    |s, text| s.loki.tls.certificate_file = Some(path(text)?);

    "loki.key_file", [], "none",
    "A file with the key of that certificate, in PEM form.",
    |s, text| s.loki.tls.key_file = Some(path(text)?);

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

    "elasticsearch.root_file", [], "those of the operating system",
    "A file with the root certificates, in PEM form, that a request to Elasticsearch trusts over TLS.",
    |s, text| s.elasticsearch.tls.root_file = Some(path(text)?);

    "elasticsearch.certificate_file", [], "none",
    "A file with the certificate, in PEM form, that a request to Elasticsearch proves itself with over TLS.",
    |s, text| s.elasticsearch.tls.certificate_file = Some(path(text)?);

    "elasticsearch.key_file", [], "none",
    "A file with the key of that certificate, in PEM form.",
    |s, text| s.elasticsearch.tls.key_file = Some(path(text)?);
}
