//! Templates beside those of Prometheus: a table of texts and what they come to, which promtool confirms where it is
//! installed.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use obs_model::{Labels, Sample, Timestamp};
use obs_query::promql::{Engine, ParseOptions, SampleValue, Text};
use obs_query::rules::{AlertingRule, RuleExpr, RuleFile, RuleGroup};
use obs_query::template::{Environment, Template, engine_query};
use obs_query::{Error, SeriesStore, StoreConfig};

/// Templates, each with what Prometheus makes of it, quoted as Go does; `ERROR` where it refuses.
const TABLE: &str = include_str!("data/templates.txt");

fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().map(|line| line.rsplit_once(" => ").expect("a template and its text"))
}

/// A metric, its labels and its value.
type Given = (&'static str, &'static [(&'static str, &'static str)], f64);

const SERIES: [Given; 3] = [
    ("m", &[("a", "b"), ("instance", "localhost:9090"), ("job", "x y")], 1234.5),
    ("n", &[("k", "a")], 10.0),
    ("n", &[("k", "b")], 2.0),
];

fn labels(name: &str, pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied().chain([("__name__", name)])).unwrap()
}

/// What a template comes to for the first of the series.
fn expand(text: &str) -> Result<String, Error> {
    let store = SeriesStore::new(StoreConfig::default());
    for (name, pairs, value) in SERIES {
        for millis in [0, 60_000] {
            let sample = Sample { timestamp: Timestamp::from_millis(millis), value };
            store.append(&labels(name, pairs), sample).unwrap();
        }
    }
    let engine = Engine::default();
    let (name, pairs, value) = SERIES[0];
    Template::parse(text)?.expand(&Environment {
        labels: &labels(name, pairs),
        external_labels: &Labels::new([("region", "eu")]).unwrap(),
        external_url: "http://prom.example/pre/fix",
        value: &SampleValue::Float(value),
        at: Timestamp::from_millis(60_000),
        query: &engine_query(&engine, &store),
    })
}

fn quoted(text: &str) -> String {
    let quoted = Text::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[test]
fn templates_come_to_what_prometheus_makes_of_them() {
    let mut wrong = Vec::new();
    for (template, expected) in cases() {
        let found = expand(template);
        let agrees = match &found {
            Ok(text) => quoted(text) == expected,
            Err(error) => expected == "ERROR" && error.is_expansion(),
        };
        if !agrees {
            wrong.push(format!("{template}\n  expected {expected}\n  found    {found:?}"));
        }
    }
    assert!(cases().count() >= 85);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs `promtool` in a folder; `None` if it is not installed.
fn promtool(folder: &std::path::Path, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("promtool").args(arguments).current_dir(folder).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// A folder of this test's own, taken away in the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("obskit-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped has to say so")]
fn promtool_agrees_with_the_table_and_reads_what_is_written() {
    let folder = Folder::new("templates");
    let expr = RuleExpr::parse("m", ParseOptions::default()).unwrap();
    let mut tests = String::from(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  external_labels: {region: eu}\n  external_url: http://prom.example/pre/fix\n  input_series:\n",
    );
    for (name, pairs, value) in SERIES {
        let series = labels(name, pairs);
        writeln!(tests, "  - {{series: '{series}', values: '{value} {value}'}}").unwrap();
    }
    tests.push_str("  alert_rule_test:\n");
    let mut rules = Vec::new();
    for (index, (template, expected)) in cases().enumerate() {
        if expected == "ERROR" {
            continue;
        }
        let mut rule = AlertingRule::new(format!("A{index}"), expr.clone());
        rule.annotations.insert("text".to_owned(), template.to_owned());
        rules.push(rule.into());
        // The quotes of Go are also those of YAML.
        writeln!(
            tests,
            "  - {{eval_time: 1m, alertname: A{index}, exp_alerts: [{{exp_labels: {{a: b, instance: 'localhost:9090', job: x y}}, exp_annotations: {{text: \"{expected}\"}}}}]}}"
        )
        .unwrap();
    }
    let group = RuleGroup { name: "g".to_owned(), rules, ..RuleGroup::default() };
    let file = RuleFile::new(vec![group]).unwrap();
    fs::write(folder.0.join("rules.yml"), file.to_string()).unwrap();
    fs::write(folder.0.join("tests.yml"), tests).unwrap();
    let Some((good, output)) = promtool(&folder.0, &["test", "rules", "tests.yml"]) else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    assert!(good, "{output}");
}
