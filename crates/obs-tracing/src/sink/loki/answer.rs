//! What Loki's answers mean.

use obs_delivery::{Answer, Classifier, Verdict};

use crate::sink::endpoint::Refused;

/// What a line that was not stored counts as in `obskit_log_refused_total`.
pub(super) const REASONS: [&str; 5] =
    ["out_of_order", "too_old", "too_large", "unauthorized", "invalid"];

/// How much of a refusal is read: Loki names ten lines at most.
const REFUSAL_BYTES: usize = 16 * 1_024;

/// Tells what the answers mean.
///
/// 429 and whatever begins with 5 may pass. Of a request that is answered with 400 Loki has stored what it could: to
/// send it again would bring the same refusal, and at best nothing new.
#[derive(Clone)]
pub(super) struct LokiAnswers {
    pub(super) refused: Refused,
}

impl Classifier for LokiAnswers {
    fn classify(&self, answer: &Answer<'_>) -> Verdict {
        let verdict = Verdict::of_status(answer.status);
        if verdict == Verdict::Permanent {
            let text = String::from_utf8_lossy(answer.body);
            let reason = match answer.status {
                401 | 403 => "unauthorized",
                _ => reason(&text),
            };
            self.refused.count(reason, lines(&text));
        }
        verdict
    }

    fn body_limit(&self, status: u16) -> usize {
        if status == 400 { REFUSAL_BYTES } else { 0 }
    }
}

/// Why lines were refused, by what Loki says: `pkg/validation/validate.go` and the ingester's errors.
fn reason(text: &str) -> &'static str {
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if says(&["out of order", "too far behind"]) {
        "out_of_order"
    } else if says(&["timestamp too old", "has timestamp too old"]) {
        "too_old"
    } else if says(&["max entry size", "max_line_size", "exceeds the limit", "too long"]) {
        "too_large"
    } else {
        "invalid"
    }
}

/// How many lines were refused, where it says: `total ignored: 3 out of 100`. One at least.
fn lines(text: &str) -> u64 {
    let totals = text.split("total ignored: ").skip(1);
    let number =
        |total: &str| total.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    totals.filter_map(number).fold(0, u64::saturating_add).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: (&str, u64)) {
        assert_eq!((reason(text), lines(text)), expected, "{text}");
        assert!(REASONS.contains(&expected.0));
    }

    #[test]
    fn refusals_are_told_apart() {
        check(
            "entry with timestamp 2022-10-10 13:25:44 +0000 UTC ignored, reason: 'entry too far behind, entry \
             timestamp is: 2022-10-10T13:25:44Z, oldest acceptable timestamp is: 2022-10-28T23:10:16Z',\nuser 'fake', \
             total ignored: 7 out of 9 for stream: {foo=\"bar\"}",
            ("out_of_order", 7),
        );
        check(
            "entry with timestamp 1970-01-01 ignored, reason: 'entry out of order' for stream: {a=\"b\"},\ntotal \
             ignored: 1 out of 2",
            ("out_of_order", 1),
        );
        check(
            "entry for stream '{a=\"b\"}' has timestamp too old: 2019-01-01T00:00:00Z, oldest acceptable timestamp \
             is: 2024-01-01T00:00:00Z",
            ("too_old", 1),
        );
        check("Max entry size '262144' bytes exceeded: max entry size", ("too_large", 1));
        check("error parsing labels", ("invalid", 1));
        check("total ignored: many out of 2", ("invalid", 1));
    }
}
