//! To a Loki that takes nothing but what the real one would.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use obs_model::Context;
use obs_tracing::sink::{Endpoint, LokiConfig, LokiLine};
use prost::Message;
use serde_json::Value;

use crate::server::{Fault, Peer, Reply, Request, Server};
use crate::support::{Numbers, Pipeline, assert_all, outlast_an_outage};

/// The messages of `pkg/push/push.proto`, read on their own terms.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, required, tag = "1")]
    timestamp: Time,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Pair>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A Loki with streams.
#[derive(Default)]
struct Loki {
    streams: BTreeMap<String, Vec<Entry>>,
    stored: HashSet<(String, Time, String)>,
    repeated: u64,
    max_lines: usize,
    authorization: String,
}

impl Loki {
    fn strict() -> Server<Self> {
        Server::start(Self { max_lines: usize::MAX, ..Self::default() })
    }

    fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::new();
        for entry in self.streams.values().flatten() {
            let line: Value = serde_json::from_str(&entry.line).unwrap();
            *numbers.entry(line["metadata"]["number"].as_u64().unwrap()).or_default() += 1;
        }
        numbers
    }
}

impl Peer for Loki {
    fn take(&mut self, request: &Request, _: bool) -> Reply {
        assert_eq!(request.path, "/loki/api/v1/push");
        assert_eq!(request.header("content-type"), "application/x-protobuf");
        assert_eq!(request.header("content-encoding"), "snappy");
        assert_eq!(request.header("x-scope-orgid"), "payments");
        request.header("authorization").clone_into(&mut self.authorization);
        let body = snap::raw::Decoder::new().decompress_vec(&request.body).expect("a snappy block");
        let push = PushRequest::decode(&*body).expect("a push request");
        assert!(!push.streams.is_empty());
        let lines: usize = push.streams.iter().map(|stream| stream.entries.len()).sum();
        if lines > self.max_lines {
            return Reply::new(413, "request body too large");
        }
        let mut seen = HashSet::new();
        for stream in push.streams {
            assert!(seen.insert(stream.labels.clone()), "a stream stands twice in a request");
            check_labels(&stream.labels);
            let times: Vec<Time> = stream.entries.iter().map(|entry| entry.timestamp).collect();
            assert!(times.is_sorted(), "the lines of a stream are not in order");
            for entry in stream.entries {
                let key = (stream.labels.clone(), entry.timestamp, entry.line.clone());
                // The real one takes no second line with the same time and text.
                if self.stored.insert(key) {
                    self.streams.entry(stream.labels.clone()).or_default().push(entry);
                } else {
                    self.repeated += 1;
                }
            }
        }
        Reply::new(204, "")
    }
}

/// `{name="value",…}` by rising names; the values here have no quotes in them.
fn check_labels(labels: &str) {
    let inner = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
    let names: Vec<&str> = inner
        .split(',')
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            assert!(value.len() > 2 && value.starts_with('"') && value.ends_with('"'), "{pair}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{pair}");
            name
        })
        .collect();
    assert!(names.is_sorted() && !names.is_empty(), "{labels}");
}

fn config(server: &Server<Loki>) -> LokiConfig {
    LokiConfig::new(Endpoint::new(server.url()).with_basic_auth("user", "pass"))
        .with_tenant("payments")
}

fn log_some() {
    let context = Context::new().with_correlation("c-1".parse().unwrap()).with_user("u-1");
    let _entered = context.enter();
    let span = tracing::info_span!("order", organization_id = "o-1", "http.route" = "/pay");
    span.in_scope(|| tracing::warn!(target: "shop::pay", cents = 950, "slow"));
    tracing::error!(target: "shop", error = "no card", "failed");
    tracing::error!(target: "shop", error = "no card", "failed");
}

fn metadata(entry: &Entry) -> BTreeMap<&str, &str> {
    entry.metadata.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect()
}

#[test]
fn lines_go_to_streams_by_few_labels_and_ids_are_structured_metadata() {
    let server = Loki::strict();
    let pipeline = Pipeline::new(config(&server).with_label("env", "prod"));
    pipeline.log(log_some);
    pipeline.flush();
    server.look(|loki| {
        assert_eq!(loki.authorization, "Basic dXNlcjpwYXNz");
        let labels: Vec<&str> = loki.streams.keys().map(String::as_str).collect();
        assert_eq!(
            labels,
            [
                r#"{env="prod",level="error",service="checkout"}"#,
                r#"{env="prod",level="warn",service="checkout"}"#
            ]
        );
        let warned = &loki.streams[labels[1]][0];
        let line: Value = serde_json::from_str(&warned.line).unwrap();
        assert_eq!((&line["message"], &line["metadata"]["cents"]), (&"slow".into(), &950.into()));
        let ids = metadata(warned);
        assert_eq!(line["traceId"], ids["trace_id"]);
        assert_eq!(line["spanId"], ids["span_id"]);
        assert_eq!((ids["correlation_id"], ids["user_id"]), ("c-1", "u-1"));
        assert_eq!((ids["organization_id"], ids.len()), ("o-1", 5));
        assert_eq!(loki.streams[labels[0]].len(), 2, "two lines with one text are two lines");
    });
}

#[test]
fn a_line_may_be_its_message_with_all_else_as_structured_metadata() {
    let server = Loki::strict();
    let kind = config(&server).with_line(LokiLine::Message).with_label_fields([
        "level",
        "organization_id",
        "http.route",
    ]);
    let pipeline = Pipeline::new(kind);
    pipeline.log(log_some);
    pipeline.flush();
    server.look(|loki| {
        let labels = r#"{http_route="/pay",level="warn",organization_id="o-1"}"#;
        let warned = &loki.streams[labels][0];
        assert_eq!(warned.line, "slow");
        let all = metadata(warned);
        assert_eq!(
            (all["cents"], all["target"], all.get("organization_id")),
            ("950", "shop::pay", None)
        );
        let failed = &loki.streams[r#"{level="error"}"#][0];
        assert_eq!(metadata(failed)["error_message"], "no card");
    });
}

#[test]
fn an_old_loki_gets_no_structured_metadata() {
    let server = Loki::strict();
    let pipeline = Pipeline::new(config(&server).without_structured_metadata());
    pipeline.log(log_some);
    pipeline.flush();
    server.look(|loki| {
        assert!(loki.streams.values().flatten().all(|entry| entry.metadata.is_empty()));
    });
}

#[test]
fn a_busy_failing_or_breaking_loki_gets_every_line_once() {
    let server = Loki::strict();
    server.fail_next([
        Fault::Status(503, "starting"),
        Fault::Busy(1),
        Fault::Reset,
        Fault::Status(500, "at least 2 live replicas required"),
        Fault::LostAnswer,
    ]);
    let pipeline = Pipeline::new(config(&server));
    pipeline.number(0..300);
    pipeline.flush();
    assert!(server.has_failed());
    let arrivals = server.arrivals();
    assert!(arrivals[2] - arrivals[1] >= Duration::from_secs(1), "it asked to be left alone");
    server.look(|loki| {
        assert_eq!(assert_all(&loki.numbers(), 300), 0);
        assert!(loki.repeated > 0, "Loki knows what it was sent twice");
    });
}

#[test]
fn a_request_that_is_too_large_is_halved_until_it_is_taken() {
    let server = Server::start(Loki { max_lines: 40, ..Loki::default() });
    let pipeline = Pipeline::new(config(&server));
    pipeline.number(0..300);
    pipeline.flush();
    server.look(|loki| assert_eq!(assert_all(&loki.numbers(), 300), 0));
}

#[test]
fn another_loki_takes_over_while_the_first_fails() {
    let (first, second) = (Loki::strict(), Loki::strict());
    first.leave();
    let kind = config(&first).with_fallback(second.url());
    let pipeline = Pipeline::new(kind);
    pipeline.number(0..10);
    pipeline.flush();
    second.look(|loki| {
        assert_eq!(assert_all(&loki.numbers(), 10), 0);
        assert_eq!(loki.authorization, "", "credentials are for whom they were given for");
    });
}

#[test]
fn lines_that_loki_refuses_are_dropped_and_counted_by_reason() {
    let server = Loki::strict();
    server.fail_next([Fault::Status(
        400,
        "entry with timestamp 2022-10-10 ignored, reason: 'entry too far behind',\nuser 'fake', total ignored: 3 out \
         of 4 for stream: {a=\"b\"}",
    )]);
    let recorder = DebuggingRecorder::new();
    let pipeline = metrics::with_local_recorder(&recorder, || {
        Pipeline::new(config(&server).with_max_label_sets(1).with_label_field("zone"))
    });
    pipeline.number(0..4);
    pipeline.flush();
    pipeline.log(|| {
        tracing::info!(number = 4, zone = "a", "x");
        tracing::info!(number = 5, zone = "b", "x");
    });
    pipeline.flush();
    let counted: Vec<String> = recorder
        .snapshotter()
        .snapshot()
        .into_vec()
        .into_iter()
        .filter_map(|(key, _, _, value)| {
            let DebugValue::Counter(count) = value else { return None };
            let reason = key.key().labels().find(|label| label.key() == "reason");
            let reason = reason.map_or("", |label| label.value());
            let name = key.key().name();
            (count > 0).then(|| format!("{name} {reason} {count}"))
        })
        .collect();
    for expected in [
        "obskit_log_refused_total out_of_order 3",
        "obskit_loki_capped_label_sets_total  2",
        "obskit_delivery_dropped_total permanent 4",
    ] {
        assert!(
            counted.iter().any(|line| line == expected),
            "{expected} is missing in {counted:?}"
        );
    }
    server.look(|loki| {
        let labels = r#"{level="info",service="other",zone="other"}"#;
        assert_eq!(loki.streams[labels].len(), 2);
        assert_eq!(loki.numbers().len(), 2);
    });
}

#[test]
fn no_line_is_lost_while_loki_is_away_and_the_process_is_replaced() {
    let server = Loki::strict();
    let repeated = outlast_an_outage(&server, || config(&server), Loki::numbers);
    // What was sent when the process ended may be sent again, and then Loki knows it.
    assert_eq!(repeated, 0);
}

/// The names that queries compare, group by or unwrap: identifiers before an operator, in `by (…)` and after `unwrap`.
fn names_in(query: &str) -> HashSet<String> {
    let mut plain = String::new();
    let mut is_text = false;
    for character in query.chars() {
        match character {
            '"' => is_text = !is_text,
            _ if is_text => {}
            '=' | '!' | '~' | '<' | '>' => plain.push_str(" = "),
            '{' | '}' | '(' | ')' | ',' | '|' | '[' | ']' => plain.extend([' ', character, ' ']),
            other => plain.push(other),
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    let mut names = HashSet::new();
    let mut is_grouping = false;
    for (at, word) in words.iter().enumerate() {
        match *word {
            "by" => is_grouping = true,
            ")" => is_grouping = false,
            "(" | "," => {}
            word if is_grouping || words.get(at + 1) == Some(&"=") && word != "=" => {
                names.insert(word.to_owned());
            }
            "unwrap" => names.extend(words.get(at + 1).map(|word| (*word).to_owned())),
            _ => {}
        }
    }
    names
}

/// What a line can be asked by: labels, structured metadata, and members as `| json` names them.
fn names_of(loki: &Loki) -> HashSet<String> {
    let mut names = HashSet::new();
    for (labels, entries) in &loki.streams {
        let pairs = labels.trim_matches(['{', '}']).split(',');
        names.extend(pairs.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())));
        for entry in entries {
            names.extend(entry.metadata.iter().map(|pair| pair.name.clone()));
            let line: Value = serde_json::from_str(&entry.line).unwrap();
            for (name, value) in line.as_object().unwrap() {
                match value.as_object() {
                    Some(inner) => names.extend(inner.keys().map(|key| format!("{name}_{key}"))),
                    None => names.extend([name.clone()]),
                }
            }
        }
    }
    names
}

#[test]
fn queries_in_the_book_name_what_lines_have() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/shipping.md");
    let text = std::fs::read_to_string(page).unwrap();
    let queries: Vec<&str> = text
        .split("```logql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .flat_map(str::lines)
        .collect();
    assert!(queries.len() >= 8, "{queries:?}");
    let server = Loki::strict();
    let pipeline = Pipeline::new(config(&server));
    pipeline.log(|| {
        log_some();
        tracing::info!(took_ms = 12.5, "done");
    });
    pipeline.flush();
    let known = server.look(names_of);
    for query in queries {
        let names = names_in(query);
        assert!(!names.is_empty(), "{query}");
        let unknown: Vec<_> = names.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {query}");
    }
}
