//! Selectors out of Prometheus' own parser tests, read in place where the folder is there.

use std::path::Path;

use obs_query::Selector;

/// What only a byte string can hold: Rust's text is UTF-8 before it gets here.
const NOT_TEXT: &str = "some_metric{a=\"\u{ff}\"}";

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped has to say so")]
fn selectors_of_prometheus_parser_tests_are_accepted_or_refused_as_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/conformance/promql-parse/v3.5.5.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for case in &cases {
        let (expr, valid) = (case["expr"].as_str().unwrap(), case["valid"].as_bool().unwrap());
        let braced =
            expr.trim_start().trim_start_matches(|c: char| c.is_alphanumeric() || "_:".contains(c));
        if !(braced.starts_with('{') && (!valid || braced.ends_with('}'))) || expr == NOT_TEXT {
            continue;
        }
        checked += 1;
        let outcome = expr.parse::<Selector>();
        if outcome.is_ok() != valid {
            wrong.push(format!("{expr}: expected valid = {valid}, got {outcome:?}"));
        }
    }
    assert!(checked >= 25, "only {checked} cases were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
