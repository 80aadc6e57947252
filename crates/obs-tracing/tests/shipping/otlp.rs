//! To a collector that reads OTLP by its own definitions.

use std::io::Read;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use obs_tracing::OtlpConfig;
use obs_tracing::sink::{Endpoint, LogSink, OtlpLogsConfig};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use crate::server::{Fault, Peer, Reply, Request, Server};
use crate::support::{Numbers, Pipeline, assert_all, outlast_an_outage, quick};

#[derive(Default)]
struct Collector {
    records: Vec<(String, LogRecord)>,
}

impl Collector {
    fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::new();
        for (_, record) in &self.records {
            let number = record.attributes.iter().find(|pair| pair.key == "number").unwrap();
            let Some(Any::IntValue(number)) = number.value.clone().and_then(|value| value.value)
            else {
                panic!("the number is no number")
            };
            *numbers.entry(number as u64).or_default() += 1;
        }
        numbers
    }
}

impl Peer for Collector {
    fn take(&mut self, request: &Request, is_special: bool) -> Reply {
        assert_eq!(request.path, "/v1/logs");
        assert_eq!(request.header("content-type"), "application/x-protobuf");
        assert_eq!(request.header("content-encoding"), "gzip");
        assert_eq!(request.header("x-api-key"), "s3cret");
        let mut body = Vec::new();
        flate2::read::GzDecoder::new(&*request.body).read_to_end(&mut body).expect("gzip");
        let request = ExportLogsServiceRequest::decode(&*body).expect("a request");
        let [logs] = &request.resource_logs[..] else { panic!("one resource is expected") };
        assert!(
            logs.resource
                .as_ref()
                .unwrap()
                .attributes
                .iter()
                .any(|pair| pair.key == "service.version")
        );
        for scope in &logs.scope_logs {
            let name = scope.scope.as_ref().unwrap().name.clone();
            let records = scope.log_records.iter().map(|record| (name.clone(), record.clone()));
            self.records.extend(records);
        }
        let partial_success = is_special.then(|| ExportLogsPartialSuccess {
            rejected_log_records: 2,
            error_message: "too old".to_owned(),
        });
        Reply::new(200, ExportLogsServiceResponse { partial_success }.encode_to_vec())
    }
}

fn config(server: &Server<Collector>) -> OtlpLogsConfig {
    OtlpLogsConfig::new(Endpoint::new(server.url()).with_header("x-api-key", "s3cret"))
}

#[test]
fn records_have_the_ids_and_the_flag_of_their_span() {
    let server = Server::start(Collector::default());
    let sink = LogSink::new("collector", config(&server)).with_delivery(quick());
    let pipeline = Pipeline::with(sink, |log| {
        log.otlp = Some(OtlpConfig::new("http://127.0.0.1:9"));
    });
    pipeline.log(|| {
        tracing::info_span!("order").in_scope(|| tracing::warn!(target: "shop::pay", "inside"));
        tracing::info!(target: "shop", "outside");
    });
    // OK because nobody listens for spans.
    let _ = pipeline.handle.flush_blocking(std::time::Duration::from_secs(2));
    server.look(|collector| {
        let [(inside, first), (outside, second)] = &collector.records[..] else {
            panic!("{} records", collector.records.len())
        };
        assert_eq!((inside.as_str(), outside.as_str()), ("shop::pay", "shop"));
        assert_eq!((first.trace_id.len(), first.span_id.len(), first.flags), (16, 8, 1));
        assert_eq!((second.trace_id.len(), second.span_id.len(), second.flags), (0, 0, 0));
        assert_eq!((first.severity_number, second.severity_number), (13, 9));
    });
}

#[test]
fn what_a_collector_does_not_store_is_counted_and_what_may_pass_is_tried_again() {
    let server = Server::start(Collector::default());
    server.fail_next([Fault::Status(503, ""), Fault::Reset, Fault::Busy(0), Fault::Special]);
    let recorder = DebuggingRecorder::new();
    let pipeline = metrics::with_local_recorder(&recorder, || Pipeline::new(config(&server)));
    pipeline.number(0..50);
    pipeline.flush();
    assert!(server.has_failed());
    server.look(|collector| assert_eq!(assert_all(&collector.numbers(), 50), 0));
    let all = recorder.snapshotter().snapshot().into_vec();
    let refused = all.iter().find(|(key, ..)| key.key().name() == "obskit_log_refused_total");
    assert!(matches!(refused, Some((_, _, _, DebugValue::Counter(2)))), "{refused:?}");
}

#[test]
fn no_record_is_lost_while_the_collector_is_away_and_the_process_is_replaced() {
    let server = Server::start(Collector::default());
    outlast_an_outage(&server, || config(&server), Collector::numbers);
}
