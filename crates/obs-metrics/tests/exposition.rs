//! The text that a scrape reads.

use std::io::{self, Write};

use obs_metrics::{Registry, TEXT_CONTENT_TYPE};
use proptest::prelude::*;

/// The rendering without the registry's own metrics.
fn rendered(registry: &Registry) -> String {
    registry
        .render_text()
        .split_inclusive('\n')
        .filter(|line| !line.contains("obskit_metrics_"))
        .collect()
}

#[test]
fn the_text_is_as_the_format_says() {
    let registry = Registry::default();
    registry.describe("requests_total", "Requests, with a \\ and a\nsecond \"line\".");
    registry.describe("wait_seconds", "Wait.");
    registry.set_buckets("wait_seconds", &[0.1, 1.0, 1e6]).unwrap();
    registry
        .counter("requests_total", &[("path", "C:\\DIR\n\"x\""), ("code", "200")])
        .increment(1_234_567);
    registry.counter("requests_total", &[("code", "1"), ("path", "é")]).increment(1);
    let wait = registry.histogram("wait_seconds", &[("db", "a")]);
    for value in [0.1, 0.25, 3e6] {
        wait.record(value);
    }
    registry.histogram("plain_bytes", &[]).record_many(300.0, 2);
    registry.gauge("temperature", &[]).set(-1.5);
    registry.gauge("odd", &[("v", "nan")]).set(f64::NAN);
    registry.gauge("odd", &[("v", "inf")]).set(f64::INFINITY);
    registry.gauge("odd", &[("v", "minus")]).set(f64::NEG_INFINITY);
    registry.gauge("odd", &[("v", "large")]).set(1.5e9);
    registry.float_counter("cpu_seconds_total", &[]).absolute(0.25);
    let expected = r##"# TYPE cpu_seconds_total counter
cpu_seconds_total 0.25
# TYPE odd gauge
odd{v="inf"} +Inf
odd{v="large"} 1.5e+09
odd{v="minus"} -Inf
odd{v="nan"} NaN
# TYPE plain_bytes histogram
plain_bytes_bucket{le="256"} 0
plain_bytes_bucket{le="1024"} 2
plain_bytes_bucket{le="4096"} 2
plain_bytes_bucket{le="16384"} 2
plain_bytes_bucket{le="65536"} 2
plain_bytes_bucket{le="262144"} 2
plain_bytes_bucket{le="1.048576e+06"} 2
plain_bytes_bucket{le="4.194304e+06"} 2
plain_bytes_bucket{le="1.6777216e+07"} 2
plain_bytes_bucket{le="6.7108864e+07"} 2
plain_bytes_bucket{le="+Inf"} 2
plain_bytes_sum 600
plain_bytes_count 2
# HELP requests_total Requests, with a \\ and a\nsecond "line".
# TYPE requests_total counter
requests_total{code="1",path="é"} 1
requests_total{code="200",path="C:\\DIR\n\"x\""} 1234567
# TYPE temperature gauge
temperature -1.5
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{db="a",le="0.1"} 1
wait_seconds_bucket{db="a",le="1"} 2
wait_seconds_bucket{db="a",le="1e+06"} 2
wait_seconds_bucket{db="a",le="+Inf"} 3
wait_seconds_sum{db="a"} 3.00000035e+06
wait_seconds_count{db="a"} 3
"##;
    assert_eq!(rendered(&registry), expected);
    assert_eq!(TEXT_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn the_registrys_own_metrics_have_help_and_are_there_from_the_start() {
    let text = Registry::default().render_text();
    for reason in
        ["label_limits", "name_too_long", "kind_conflict", "too_many_metrics", "invalid_value"]
    {
        assert!(
            text.contains(&format!("\nobskit_metrics_dropped_total{{reason=\"{reason}\"}} 0\n"))
        );
    }
    assert!(text.starts_with("# HELP obskit_metrics_dropped_total "));
    assert!(text.contains("# HELP obskit_metrics_series "));
    assert!(!text.contains("obskit_metrics_overflow_total"));
}

/// Remembers how large the pieces were, and fails on demand.
#[derive(Default)]
struct Pieces {
    sizes: Vec<usize>,
    text: Vec<u8>,
    fail_after: Option<usize>,
}

impl Write for Pieces {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.fail_after.is_some_and(|limit| self.sizes.len() >= limit) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.sizes.push(piece.len());
        self.text.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_text_is_written_in_bounded_pieces_and_stops_at_an_error() {
    let registry = Registry::default();
    for id in 0..5_000 {
        registry.counter("many_total", &[("id", &id.to_string())]).increment(id);
    }
    let mut pieces = Pieces::default();
    registry.write_text(&mut pieces).unwrap();
    assert_eq!(pieces.text, registry.render_text().into_bytes());
    assert!(pieces.sizes.len() > 3 && pieces.sizes.iter().all(|size| *size < 17 * 1_024));

    let mut broken = Pieces { fail_after: Some(1), ..Pieces::default() };
    let error = registry.write_text(&mut broken).unwrap_err();
    assert_eq!((error.kind(), broken.sizes.len()), (io::ErrorKind::BrokenPipe, 1));
}

/// Reads one line's label values back, by the rules of the format.
fn unescaped_values(line: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut characters = line.chars();
    while characters.by_ref().any(|character| character == '"') {
        let mut value = String::new();
        loop {
            match characters.next() {
                Some('\\') => value.push(match characters.next() {
                    Some('n') => '\n',
                    Some(other) => other,
                    None => panic!("a line ends in an escape: {line}"),
                }),
                Some('"') => break,
                Some(other) => value.push(other),
                None => panic!("a value does not end: {line}"),
            }
        }
        values.push(value);
    }
    values
}

proptest! {
    #[test]
    fn every_label_value_reads_back_from_its_one_line(first in any::<String>(), second in "[\\\\\"\n a]{0,8}") {
        let registry = Registry::default();
        registry.gauge("probe", &[("a", &first), ("b", &second)]).set(1.0);
        let text = rendered(&registry);
        let lines: Vec<_> = text.split('\n').collect();
        prop_assert_eq!(lines.len(), 3, "{}", text);
        prop_assert_eq!(unescaped_values(lines[1]), [first, second]);
    }
}
