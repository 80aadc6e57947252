//! Tests of reading and writing rule files.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::promql::ParseOptions;

fn read(text: &str) -> Result<RuleFile, crate::Error> {
    RuleFile::parse(text, ParseOptions::default())
}

/// Checks that `text` has these problems, each given as the beginning of how it is written.
fn check(text: &str, expected: &[&str]) {
    let problems = match read(text) {
        Ok(_) => Vec::new(),
        Err(error) => error.rule_problems().iter().map(ToString::to_string).collect(),
    };
    let agrees = problems.len() == expected.len()
        && problems.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
    assert!(agrees, "{text}\nhas {problems:#?}\nexpected {expected:#?}");
}

/// Checks the problems of one rule, given as the fields of a rule; it begins in line 4 and column 5.
fn check_rule(fields: &str, expected: &[&str]) {
    let fields = fields.replace('\n', "\n    ");
    check(&format!("groups:\n- name: g\n  rules:\n  - {fields}\n"), expected);
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn everything_that_a_file_says_is_read() {
    let file = read(
        "groups:
- name: g
  interval: 1m30s
  query_offset: 0s
  limit: 0x10
  labels: {team: a}
  rules:
  - {record: 'a:b', expr: 1, labels: {n: 5, t: true, e: }}
  - alert: A
    expr: |
      up ==  # is it?
        0
    for: 5m
    keep_firing_for: 1d
    labels: {severity: page}
    annotations: {summary: down}
- name: h
",
    )
    .unwrap();
    let [first, second] = file.groups() else { panic!("expected two groups") };
    assert_eq!(first.interval, Duration::from_secs(90));
    assert_eq!(first.query_offset, Some(Duration::ZERO));
    assert_eq!(first.limit, 16);
    assert_eq!(first.labels, pairs(&[("team", "a")]));
    let recording = first.rules[0].as_recording().unwrap();
    assert_eq!((recording.record.as_str(), recording.expr.text()), ("a:b", "1"));
    assert_eq!(recording.labels, pairs(&[("n", "5"), ("t", "true"), ("e", "")]));
    let alert = first.rules[1].as_alerting().unwrap();
    assert_eq!(alert.expr.text(), "up ==  # is it?\n  0\n");
    assert_eq!(alert.expr.expr().to_string(), "up == 0");
    assert_eq!((alert.hold.as_secs(), alert.keep_firing.as_secs()), (300, 86_400));
    assert_eq!(alert.annotations, pairs(&[("summary", "down")]));
    assert_eq!((second.name.as_str(), second.query_offset), ("h", None));
    assert_eq!(file.rule_count(), 2);
    assert_eq!(file.position(0, 1).unwrap().to_string(), "9:5");
}

#[test]
fn a_file_that_says_nothing_has_no_groups() {
    for text in ["", "# nothing\n", "---\n", "{}", "~", "groups:\n", "groups: []\n", "\u{feff}{}"] {
        assert_eq!(read(text).unwrap(), RuleFile::default(), "{text:?}");
    }
}

#[test]
fn what_says_nothing_in_a_list_is_passed_over() {
    let file = read("groups:\n-\n- name: g\n  limit: 1.9e1\n  rules: [~]\n").unwrap();
    assert_eq!((file.groups()[0].name.as_str(), file.groups()[0].limit), ("g", 19));
    assert_eq!(file.rule_count(), 0);
}

#[test]
fn only_the_first_document_is_read() {
    let file = read("groups: []\n---\nnonsense: @\n").unwrap();
    assert!(file.has_more_documents());
    assert!(!read("groups: []\n...\n").unwrap().has_more_documents());
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    check(
        "groups:
- name: a
  interval: 5x
  limit: many
  rules:
  - record: 'a{b}'
    expr: sum(
    for: 5m
    annotations: {b: c}
  - alert: A
    record: b
    labels: {__name__: y, '': z}
  - expr: up
    foo: bar
- name: a
  rules: 5
- rules: []
",
        &[
            "3:13: group \"a\": interval: \"5x\" is not a valid duration",
            "4:10: group \"a\": limit is a single value: expected a whole number",
            "6:13: group \"a\", rule 1, \"a{b}\": braces present in the recording rule name",
            "7:15: group \"a\", rule 1, \"a{b}\": could not parse expression: unclosed left parenthesis",
            "8:10: group \"a\", rule 1, \"a{b}\": invalid field 'for' in recording rule",
            "9:18: group \"a\", rule 1, \"a{b}\": invalid field 'annotations' in recording rule",
            "10:5: group \"a\", rule 2, \"A\": field 'expr' must be set in rule",
            "11:13: group \"a\", rule 2, \"A\": only one of 'record' and 'alert' must be set",
            "12:14: group \"a\", rule 2, \"A\": invalid label name: \"__name__\"",
            "12:27: group \"a\", rule 2, \"A\": invalid label name: \"\"",
            "13:5: group \"a\", rule 3, \"\": one of 'record' or 'alert' must be set",
            "14:5: group \"a\", rule 3, \"\": field \"foo\" not found in a rule: expected record,",
            "15:3: groupname: \"a\" is repeated in the same file",
            "16:10: group \"a\": rules is a single value: expected a list",
            "17:3: Groupname must not be empty",
        ],
    );
}

#[test]
fn what_is_no_rule_file_is_refused() {
    check("rule_files: [a]\n", &["1:1: field \"rule_files\" not found in a rule file"]);
    check("- a\n", &["1:1: a rule file is a list: expected a mapping"]);
    check("groups: {a: b}\n", &["1:9: groups is a mapping: expected a list"]);
    check("groups:\n- 5\n", &["2:3: group \"\": a group is a single", "2:3: Groupname"]);
    check("a:\n  b\u{1}\n", &["2:4: yaml: control characters are not allowed"]);
    check("groups: [\n", &["2:1: yaml: "]);
    check("groups: []\ngroups: []\n", &["2:1: mapping key \"groups\" already defined at line 1"]);
    check("groups:\n- name: [a]\n", &["2:3: Groupname", "2:9: group \"\": name is a list"]);
    check("groups:\n- &a [*a]\n", &["2:7: yaml: an alias stands within what it is the name of"]);
    check_rule(
        "record: 'a'\nexpr:",
        &["4:5: group \"g\", rule 1, \"a\": field 'expr' must be set"],
    );
    check_rule("record: ''\nexpr: 1", &["4:5: group \"g\", rule 1, \"\": one of 'record' or"]);
    check_rule(
        "alert: a\nexpr: 1\nfor: 5",
        &["6:10: group \"g\", rule 1, \"a\": for: \"5\" is not"],
    );
    check_rule("record: a\nexpr: 1\nfor: 0s\nannotations: {}", &[]);
}

#[test]
fn problems_of_an_expression_are_placed_in_the_file() {
    for (expr, place) in [
        ("sum(up) by", "5:21"),
        ("'sum(up{a=\"''\"}) by'", "5:30"),
        (r#""sum(up{a=\"\u0062\"}) by""#, "5:36"),
        ("|\n  sum(\n\n    up)) + 1\n", "8:12"),
        ("|-\n\n  up\n  +", "8:8"),
        (">\n  sum(\n  up)) + 1\n", "7:10"),
        ("up\n  + + )", "6:11"),
        ("\"up \\\n   + )\"", "6:10"),
        ("é)", "5:11"),
    ] {
        let expected = format!("{place}: group \"g\", rule 1, \"a\": could not parse expression: ");
        check_rule(&format!("record: a\nexpr: {expr}"), &[&expected]);
    }
    let escaped = "{record: a, expr: \"sum(\\P)\"}";
    check_rule(escaped, &["4:28: group \"g\", rule 1, \"a\": could not parse expression: "]);
}

#[test]
fn problems_of_templates_are_placed_in_the_file() {
    check_rule(
        "alert: a\nexpr: up\nlabels: {l: '{{ $x }}'}\nannotations:\n  b: |\n    one\n    {{ nope }}\n  c: '{{ if }}'",
        &[
            "6:21: group \"g\", rule 1, \"a\": label \"l\": undefined variable \"$x\"",
            "10:12: group \"g\", rule 1, \"a\": annotation \"b\": function \"nope\" not defined",
            "11:17: group \"g\", rule 1, \"a\": annotation \"c\": missing value for if",
        ],
    );
    // Labels of recording rules are no templates.
    check_rule("record: a\nexpr: up\nlabels: {l: '{{ $x }}'}", &[]);
}

#[test]
fn aliases_and_merge_keys_stand_for_what_they_name() {
    let file = read(
        "groups:
- name: g
  rules:
  - &first {record: a, expr: &one '1', labels: &l {x: y, z: '0'}}
  - {<<: *first, record: b}
  - {record: c, expr: *one, labels: {<<: [{x: w}, *l], q: r}}
",
    )
    .unwrap();
    let rules = &file.groups()[0].rules;
    assert_eq!((rules[1].name(), rules[1].labels()), ("b", rules[0].labels()));
    assert_eq!(rules[2].expr(), rules[0].expr());
    assert_eq!(rules[2].labels(), &pairs(&[("q", "r"), ("x", "w"), ("z", "0")]));
}

#[test]
fn a_file_cannot_stand_for_more_than_it_may() {
    let rules = "*r, ".repeat(2_000);
    let groups = "*g, ".repeat(2_000);
    let text = format!(
        "groups:\n- &g\n  name: g\n  rules: [&r {{record: a, expr: '1'}}, {rules}]\n- &h {{name: h, rules: [{rules}]}}\n"
    );
    assert!(read(&text).is_ok());
    let many = format!("{text}{}", groups.replace("*g, ", "- *g\n"));
    let error = read(&many).unwrap_err();
    let [problem] = error.rule_problems() else { panic!("expected one problem") };
    assert_eq!(problem.message(), "aliases stand for more than 1000000 values in all");

    check(&"[".repeat(100), &["1:34: yaml: nested too deeply: at most 32 levels"]);
    check(&"a".repeat(MAX_RULE_FILE_BYTES + 1), &["the file has 16777217 bytes"]);
}

#[test]
fn so_many_problems_are_reported_and_the_rest_is_counted() {
    let text = format!("groups:\n- name: g\n  rules:\n{}", "  - {expr: 1}\n".repeat(1_500));
    let error = read(&text).unwrap_err();
    assert_eq!(error.rule_problems().len(), 1_001);
    assert_eq!(error.rule_problems()[1_000].message(), "500 more problems are not shown");
}

#[test]
fn duplicates_have_the_same_name_and_labels() {
    let file = read(
        "groups:
- name: a
  rules:
  - {record: x, expr: 1}
  - {record: x, expr: 2, labels: {a: b}}
- name: b
  rules:
  - {alert: x, expr: 3, for: 5m}
",
    )
    .unwrap();
    let expected =
        DuplicateRule { name: "x".to_owned(), labels: pairs(&[]), rule: (1, 0), first: (0, 0) };
    assert_eq!(file.duplicate_rules(), [expected]);
}

#[test]
fn rules_that_are_made_are_checked_as_those_that_are_read() {
    let one = RuleExpr::parse("1", ParseOptions::default()).unwrap();
    let mut alert = AlertingRule::new("", one.clone());
    alert.hold = Duration::from_micros(5);
    alert.annotations.insert(String::new(), "{{".to_owned());
    let mut recording = RecordingRule::new("a{b}", one);
    recording.labels.insert("__name__".to_owned(), String::new());
    let group = RuleGroup {
        name: "g".to_owned(),
        rules: vec![alert.into(), recording.into()],
        ..RuleGroup::default()
    };
    let error = RuleFile::new(vec![group, RuleGroup::default()]).unwrap_err();
    let messages: Vec<_> = error.rule_problems().iter().map(RuleProblem::message).collect();
    assert_eq!(messages.len(), 7, "{messages:#?}");
    assert!(error.is_invalid_rules());
    assert!(error.rule_problems()[0].position().is_none());
}

#[test]
fn files_are_written_for_people() {
    let text = "groups:
- name: g
  interval: 1m30s
  limit: 5
  labels:
      team: a
  rules:
  - record: a:b
    expr: sum by (a) (rate(b{c=\"d\"}[5m]))
  - alert: \"No\"
    expr: |
      up
        == 0
    for: 1d
    annotations:
      \"a b: \": \"5\"
      summary: \"{{ $value }} of\\t%\"
";
    assert_eq!(read(text).unwrap().to_string(), text);
    assert_eq!(RuleFile::default().to_string(), "groups: []\n");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}",
        "[ -~]{1,12}",
        "([ -~\t]{0,6}\n){0,3}[ -~]{0,6}",
        any::<String>(),
        Just("null".to_owned()),
        Just("0x1F".to_owned()),
    ]
}

fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = any_text().prop_filter("a label", |it| !it.is_empty() && it != "__name__");
    // Values are templates in alerts, so they have no braces here.
    proptest::collection::btree_map(name, any_text().prop_map(|it| it.replace('{', "")), 0..3)
}

fn any_expr() -> impl Strategy<Value = RuleExpr> {
    let comment = "[ -~]{0,12}".prop_map(|it| format!("up # {it}\n  > 0"));
    let quoted = any_text().prop_map(|it| format!("a{{b={}}}", crate::promql::Text::from(&*it)));
    prop_oneof![Just("sum(up)".to_owned()), Just(" 1 \n".to_owned()), comment, quoted]
        .prop_map(|it| RuleExpr::parse(it, ParseOptions::default()).unwrap())
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 0..100_000_u64, 0..1_000_000_000_000_u64].prop_map(Duration::from_millis)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let name = any_text().prop_filter("a name", |it| !it.is_empty());
    let parts = (
        name,
        any_expr(),
        any_labels(),
        any_labels(),
        any_duration(),
        any_duration(),
        any::<bool>(),
    );
    parts.prop_map(|(name, expr, labels, annotations, hold, keep_firing, alerts)| {
        if alerts {
            Rule::from(AlertingRule { alert: name, expr, hold, keep_firing, labels, annotations })
        } else {
            let record = format!("r{}", name.replace(['{', '}'], ""));
            Rule::from(RecordingRule { record, expr, labels })
        }
    })
}

prop_compose! {
    fn any_group()(
        name in any_text(),
        interval in any_duration(),
        query_offset in proptest::option::of(any_duration()),
        limit in 0..100_u64,
        labels in any_labels(),
        rules in proptest::collection::vec(any_rule(), 0..4),
    ) -> RuleGroup {
        RuleGroup { name, interval, query_offset, limit, labels, rules }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same(groups in proptest::collection::vec(any_group(), 0..4)) {
        let mut groups = groups;
        for (index, group) in groups.iter_mut().enumerate() {
            group.name.push_str(&index.to_string());
        }
        let file = RuleFile::new(groups).unwrap();
        let written = file.to_string();
        let read = read(&written);
        prop_assert!(read.is_ok(), "{:?}\n{}", read, written);
        prop_assert_eq!(read.unwrap(), file, "{}", written);
    }

    #[test]
    fn no_text_makes_reading_panic(text in "([ \\-?:{}\\[\\],&*#!|>'\"%@`\n\ta-c]|groups:|- name: |  rules:\n|    expr: |é){0,60}") {
        let _ = read(&text);
    }
}
