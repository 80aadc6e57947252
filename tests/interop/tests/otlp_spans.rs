//! A collector made of Python's `grpcio` and the official definitions of OTLP reads the spans that we send.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use interop::run;
use obs_model::Resource;
use obs_tracing::{
    LogConfig, LogOutput, OtlpCompression, OtlpConfig, Sampler, Sampling, TailConfig,
};
use serde_json::Value;
use tracing::field::Empty;

/// Takes spans by gRPC and HTTP until its input ends, and writes what it read as a line of JSON for each span.
const SCRIPT: &str = r#"
import gzip, json, sys, threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb, trace_service_pb2_grpc as rpc
from opentelemetry.proto.trace.v1 import trace_pb2

def plain(value):
    return getattr(value, value.WhichOneof("value"))

def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}

def tell(by, request):
    for of in request.resource_spans:
        for scope in of.scope_spans:
            for span in scope.spans:
                print(json.dumps({
                    "by": by, "service": attributes(of.resource.attributes)["service.name"],
                    "scope": scope.scope.name, "name": span.name,
                    "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                    "kind": trace_pb2.Span.SpanKind.Name(span.kind),
                    "took": span.end_time_unix_nano - span.start_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "events": [[event.name, attributes(event.attributes)] for event in span.events],
                    "links": [link.span_id.hex() for link in span.links],
                    "status": trace_pb2.Status.StatusCode.Name(span.status.code),
                }), flush=True)

class Service(rpc.TraceServiceServicer):
    def Export(self, request, context):
        tell("grpc", request)
        return pb.ExportTraceServiceResponse()

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        tell("http", pb.ExportTraceServiceRequest.FromString(body))
        answer = pb.ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_):
        pass

server = grpc.server(futures.ThreadPoolExecutor(2))
rpc.add_TraceServiceServicer_to_server(Service(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=http.serve_forever, daemon=True).start()
print(json.dumps([port, http.server_port]), flush=True)
sys.stdin.read()
server.stop(None)
"#;

/// A Python that has the packages, made on first use; the reason when it cannot be had.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("opentelemetry-proto");
    let python = folder.join("bin/python");
    let has_packages = |python: &Path| {
        let import = "import grpc, opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc";
        python.exists() && run(Command::new(python).args(["-c", import])).0
    };
    if !has_packages(&python) {
        let step = |command: &mut Command| {
            let (ok, said) = run(command);
            if ok { Ok(()) } else { Err(said) }
        };
        step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let packages = ["opentelemetry-proto>=1.30,<2", "grpcio>=1.70,<2"];
        step(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    }
    Ok(python)
}

struct Collector {
    child: Child,
    lines: BufReader<Box<dyn Read>>,
}

impl Collector {
    /// Starts the script; its ports for gRPC and HTTP.
    fn start(python: &Path) -> (Self, u16, u16) {
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let output: Box<dyn Read> = Box::new(child.stdout.take().expect("the output is piped"));
        let mut collector = Self { child, lines: BufReader::new(output) };
        let ports = collector.line();
        let port = |at: usize| ports[at].as_u64().and_then(|port| u16::try_from(port).ok());
        (collector, port(0).expect("a port"), port(1).expect("a port"))
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the collector speaks");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn work() {
    let other = tracing::info_span!("other");
    let order =
        tracing::info_span!("order", rows = 7, share = 0.5, total = Empty, otel.kind = "server");
    order.follows_from(&other);
    order.in_scope(|| {
        order.record("total", 9_u64);
        tracing::info_span!("pay", path = "/pay").in_scope(|| {
            let error = std::io::Error::other("no funds");
            tracing::error!(error = &error as &dyn std::error::Error, attempt = 2, "declined");
        });
    });
}

/// Exports what `work` does, and returns the spans that the collector read of it.
fn exported(otlp: OtlpConfig, collector: &mut Collector, spans: usize) -> Vec<Value> {
    let mut config = LogConfig::new(Resource::new("checkout"));
    config.output = LogOutput::Writer(Box::new(std::io::sink()));
    config.otlp = Some(otlp);
    let (dispatch, handle) = obs_tracing::build(config).expect("the configuration is right");
    tracing::dispatcher::with_default(&dispatch, work);
    handle.shutdown_blocking(Duration::from_secs(20)).expect("the collector takes every span");
    (0..spans).map(|_| collector.line()).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn the_official_definitions_read_our_spans_with_their_parents_by_grpc_and_http() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("SKIPPED: grpcio and opentelemetry-proto cannot be installed: {reason}");
            return;
        }
    };
    let (mut collector, grpc, http) = Collector::start(&python);
    let of = |spans: &[Value], name: &str| {
        spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    for (by, url) in
        [("grpc", format!("http://127.0.0.1:{grpc}")), ("http", format!("http://127.0.0.1:{http}"))]
    {
        for compression in [OtlpCompression::None, OtlpCompression::Gzip] {
            let mut otlp =
                if by == "grpc" { OtlpConfig::grpc(&*url) } else { OtlpConfig::new(&url) };
            otlp.compression = compression;
            let spans = exported(otlp, &mut collector, 3);
            let (order, pay, other) = (of(&spans, "order"), of(&spans, "pay"), of(&spans, "other"));
            assert_eq!(
                (&order["by"], &order["service"], &order["scope"]),
                (&by.into(), &"checkout".into(), &"obskit".into())
            );
            assert_eq!((&pay["parent"], &pay["trace"]), (&order["span"], &order["trace"]));
            assert_eq!((&order["parent"], &order["links"][0]), (&"".into(), &other["span"]));
            assert_eq!(order["attributes"]["rows"], 7);
            assert_eq!(order["attributes"]["share"], 0.5);
            assert_eq!(order["attributes"]["total"], 9);
            assert_eq!(
                (&order["kind"], &order["status"]),
                (&"SPAN_KIND_SERVER".into(), &"STATUS_CODE_UNSET".into())
            );
            assert_eq!(
                (&pay["kind"], &pay["status"]),
                (&"SPAN_KIND_INTERNAL".into(), &"STATUS_CODE_ERROR".into())
            );
            assert!(order["took"].as_u64() >= pay["took"].as_u64());
            let [name, event] = pay["events"][0].as_array().map(Vec::as_slice).unwrap() else {
                panic!("{pay}")
            };
            assert_eq!((name, &event["attempt"]), (&"declined".into(), &2.into()));
            assert_eq!(event["exception.message"], "no funds");
        }
    }
    // The same trace when head sampling does not take it, and it errs.
    let mut otlp = OtlpConfig::grpc(format!("http://127.0.0.1:{grpc}"));
    otlp.sampling = Sampling::new(Sampler::AlwaysOff);
    otlp.tail = Some(TailConfig::default());
    let spans = exported(otlp, &mut collector, 2);
    let (order, pay) = (of(&spans, "order"), of(&spans, "pay"));
    assert_eq!((&pay["parent"], &pay["trace"]), (&order["span"], &order["trace"]));
    assert_eq!(order["attributes"]["obskit.sampled"], "tail");
    assert_eq!(pay["attributes"]["obskit.reason"], "error");
    assert_eq!(pay["events"][0][0], "declined");
}
