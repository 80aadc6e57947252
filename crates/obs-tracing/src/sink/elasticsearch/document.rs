//! From a line to an action of the bulk API with its document.

use obs_model::CorrelationId;

use super::index::IndexPattern;
use crate::sink::Line;
use crate::sink::endpoint::Render;

/// Makes of each line the two that the bulk API wants: the action, and the document.
pub(super) struct Documents {
    index: IndexPattern,
    /// Tells this run of the process from all others.
    run: CorrelationId,
    number: u64,
}

impl Documents {
    pub(super) fn new(index: IndexPattern) -> Self {
        Self { index, run: CorrelationId::generate(), number: 0 }
    }
}

impl Render for Documents {
    fn render(&mut self, line: &Line<'_>) -> Vec<u8> {
        let (index, at) = (self.index.name(line.at()), line.at());
        let (run, number) = (&self.run, self.number);
        self.number += 1;
        // OK because neither the index, of which quotes are no part, nor the id needs escaping.
        let action = format!(r#"{{"create":{{"_index":"{index}","_id":"{run}-{number}"}}}}"#);
        let time = format!("\n{{\"@timestamp\":\"{at}\",");
        // OK because a line is an object that always has members.
        let members = line.json().strip_prefix(b"{").unwrap_or_default();
        [action.as_bytes(), time.as_bytes(), members].concat()
    }
}

#[cfg(test)]
mod tests {
    use obs_model::{Level, Timestamp};
    use serde_json::Value;

    use super::*;
    use crate::sink::LineHead;

    #[test]
    fn a_line_becomes_an_action_and_a_document_with_an_id_of_its_own() {
        let mut documents = Documents::new(IndexPattern::parse("logs-%Y.%m.%d").unwrap());
        let at = Timestamp::from_millis(1_700_000_000_123);
        let head = LineHead {
            at,
            level: Level::Info,
            target: "t",
            trace: None,
            span: None,
            sampled: false,
        };
        let line = Line::new(head, br#"{"message":"a\nb"}"#);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let text = String::from_utf8(documents.render(&line)).unwrap();
            let parts: Vec<Value> =
                text.lines().map(|part| serde_json::from_str(part).unwrap()).collect();
            let [action, document] = &parts[..] else { panic!("{text}") };
            assert_eq!(action["create"]["_index"], "logs-2023.11.14");
            assert_eq!(document["@timestamp"], "2023-11-14T22:13:20.123Z");
            assert_eq!(document["message"], "a\nb");
            ids.push(action["create"]["_id"].as_str().unwrap().to_owned());
        }
        assert_ne!(ids[0], ids[1]);
    }
}
