//! A collector of OTLP over HTTP that keeps what it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message;

use crate::service::{Running, serve};

/// A span as it was received; ids in hexadecimal digits.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    attributes: Vec<KeyValue>,
}

impl Exported {
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            Any::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// The name, or for a request that was served its method and route.
    pub(crate) fn shown(&self) -> String {
        match (self.attribute("method"), self.attribute("path")) {
            (Some(method), Some(path)) => format!("{method} {path}"),
            _ => self.name.clone(),
        }
    }
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Exported>>>,
    running: Running,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        let app = Router::new().route("/v1/traces", post(take)).with_state(kept);
        let server = |listener| async { axum::serve(listener, app).await.unwrap() };
        let (address, running) = serve("collector", None, server);
        Self { address, received, running }
    }

    /// Stops, and says what came.
    pub(crate) fn stop(self) -> Vec<Exported> {
        self.running.stop();
        self.received.lock().unwrap().clone()
    }
}

async fn take(State(received): State<Arc<Mutex<Vec<Exported>>>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
    for resource in request.resource_spans {
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        let name = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
        let Some(Any::StringValue(service)) = name.value.as_ref().unwrap().value.clone() else {
            panic!("the name of a service is a text");
        };
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            received.lock().unwrap().push(Exported {
                service: service.clone(),
                name: span.name,
                kind: span.kind,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: span.attributes,
            });
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
