//! What the answers to exported logs mean.

use obs_delivery::{Answer, Classifier, Verdict};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;

use crate::sink::endpoint::Refused;

/// What a line that was not stored counts as in `obskit_log_refused_total`.
pub(super) const REASONS: [&str; 1] = ["partial_success"];

/// Tells what the answers mean.
///
/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>: 429, 502, 503 and 504 may pass, and nothing else. Of a
/// partial success nothing may be sent again.
#[derive(Clone)]
pub(super) struct LogsAnswers {
    pub(super) refused: Refused,
}

impl LogsAnswers {
    /// Counts the records that an answer says were not stored.
    pub(super) fn count_rejected(&self, answer: &[u8]) {
        self.refused.count(REASONS[0], rejected(answer));
    }
}

impl Classifier for LogsAnswers {
    fn classify(&self, answer: &Answer<'_>) -> Verdict {
        match answer.status {
            200..=299 => {
                self.count_rejected(answer.body);
                Verdict::Delivered
            }
            429 | 502 | 503 | 504 => Verdict::Passing,
            413 => Verdict::TooLarge,
            _ => Verdict::Permanent,
        }
    }
}

/// How many records were not stored; none when the answer does not say.
fn rejected(body: &[u8]) -> u64 {
    ExportLogsServiceResponse::decode(body)
        .ok()
        .and_then(|response| response.partial_success)
        .and_then(|partial| u64::try_from(partial.rejected_log_records).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;

    use super::*;

    #[test]
    fn a_partial_success_says_how_many_records_were_lost() {
        let partial_success = Some(ExportLogsPartialSuccess {
            rejected_log_records: 3,
            error_message: "too old".to_owned(),
        });
        let body = ExportLogsServiceResponse { partial_success }.encode_to_vec();
        assert_eq!(rejected(&body), 3);
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"<html>"), 0);
    }

    #[test]
    fn only_what_the_specification_names_is_tried_again() {
        let answers = LogsAnswers { refused: Refused::bind("otlp", &REASONS) };
        for (status, expected) in [
            (200, Verdict::Delivered),
            (400, Verdict::Permanent),
            (413, Verdict::TooLarge),
            (429, Verdict::Passing),
            (500, Verdict::Permanent),
            (503, Verdict::Passing),
        ] {
            let answer = Answer { status, body: b"", is_whole: true };
            assert_eq!(answers.classify(&answer), expected, "{status}");
        }
    }
}
