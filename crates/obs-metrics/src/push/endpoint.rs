//! Where metrics are pushed to, and what has to be said there to be let in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use obs_delivery::HttpConfig;
use obs_model::{Labels, LabelsError, REDACTED};

use crate::error::{Error, Kind};

/// An HTTP or HTTPS endpoint.
///
/// Its `Debug` form shows no credentials and no values of headers.
#[derive(Clone)]
pub struct Endpoint {
    url: String,
    headers: Vec<(String, String)>,
}

impl Endpoint {
    /// The endpoint at `url`, without credentials.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new() }
    }

    /// This endpoint with the name and password of HTTP's basic authentication.
    #[must_use]
    pub fn with_basic_auth(self, user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        self.with_header("Authorization", format!("Basic {pair}"))
    }

    /// This endpoint with a bearer token.
    #[must_use]
    pub fn with_bearer_token(self, token: &str) -> Self {
        self.with_header("Authorization", format!("Bearer {token}"))
    }

    /// This endpoint with a header on every request, such as `X-Scope-OrgID`; one given twice keeps its last value.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn http(&self) -> HttpConfig {
        self.http_at(self.url.as_str())
    }

    pub(super) fn http_at(&self, url: impl Into<String>) -> HttpConfig {
        // Secret all of them: a header that is sent to one destination only often is a credential of some sort.
        let secret = |config: HttpConfig, (name, value): &(String, String)| {
            config.with_secret_header(name.as_str(), value.as_str())
        };
        self.headers.iter().fold(HttpConfig::new(url), secret)
    }

    /// Calls of `method` by gRPC.
    #[cfg(feature = "otlp")]
    pub(super) fn grpc(&self, method: &str) -> obs_delivery::GrpcConfig {
        let config = obs_delivery::GrpcConfig::new(self.url.as_str(), method);
        self.headers.iter().fold(config, |config, (name, value)| {
            config.with_secret_header(name.as_str(), value.as_str())
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The config behind it knows what may be shown of a URL.
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| (name, REDACTED)).collect();
        f.debug_struct("Endpoint").field("http", &self.http()).field("headers", &headers).finish()
    }
}

pub(super) fn endpoint_error(target: &'static str, error: &obs_delivery::Error) -> Error {
    Kind::InvalidPush { target, problems: error.to_string() }.into()
}

/// The labels `job` and `instance`, which a scrape would put on every series.
///
/// # Errors
///
/// A value is longer than a label's value may be.
pub fn target_labels(job: &str, instance: &str) -> Result<Labels, LabelsError> {
    Labels::new([("job", job), ("instance", instance)])
}

/// The machine's name, for `instance` where nothing better is known; `unknown` where the system does not tell.
#[must_use]
pub fn host_name() -> String {
    sysinfo::System::host_name().unwrap_or_else(|_| String::from("unknown"))
}
