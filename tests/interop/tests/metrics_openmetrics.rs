//! The OpenMetrics parser of Python's `prometheus_client` reads what we write, and we read what it writes of that.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use interop::{python, run_with_input};
use obs_metrics::catalog::{BusinessMetrics, DatabaseMetrics, LlmMetrics, WorkflowMetrics};
use obs_metrics::collect::ProcessCollector;
use obs_metrics::expose::parse::{self, Family};
use obs_metrics::{Exemplars, Outcome, Registry, RegistryConfig};
use obs_model::{Context, ManualClock, SpanId, Timestamp, TraceId};

/// Reads OpenMetrics from standard input and writes it anew.
const SCRIPT: &str = "
import sys
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))

class Parsed:
    def collect(self):
        return families

sys.stdout.write(generate_latest(Parsed()).decode())
";

/// Everything that an exposition can have: all types, units, exemplars, start times, and texts to escape.
fn registry() -> Registry {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_123)));
    let config = RegistryConfig { exemplars: Exemplars::PerBucket, ..RegistryConfig::default() };
    let registry = Registry::with_clock(config, clock);
    registry.describe("odd_total", "A \"help\" with \\ and\na second line.");
    registry
        .counter("odd_total", &[("text", "a \"b\" \\ c\nd \u{e9} {} , # ="), ("empty", "")])
        .increment(1);
    registry.counter("without_suffix", &[]).increment(u64::from(u32::MAX) * 3);
    registry.float_counter("cpu_seconds_total", &[]).increment(0.1 + 0.2);
    for (id, value) in
        [0.0, -1.5, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY].iter().enumerate()
    {
        registry.gauge("level", &[("id", &id.to_string())]).set(*value);
    }
    registry.gauge("build_info", &[("version", "1.2.3")]).set(1.0);
    {
        let (trace, span) = (TraceId::new(7).unwrap(), SpanId::new(9).unwrap());
        let _entered = Context::default().with_trace(trace).with_span(span).enter();
        registry.histogram("wait_seconds", &[("route", "/a")]).record(0.3);
    }
    registry.histogram("wait_seconds", &[("route", "/a")]).record(1e9);
    registry.histogram("size_bytes", &[]).record(4_096.0);
    let workflows = WorkflowMetrics::new(&registry, "analyst");
    workflows.start_step("plan").finish(Outcome::Error);
    workflows.start(Default::default()).finish(Outcome::Success);
    BusinessMetrics::new(&registry).record_chart("bar", "o-1");
    BusinessMetrics::new(&registry).record_conversation(3);
    let _ = (DatabaseMetrics::new(&registry), LlmMetrics::new(&registry));
    let _ = ProcessCollector::new(&registry);
    registry
}

/// The families in one order, labels in one order.
fn sorted(mut families: Vec<Family>) -> Vec<Family> {
    families.sort_by(|one, other| one.name.cmp(&other.name));
    for sample in families.iter_mut().flat_map(|family| &mut family.samples) {
        sample.labels.sort();
        if let Some(exemplar) = &mut sample.exemplar {
            exemplar.labels.sort();
        }
    }
    families
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn pythons_parser_round_trips_our_openmetrics() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let packages = ["prometheus-client>=0.20,<1"];
    let python = match python(folder, "prometheus-client", "import prometheus_client", &packages) {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("SKIPPED: prometheus_client cannot be installed: {reason}");
            return;
        }
    };
    let exposition = registry().negotiate(Some("application/openmetrics-text;version=1.0.0"), None);
    let mut ours = Vec::new();
    exposition.write(&mut ours).unwrap();
    let (ok, theirs) = run_with_input(Command::new(python).args(["-c", SCRIPT]), &ours);
    assert!(ok, "{theirs}\n{}", String::from_utf8_lossy(&ours));

    let ours = sorted(parse::openmetrics(&ours).unwrap());
    let theirs = sorted(parse::openmetrics(theirs.as_bytes()).unwrap());
    let names = |all: &[Family]| all.iter().map(|family| family.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    assert!(ours.iter().flat_map(|family| &family.samples).any(|one| one.exemplar.is_some()));
    for (one, other) in ours.iter().zip(&theirs) {
        assert_eq!(one, other);
    }
}
