//! To an Elasticsearch that takes nothing but what the real one would.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use obs_tracing::sink::{ElasticsearchConfig, Endpoint};
use serde_json::{Value, json};

use crate::server::{Fault, Peer, Reply, Request, Server};
use crate::support::{Numbers, Pipeline, assert_all, outlast_an_outage};

/// The one path that lines are posted to.
const PATH: &str = "/_bulk?filter_path=errors%2Citems.*.status%2Citems.*.error.type%2Citems.*.error.reason&pipeline=geoip";

/// Documents by index and id.
#[derive(Default)]
struct Elasticsearch {
    documents: BTreeMap<(String, String), Value>,
    conflicts: u64,
    /// Ids that were refused once for want of room, which must come again.
    pushed_back: HashSet<String>,
    max_lines: usize,
}

impl Elasticsearch {
    fn strict() -> Server<Self> {
        Server::start(Self { max_lines: usize::MAX, ..Self::default() })
    }

    fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::new();
        for document in self.documents.values() {
            *numbers.entry(number(document)).or_default() += 1;
        }
        numbers
    }

    /// Answers for one document; a busy one takes every third later and every fifth never.
    fn create(&mut self, index: &str, id: &str, document: Value, is_busy: bool) -> Value {
        let fails = |status: u16, error: &str| json!({"status": status, "error": {"type": error}});
        let number = number(&document);
        let key = (index.to_owned(), id.to_owned());
        if self.documents.contains_key(&key) {
            self.conflicts += 1;
            return fails(409, "version_conflict_engine_exception");
        }
        if is_busy && number.is_multiple_of(5) {
            return fails(400, "document_parsing_exception");
        }
        if is_busy && number.is_multiple_of(3) {
            self.pushed_back.insert(id.to_owned());
            return fails(429, "es_rejected_execution_exception");
        }
        self.pushed_back.remove(id);
        self.documents.insert(key, document);
        json!({"status": 201})
    }
}

fn number(document: &Value) -> u64 {
    document["metadata"]["number"].as_u64().unwrap()
}

impl Peer for Elasticsearch {
    fn take(&mut self, request: &Request, is_busy: bool) -> Reply {
        assert_eq!(request.path, PATH);
        assert_eq!(request.header("content-type"), "application/x-ndjson");
        assert_eq!(request.header("content-encoding"), "gzip");
        assert_eq!(request.header("authorization"), "ApiKey aWQ6a2V5");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*request.body).read_to_string(&mut text).expect("gzip");
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "the last line is to be ended");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len() % 2, 0, "an action without a document");
        if lines.len() / 2 > self.max_lines {
            return Reply::new(413, "");
        }
        let items: Vec<Value> = lines
            .chunks(2)
            .map(|pair| {
                let action = pair[0].as_object().filter(|action| action.len() == 1).unwrap();
                let create = &action["create"];
                assert_eq!(pair[1]["@timestamp"], pair[1]["timestamp"]);
                let (index, id) = (&create["_index"], &create["_id"]);
                let (index, id) = (index.as_str().unwrap(), id.as_str().unwrap());
                json!({"create": self.create(index, id, pair[1].clone(), is_busy)})
            })
            .collect();
        let errors = items.iter().any(|item| item["create"]["status"] != 201);
        Reply::new(200, json!({"errors": errors, "items": items}).to_string())
    }
}

fn config(server: &Server<Elasticsearch>) -> ElasticsearchConfig {
    let endpoint = Endpoint::new(server.url()).with_api_key("aWQ6a2V5");
    ElasticsearchConfig::new(endpoint, "logs-checkout-%Y.%m").with_pipeline("geoip")
}

#[test]
fn lines_become_documents_of_the_index_of_their_day() {
    let server = Elasticsearch::strict();
    let pipeline = Pipeline::new(config(&server));
    pipeline.number(0..3);
    pipeline.flush();
    server.look(|search| {
        let ((index, _), document) = search.documents.iter().next().unwrap();
        let day = document["timestamp"].as_str().unwrap();
        assert_eq!(*index, format!("logs-checkout-{}.{}", &day[..4], &day[5..7]));
        assert_eq!((&document["level"], &document["target"]), (&json!("INFO"), &json!("shop")));
        assert_eq!(assert_all(&search.numbers(), 3), 0);
    });
}

#[test]
fn a_busy_failing_or_breaking_cluster_has_every_document_once() {
    let server = Elasticsearch::strict();
    server.fail_next([
        Fault::Status(503, "no master"),
        Fault::Busy(1),
        Fault::Reset,
        Fault::Status(502, "<html>"),
        Fault::LostAnswer,
    ]);
    let pipeline = Pipeline::new(config(&server));
    pipeline.number(0..300);
    pipeline.flush();
    assert!(server.has_failed());
    let arrivals = server.arrivals();
    assert!(arrivals[2] - arrivals[1] >= Duration::from_secs(1), "it asked to be left alone");
    server.look(|search| {
        assert_eq!(assert_all(&search.numbers(), 300), 0);
        assert!(search.conflicts > 0, "what was stored before is known by its id");
    });
}

#[test]
fn of_a_request_that_fails_in_part_only_the_rest_is_sent_again() {
    let server = Elasticsearch::strict();
    server.fail_next([Fault::Special, Fault::Special]);
    let recorder = DebuggingRecorder::new();
    let pipeline = metrics::with_local_recorder(&recorder, || Pipeline::new(config(&server)));
    pipeline.number(0..60);
    pipeline.flush();
    server.look(|search| {
        let numbers: Vec<u64> = search.numbers().into_keys().collect();
        let expected: Vec<u64> = (0..60).filter(|number: &u64| !number.is_multiple_of(5)).collect();
        assert_eq!(numbers, expected);
        assert_eq!((search.conflicts, search.pushed_back.len()), (0, 0));
    });
    let refused =
        recorder.snapshotter().snapshot().into_vec().into_iter().find_map(|(key, _, _, value)| {
            let is_mapping = key.key().labels().any(|label| label.value() == "mapping");
            match value {
                DebugValue::Counter(count) if is_mapping => Some(count),
                _ => None,
            }
        });
    assert_eq!(refused, Some(12));
}

#[test]
fn a_request_that_is_too_large_is_halved_until_it_is_taken() {
    let server = Server::start(Elasticsearch { max_lines: 40, ..Elasticsearch::default() });
    let pipeline = Pipeline::new(config(&server));
    pipeline.number(0..300);
    pipeline.flush();
    server.look(|search| assert_eq!(assert_all(&search.numbers(), 300), 0));
}

#[test]
fn no_document_is_lost_or_double_while_the_cluster_is_away_and_the_process_is_replaced() {
    let server = Elasticsearch::strict();
    let repeated = outlast_an_outage(&server, || config(&server), Elasticsearch::numbers);
    assert_eq!(repeated, 0);
}
