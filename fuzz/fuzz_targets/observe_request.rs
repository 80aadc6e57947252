//! Whatever a request says in its headers and whatever is logged of it, the observed service answers, and every record is
//! one line of JSON with the ids that the answer tells.
#![no_main]

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use libfuzzer_sys::fuzz_target;
use obs_model::Resource;
use obs_tracing::http::{ObserveLayer, Propagator};
use obs_tracing::{BaggageConfig, LogConfig, LogOutput, TracingHandle};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

const PATIENCE: Duration = Duration::from_secs(10);

const HEADERS: [&str; 9] = [
    "x-correlation-id",
    "traceparent",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "uber-trace-id",
    "baggage",
    "user-agent",
    "x-request-id",
];

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static PIPELINE: LazyLock<(Lines, TracingHandle, tokio::runtime::Runtime)> = LazyLock::new(|| {
    let lines = Lines::default();
    let mut config = LogConfig::new(Resource::new("fuzz"));
    config.output = LogOutput::Writer(Box::new(lines.clone()));
    config.line_memory = Some(1 << 20);
    config.span_memory = Some(1 << 20);
    config.baggage = BaggageConfig::of(["tenant", "plan"]).on_lines(["tenant"]);
    config.propagators =
        vec![Propagator::TraceContext, Propagator::B3, Propagator::B3Multi, Propagator::Jaeger];
    let handle = obs_tracing::install(config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    (lines, handle, runtime)
});

fuzz_target!(|input: &[u8]| {
    let (lines, handle, runtime) = &*PIPELINE;
    let mut parts = input.split(|byte| *byte == b'\n');
    let mut request = Request::get("/orders/7").body(()).unwrap();
    for name in HEADERS {
        let Some(value) = parts.next().and_then(|part| HeaderValue::from_bytes(part).ok()) else { continue };
        request.headers_mut().append(name, value);
    }
    let raw = parts.next().unwrap_or_default();
    let text = String::from_utf8_lossy(raw).into_owned();
    let service = ObserveLayer::new().layer(service_fn(|_: Request<()>| {
        let (text, raw) = (text.clone(), raw.to_vec());
        async move {
            tracing::info!(target: "fuzz", field = text.as_str(), bytes = raw.as_slice(), user_id = text.as_str(), "{text}");
            tracing::error!(target: "fuzz", error = text.as_str(), "failed");
            Ok::<_, Infallible>(Response::new(axum::body::Body::empty()))
        }
    }));
    let Ok(response) = runtime.block_on(service.oneshot(request));
    let correlation = response.headers()["x-correlation-id"].to_str().unwrap();
    handle.flush_blocking(PATIENCE).unwrap();
    let written = std::mem::take(&mut *lines.0.lock().unwrap());
    assert!(written.ends_with(b"\n"));
    let mut own = 0;
    for line in written[..written.len() - 1].split(|byte| *byte == b'\n') {
        let line: Value = serde_json::from_slice(line).unwrap();
        own += usize::from(line["target"] == "fuzz");
        if line["target"] == "fuzz" {
            assert_eq!(line["correlationId"], correlation);
            assert_eq!(line["traceId"].as_str().map(str::len), Some(32));
        }
    }
    assert_eq!(own, 2);
});
