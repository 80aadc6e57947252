//! OpenMetrics, protobuf, other names and compression: what a scrape gets that asks for them.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use obs_metrics::expose::parse::{Names, openmetrics, openmetrics_with, text_with};
use obs_metrics::expose::proto::{self, MetricFamily, MetricType};
use obs_metrics::expose::{Created, Encoding, Escaping, Exposition, Format};
use obs_metrics::{Registry, RegistryConfig};
use obs_model::{ManualClock, Timestamp};
use prost::Message;

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn registry() -> Registry {
    let clock = ManualClock::at(Timestamp::from_millis(1_605_281_325_042));
    Registry::with_clock(RegistryConfig::default(), Arc::new(clock))
}

fn written(exposition: &Exposition) -> Vec<u8> {
    let mut document = Vec::new();
    exposition.write(&mut document).unwrap();
    document
}

/// The document without the registry's own metrics.
fn rendered(registry: &Registry, accept: &str) -> String {
    let document = String::from_utf8(written(&registry.negotiate(Some(accept), None))).unwrap();
    document.split_inclusive('\n').filter(|line| !line.contains("obskit_metrics_")).collect()
}

/// Protobuf messages but the registry's own.
fn messages(registry: &Registry) -> Vec<MetricFamily> {
    let document = written(&registry.negotiate(Some(PROTOBUF), None));
    let mut rest = document.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    families.retain(|family| !family.name().starts_with("obskit_metrics_"));
    families
}

fn sample_registry() -> Registry {
    let registry = registry();
    registry.describe("requests_total", "Requests, with a \\ and a\nsecond \"line\".");
    registry.describe("wait_seconds", "Wait.");
    registry.set_buckets("wait_seconds", &[0.1, 1.0, 1e6]).unwrap();
    registry.counter("requests_total", &[("path", "C:\\DIR\n\"x\""), ("code", "200")]).increment(7);
    registry.counter("started", &[]).increment(1);
    let wait = registry.histogram("wait_seconds", &[("db", "a")]);
    for value in [0.1, 0.25, 3e6] {
        wait.record(value);
    }
    registry.set_buckets("offset_ms", &[-1.0, 0.0]).unwrap();
    registry.histogram("offset_ms", &[]).record(-3.0);
    registry.gauge("temperature_celsius", &[]).set(-1.5);
    registry.gauge("build_info", &[("version", "1.2")]).set(1.0);
    registry.gauge("disk_info", &[]).set(3.0);
    registry.float_counter("cpu_seconds_total", &[]).absolute(0.25);
    registry
}

#[test]
fn openmetrics_is_as_the_standard_says() {
    let registry = sample_registry();
    let expected = r##"# TYPE build info
build_info{version="1.2"} 1
# TYPE cpu_seconds counter
# UNIT cpu_seconds seconds
cpu_seconds_total 0.25
cpu_seconds_created 1605281325.042
# TYPE disk_info gauge
disk_info 3
# TYPE offset_ms histogram
# UNIT offset_ms ms
offset_ms_bucket{le="-1.0"} 1
offset_ms_bucket{le="0.0"} 1
offset_ms_bucket{le="+Inf"} 1
offset_ms_created 1605281325.042
# TYPE requests counter
# HELP requests Requests, with a \\ and a\nsecond \"line\".
requests_total{code="200",path="C:\\DIR\n\"x\""} 7
requests_created{code="200",path="C:\\DIR\n\"x\""} 1605281325.042
# TYPE started counter
started_total 1
started_created 1605281325.042
# TYPE temperature_celsius gauge
# UNIT temperature_celsius celsius
temperature_celsius -1.5
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
# HELP wait_seconds Wait.
wait_seconds_bucket{db="a",le="0.1"} 1
wait_seconds_bucket{db="a",le="1.0"} 2
wait_seconds_bucket{db="a",le="1e+06"} 2
wait_seconds_bucket{db="a",le="+Inf"} 3
wait_seconds_sum{db="a"} 3.00000035e+06
wait_seconds_count{db="a"} 3
wait_seconds_created{db="a"} 1605281325.042
# EOF
"##;
    assert_eq!(rendered(&registry, OPENMETRICS), expected);
    let exposition = registry.negotiate(Some(OPENMETRICS), None);
    let with_own = written(&exposition);
    openmetrics(&with_own).unwrap();
    let without = written(&exposition.with_created(Created::Hidden));
    openmetrics(&without).unwrap();
    assert!(!String::from_utf8(without).unwrap().contains("_created"));
}

#[test]
fn counters_that_openmetrics_would_confuse_are_unknown() {
    let registry = registry();
    registry.counter("a", &[]).increment(1);
    registry.counter("a_total", &[]).increment(2);
    registry.gauge("b", &[]).set(3.0);
    registry.counter("b_total", &[]).increment(4);
    let document = rendered(&registry, OPENMETRICS);
    let expected = "# TYPE a unknown\na 1\n# TYPE a_total unknown\na_total 2\n\
                    # TYPE b gauge\nb 3\n# TYPE b_total unknown\nb_total 4\n# EOF\n";
    assert_eq!(document, expected);
    openmetrics(document.as_bytes()).unwrap();
}

#[test]
fn protobuf_holds_the_same() {
    let families = messages(&sample_registry());
    let names: Vec<_> = families.iter().map(|family| family.name()).collect();
    assert_eq!(
        names,
        [
            "build_info",
            "cpu_seconds_total",
            "disk_info",
            "offset_ms",
            "requests_total",
            "started",
            "temperature_celsius",
            "wait_seconds"
        ]
    );
    let requests = &families[4];
    assert_eq!(requests.r#type(), MetricType::Counter);
    assert_eq!(requests.help(), "Requests, with a \\ and a\nsecond \"line\".");
    let metric = &requests.metric[0];
    assert_eq!((metric.label[1].name(), metric.label[1].value()), ("path", "C:\\DIR\n\"x\""));
    let created = Some(proto::Timestamp { seconds: 1_605_281_325, nanos: 42_000_000 });
    let counter = metric.counter.as_ref().unwrap();
    assert_eq!((counter.value(), counter.created_timestamp), (7.0, created));
    let wait = families[7].metric[0].histogram.as_ref().unwrap();
    assert_eq!((wait.sample_count(), wait.sample_sum()), (3, 3_000_000.35));
    let buckets: Vec<_> = wait
        .bucket
        .iter()
        .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
        .collect();
    assert_eq!(buckets, [(0.1, 1), (1.0, 2), (1e6, 2), (f64::INFINITY, 3)]);
    assert_eq!((families[7].unit(), families[1].unit()), ("seconds", "seconds"));
}

#[test]
fn a_large_family_is_several_messages_of_one_name() {
    let registry = registry();
    for id in 0..5_000 {
        registry.counter("many_total", &[("id", &format!("{id:040}"))]).increment(id);
    }
    let families = messages(&registry);
    assert!(families.len() > 1);
    let values: Vec<_> = families
        .iter()
        .inspect(|family| {
            assert_eq!((family.name(), family.r#type()), ("many_total", MetricType::Counter))
        })
        .flat_map(|family| &family.metric)
        .map(|metric| metric.counter.as_ref().unwrap().value())
        .collect();
    assert_eq!(values, (0..5_000).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn names_are_shown_as_they_were_given_to_readers_that_ask() {
    let registry = registry();
    registry.describe("http.requests", "Requests.");
    registry
        .counter("http.requests", &[("http.method", "GET"), ("code", "200"), ("größe", "\"1\"")])
        .increment(1);
    registry.histogram("wait.time", &[("le", "x"), ("a b", "y")]).record(1.0);
    let lines = |accept: &str| {
        let document = rendered(&registry, accept);
        let lines: Vec<_> =
            document.lines().filter(|line| !line.contains("_bucket")).map(str::to_owned).collect();
        lines
    };
    assert_eq!(
        lines("text/plain;version=0.0.4"),
        [
            "# HELP http_requests Requests.",
            "# TYPE http_requests counter",
            r#"http_requests{code="200",gr__e="\"1\"",http_method="GET"} 1"#,
            "# TYPE wait_time histogram",
            r#"wait_time_sum{a_b="y",exported_le="x"} 1"#,
            r#"wait_time_count{a_b="y",exported_le="x"} 1"#,
        ]
    );
    assert_eq!(
        lines("text/plain;version=1.0.0;escaping=allow-utf-8"),
        [
            r#"# HELP "http.requests" Requests."#,
            r#"# TYPE "http.requests" counter"#,
            r#"{"http.requests",code="200","größe"="\"1\"","http.method"="GET"} 1"#,
            r#"# TYPE "wait.time" histogram"#,
            r#"{"wait.time_sum","a b"="y",exported_le="x"} 1"#,
            r#"{"wait.time_count","a b"="y",exported_le="x"} 1"#,
        ]
    );
    assert_eq!(
        lines("text/plain;version=1.0.0;escaping=dots")[2],
        r#"http_dot_requests{code="200",gr____e="\"1\"",http_dot_method="GET"} 1"#
    );
    assert_eq!(
        lines("application/openmetrics-text;escaping=values")[..3],
        [
            "# TYPE U__http_2e_requests counter",
            "# HELP U__http_2e_requests Requests.",
            r#"U__http_2e_requests_total{code="200",U__gr_f6__df_e="\"1\"",U__http_2e_method="GET"} 1"#,
        ]
    );
    let utf8 = rendered(&registry, "application/openmetrics-text;escaping=allow-utf-8");
    let families = openmetrics_with(utf8.as_bytes(), Names::Utf8).unwrap();
    assert_eq!(families[0].name, "http.requests");
    assert_eq!(families[0].samples[0].label("http.method"), Some("GET"));
    let utf8 = rendered(&registry, "text/plain;version=1.0.0;escaping=allow-utf-8");
    assert_eq!(text_with(utf8.as_bytes(), Names::Utf8).unwrap().len(), 2);
    let exposition = registry.negotiate(Some("text/plain;version=1.0.0;escaping=dots"), None);
    assert_eq!(exposition.escaping(), Escaping::Dots);
    assert_eq!(
        exposition.content_type(),
        "text/plain; version=1.0.0; charset=utf-8; escaping=dots"
    );
}

#[test]
fn gzip_holds_the_same_bytes() {
    let registry = sample_registry();
    let plain = registry.negotiate(Some(OPENMETRICS), Some("deflate"));
    let packed = registry.negotiate(Some(OPENMETRICS), Some("gzip;q=0.8"));
    assert_eq!((plain.encoding(), packed.encoding()), (Encoding::Identity, Encoding::Gzip));
    assert_eq!(packed.encoding().as_header(), Some("gzip"));
    assert!(matches!(packed.format(), Format::OpenMetrics { .. }));
    let bytes = written(&packed);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, written(&plain));
}

#[test]
fn a_series_began_when_it_was_first_recorded() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let registry = Registry::with_clock(RegistryConfig::default(), Arc::clone(&clock) as Arc<_>);
    registry.counter("a_total", &[]).increment(1);
    clock.advance(Duration::from_millis(1_500));
    registry.counter("b_total", &[]).increment(1);
    let document = rendered(&registry, OPENMETRICS);
    assert!(document.contains("\na_created 1.000\n") && document.contains("\nb_created 2.500\n"));
}
