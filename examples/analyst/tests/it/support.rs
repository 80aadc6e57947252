//! A running service on a free port of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use analyst::client::http_client;
use analyst::database::{Database, DatabaseConfig};
use analyst::model::{Model, ModelConfig};
use analyst::telemetry::Telemetry;
use analyst::workflow::Analyst;
use axum::Router;
use obskit::metrics::Registry;
use serde_json::Value;

/// A running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) registry: Registry,
    pub(crate) database: PathBuf,
    pub(crate) analyst: Arc<Analyst>,
    _directory: tempfile::TempDir,
}

/// An answer: its status, its headers and its JSON.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Service {
    /// Starts the service; `layered` may put layers around its routes.
    pub(crate) async fn start(
        registry: Registry,
        model: Option<ModelConfig>,
        layered: impl FnOnce(Router) -> Router,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let telemetry = Telemetry::new(&registry);
        let config = DatabaseConfig {
            busy_timeout: Duration::from_millis(50),
            statement_timeout: Duration::from_millis(200),
            ..DatabaseConfig::new(directory.path().join("analyst.db"))
        };
        let path = config.path.clone();
        let database = Database::open(config, telemetry.clone()).expect("the data loads");
        let client = http_client().expect("a client");
        let model = model.map(|config| Model::new(config, client.clone(), telemetry.clone()));
        let analyst =
            Analyst::new(database, model, telemetry).await.expect("the airports are read");
        let analyst = Arc::new(analyst);
        let address = serve(layered(analyst::http::router(analyst.clone()))).await;
        Self { address, client, registry, database: path, analyst, _directory: directory }
    }

    /// Posts a body to the analyses.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        let url = format!("http://{}/api/v2/analyses", self.address);
        receive(self.client.post(url).body(body)).await
    }

    /// Gets a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        receive(self.client.get(format!("http://{}{path}", self.address))).await
    }

    /// The value of a series, 0 when there is none.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.registry.value(name, labels).unwrap_or(0.0)
    }
}

/// Sends a request and reads the JSON that comes back.
pub(crate) async fn receive(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.json().await.expect("every answer is JSON");
    Answer { status, headers, body }
}

/// Serves a router on a free port until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
