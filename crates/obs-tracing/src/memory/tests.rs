//! The memory of lines against a list of lines.

use obs_model::{Level, Timestamp, TraceId};
use proptest::prelude::*;

use super::*;
use crate::sink::LineHead;

fn push(memory: &LineMemory, at: i64, level: Level, trace: u128, json: &str) {
    let head = LineHead {
        at: Timestamp::from_millis(at),
        level,
        target: "shop::pay",
        trace: TraceId::new(trace),
        span: None,
        sampled: false,
    };
    memory.push(&Line::new(head, json.as_bytes()));
}

fn numbers(memory: &LineMemory, query: &LineQuery) -> Vec<u64> {
    memory.search(query).lines.iter().map(|line| line.number).collect()
}

fn some_lines() -> LineMemory {
    let memory = LineMemory::new(MIN_BYTES);
    for (at, (level, trace, json)) in [
        (
            Level::Info,
            1,
            r#"{"message":"Paid","userId":"u-1","metadata":{"cents":950,"took":1.5}}"#,
        ),
        (Level::Warn, 1, r#"{"message":"a \"Quoted\" word","metadata":{"cents":"950"}}"#),
        (Level::Error, 2, r#"{"message":"failed","userId":"u-2","metadata":{"took":20}}"#),
        (Level::Debug, 0, r#"{"message":"nothing"}"#),
    ]
    .into_iter()
    .enumerate()
    {
        push(&memory, at as i64 * 1_000, level, trace, json);
    }
    memory
}

#[test]
fn every_part_of_a_query_narrows_what_is_found() {
    let memory = some_lines();
    let all = LineQuery::default;
    let text = |text: &str| LineQuery { text: Some(text.into()), ..all() };
    let field =
        |name: &str, value: &str| LineQuery { fields: vec![(name.into(), value.into())], ..all() };
    let least = |name: &str, least| LineQuery { at_least: vec![(name.into(), least)], ..all() };
    for (query, expected) in [
        (all(), vec![3, 2, 1, 0]),
        (LineQuery { level: Level::Warn, ..all() }, vec![2, 1]),
        (LineQuery { trace: TraceId::new(1), ..all() }, vec![1, 0]),
        (LineQuery { target: Some("shop".into()), ..all() }, vec![3, 2, 1, 0]),
        (LineQuery { target: Some("sho".into()), ..all() }, vec![]),
        (text("pAID"), vec![0]),
        (text("\"quoted\""), vec![1]),
        (text("u-"), vec![2, 0]),
        (field("userId", "u-2"), vec![2]),
        (field("cents", "950"), vec![1, 0]),
        (least("took", 1.5), vec![2, 0]),
        (least("took", 1.6), vec![2]),
        (LineQuery { since: Some(Timestamp::from_millis(2_000)), ..all() }, vec![3, 2]),
        (LineQuery { until: Some(Timestamp::from_millis(1_000)), ..all() }, vec![1, 0]),
        (LineQuery { after: Some(1), ..all() }, vec![3, 2]),
        (LineQuery { before: Some(1), ..all() }, vec![0]),
    ] {
        assert_eq!(numbers(&memory, &query), expected, "{query:?}");
        assert!(!memory.search(&query).more);
    }
    let found = memory.search(&LineQuery { limit: 2, ..all() });
    assert!(found.more);
    let before = found.lines.last().map(|line| line.number);
    assert_eq!(numbers(&memory, &LineQuery { before, ..all() }), [1, 0]);
}

#[test]
fn lines_are_counted_by_the_values_of_a_field() {
    let count = |value: Option<&str>, lines| FieldCount { value: value.map(str::to_owned), lines };
    let memory = some_lines();
    assert_eq!(
        memory.count_by("cents", &LineQuery::default()),
        [count(None, 2), count(Some("950"), 2)]
    );
    let warnings = LineQuery { level: Level::Warn, limit: 1, ..LineQuery::default() };
    assert_eq!(memory.count_by("userId", &warnings), [count(None, 1)]);
}

#[test]
fn the_oldest_lines_go_and_the_bound_holds() {
    let memory = LineMemory::new(0);
    let line = format!(r#"{{"message":"{}"}}"#, "x".repeat(1_000));
    for at in 0..5_000 {
        push(&memory, at, Level::Info, 0, &line);
        assert!(memory.bytes() <= MIN_BYTES + MIN_BYTES / SEGMENTS + 2_000);
    }
    let all = LineQuery { limit: usize::MAX, ..LineQuery::default() };
    let kept = numbers(&memory, &all);
    assert!(kept.len() > 900, "{}", kept.len());
    let expected: Vec<u64> = (0..5_000).rev().take(kept.len()).collect();
    assert_eq!(kept, expected);
}

proptest! {
    /// Text is found whether or not it had to be escaped, in either case.
    #[test]
    fn what_stands_in_a_line_is_found(before in "\\PC{0,8}", text in "[ -~é\n\t\"\\\\]{1,8}", after in "\\PC{0,8}") {
        let memory = LineMemory::new(MIN_BYTES);
        let message = format!("{before}{text}{after}");
        let mut json = br#"{"message":"#.to_vec();
        crate::line::write::push_string(&mut json, &message, 0, usize::MAX);
        json.push(b'}');
        push(&memory, 0, Level::Info, 0, std::str::from_utf8(&json).unwrap());
        for text in [text.clone(), text.to_ascii_uppercase(), text.to_ascii_lowercase()] {
            let query = LineQuery { text: Some(text), ..LineQuery::default() };
            prop_assert_eq!(numbers(&memory, &query), [0]);
        }
    }
}
