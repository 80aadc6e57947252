//! Tests of the API as a client sees it.

mod limits;
mod lookups;
mod queries;
#[cfg(feature = "alerts")]
mod rules;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use obs_metrics::Registry;
use obs_model::{Labels, ManualClock, Resource, Sample, Timestamp};
use obs_query::{SeriesStore, StoreConfig};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{AdminState, RemoteWriteConfig, ServerConfig};

/// 2026-01-05T10:00:00Z
const NOW: Timestamp = Timestamp::from_millis(1_767_607_200_000);

/// A listener without a network.
struct Service {
    config: ServerConfig,
    store: Arc<SeriesStore>,
    registry: Registry,
    #[cfg(feature = "alerts")]
    alerts: Option<Arc<obs_alerts::AlertEngine>>,
    #[cfg(feature = "alerts")]
    groups: Option<Arc<obs_alerts::RuleGroups>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Service {
    fn new() -> Self {
        let mut config = ServerConfig::default();
        config.prometheus.remote_write = Some(RemoteWriteConfig::default());
        let store = StoreConfig { max_samples: 20_000_000, ..StoreConfig::default() };
        Self {
            config,
            store: Arc::new(SeriesStore::new(store)),
            registry: Registry::default(),
            #[cfg(feature = "alerts")]
            alerts: None,
            #[cfg(feature = "alerts")]
            groups: None,
        }
    }

    /// Two counters of ten minutes, one sample each fifteen seconds, the last one now.
    fn filled() -> Self {
        let service = Self::new();
        for (code, step) in [("200", 30.0), ("500", 1.5)] {
            let labels = [("__name__", "requests_total"), ("code", code), ("job", "api")];
            service.fill(&labels, 41, |tick| tick as f64 * step);
        }
        service
    }

    fn fill(&self, labels: &[(&str, &str)], count: u32, value: impl Fn(u32) -> f64) {
        let labels = Labels::new(labels.iter().copied()).unwrap();
        for tick in 0..count {
            let timestamp = NOW.minus(Duration::from_secs(15) * (count - 1 - tick));
            self.store.append(&labels, Sample { timestamp, value: value(tick) }).unwrap();
        }
    }

    fn router(&self) -> Router {
        let clock = Arc::new(ManualClock::at(NOW));
        let state = AdminState::new(Resource::new("checkout"), clock)
            .with_registry(self.registry.clone())
            .with_store(Arc::clone(&self.store));
        #[cfg(feature = "alerts")]
        let state = match (&self.alerts, &self.groups) {
            (Some(alerts), Some(groups)) => {
                state.with_alerts(Arc::clone(alerts)).with_rule_groups(Arc::clone(groups))
            }
            _ => state,
        };
        crate::router::router(&self.config, state)
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, path, &headers, body.into_bytes()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("host", "localhost:9464");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let (parts, body) = self.router().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json", "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    fn data(&self) -> Value {
        let json = self.json();
        assert_eq!(
            (self.status, &json["status"]),
            (StatusCode::OK, &Value::from("success")),
            "{json}"
        );
        json["data"].clone()
    }

    /// Status, type and text of an error.
    fn error(&self) -> (u16, String, String) {
        let json = self.json();
        assert_eq!(json["status"], "error", "{json}");
        let part = |name: &str| json[name].as_str().unwrap().to_owned();
        (self.status.as_u16(), part("errorType"), part("error"))
    }
}
