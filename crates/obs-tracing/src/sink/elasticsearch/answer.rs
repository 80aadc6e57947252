//! What the answers of the bulk API mean, line by line.

use obs_delivery::{Answer, Classifier, ItemOutcome, Verdict};
use serde_json::Value;

use crate::sink::endpoint::Refused;

/// What a line that was not stored counts as in `obskit_log_refused_total`.
pub(super) const REASONS: [&str; 3] = ["mapping", "index", "other"];

/// How much of an answer is read: some hundred bytes for each of a thousand lines.
const ANSWER_BYTES: usize = 4 << 20;

/// Tells what became of each line.
///
/// A line has an id of its own, so one that is sent again and is there already is answered with 409, and is delivered.
/// An answer that cannot be read costs nothing but a repetition, for the same reason.
#[derive(Clone)]
pub(super) struct BulkAnswers {
    pub(super) refused: Refused,
}

impl Classifier for BulkAnswers {
    fn classify(&self, answer: &Answer<'_>) -> Verdict {
        match Verdict::of_status(answer.status) {
            Verdict::Delivered => self.of_items(answer),
            other => other,
        }
    }

    fn body_limit(&self, status: u16) -> usize {
        if status == 200 { ANSWER_BYTES } else { 0 }
    }
}

impl BulkAnswers {
    fn of_items(&self, answer: &Answer<'_>) -> Verdict {
        let Some(body) = read(answer) else { return Verdict::Passing };
        match (body.get("errors").and_then(Value::as_bool), body.get("items")) {
            (Some(false), _) => Verdict::Delivered,
            (Some(true), Some(Value::Array(items))) => {
                Verdict::PerItem(items.iter().map(|item| self.of_item(item)).collect())
            }
            _ => Verdict::Passing,
        }
    }

    fn of_item(&self, item: &Value) -> ItemOutcome {
        // The one member is named by the action, which is `create`.
        let result = item.as_object().and_then(|item| item.values().next());
        let status = result.and_then(|result| result.get("status")).and_then(Value::as_u64);
        let error = result.and_then(|result| result.pointer("/error/type")).and_then(Value::as_str);
        match (status, error) {
            (Some(200..=299 | 409), _) => ItemOutcome::Accepted,
            // A full disk or another block that an operator, or the disk's emptying, will lift.
            (Some(408 | 429 | 500..=599) | None, _) | (_, Some("cluster_block_exception")) => {
                ItemOutcome::Retry
            }
            (Some(_), error) => {
                self.refused.count(reason(error.unwrap_or_default()), 1);
                ItemOutcome::Refused
            }
        }
    }
}

fn read(answer: &Answer<'_>) -> Option<Value> {
    answer.is_whole.then(|| serde_json::from_slice(answer.body).ok()).flatten()
}

/// Why a line was refused, by the type of the error.
fn reason(error: &str) -> &'static str {
    match error {
        "mapper_parsing_exception"
        | "document_parsing_exception"
        | "strict_dynamic_mapping_exception"
        | "illegal_argument_exception" => "mapping",
        error if error.contains("index") => "index",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str, is_whole: bool) -> Verdict {
        let answers = BulkAnswers { refused: Refused::bind("es", &REASONS) };
        answers.classify(&Answer { status, body: body.as_bytes(), is_whole })
    }

    #[test]
    fn each_line_has_its_own_fate() {
        let item = |status: u16, error: &str| {
            format!(r#"{{"create":{{"status":{status},"error":{{"type":"{error}"}}}}}}"#)
        };
        let items = [
            r#"{"create":{"status":201}}"#.to_owned(),
            item(409, "version_conflict_engine_exception"),
            item(429, "es_rejected_execution_exception"),
            item(503, "unavailable_shards_exception"),
            item(403, "cluster_block_exception"),
            item(400, "document_parsing_exception"),
            item(404, "index_not_found_exception"),
            "{}".to_owned(),
        ];
        let body = format!(r#"{{"took":1,"errors":true,"items":[{}]}}"#, items.join(","));
        use ItemOutcome::{Accepted, Refused, Retry};
        let expected = vec![Accepted, Accepted, Retry, Retry, Retry, Refused, Refused, Retry];
        assert_eq!(verdict(200, &body, true), Verdict::PerItem(expected));
    }

    #[test]
    fn an_answer_without_errors_is_success_and_one_that_cannot_be_read_is_tried_again() {
        assert_eq!(verdict(200, r#"{"errors":false,"items":[]}"#, true), Verdict::Delivered);
        for body in ["", "<html>", "{}", r#"{"errors":true}"#, "[1]"] {
            assert_eq!(verdict(200, body, true), Verdict::Passing, "{body}");
        }
        assert_eq!(verdict(200, r#"{"errors":false}"#, false), Verdict::Passing);
        assert_eq!(verdict(413, "", true), Verdict::TooLarge);
        assert_eq!(verdict(429, "", true), Verdict::Passing);
        assert_eq!(verdict(401, "", true), Verdict::Permanent);
    }

    proptest::proptest! {
        #[test]
        fn any_answer_has_a_meaning_and_never_more_outcomes_than_items(
            body in r#"(\{"errors":(true|false|1),"items":\[(\{"create":\{"status":[0-9]{0,4}\}\},?){0,4}\]\}|.{0,30})"#,
            status: u16,
        ) {
            if let Verdict::PerItem(outcomes) = verdict(status, &body, true) {
                proptest::prop_assert_eq!(outcomes.len(), body.matches("create").count());
            }
        }
    }

    #[test]
    fn refusals_have_few_reasons() {
        for (error, expected) in [
            ("mapper_parsing_exception", "mapping"),
            ("invalid_index_name_exception", "index"),
            ("security_exception", "other"),
        ] {
            assert_eq!(reason(error), expected);
            assert!(REASONS.contains(&expected));
        }
    }
}
