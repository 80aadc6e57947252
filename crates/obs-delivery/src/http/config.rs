//! Where and how to send over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, REDACTED, Redactor, SystemClock};
use url::Url;

use super::{Classifier, Proxy, StandardAnswers, origin};
use crate::TlsConfig;

/// Where and how to send over HTTP.
///
/// Its `Debug` form shows neither the credentials, path and query of the URL nor the values of secret headers.
#[derive(Clone)]
pub struct HttpConfig {
    pub(super) url: String,
    pub(super) method: HttpMethod,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String, Secrecy)>,
    pub(super) tls: TlsConfig,
    pub(super) proxy: Proxy,
    pub(super) connect_timeout: Duration,
    pub(super) classifier: Arc<dyn Classifier>,
    pub(super) clock: Arc<dyn Clock>,
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpMethod {
    /// POST.
    #[default]
    Post,
    /// PUT, which replaces what is there.
    Put,
    /// DELETE, whose body most servers ignore.
    Delete,
}

impl From<HttpMethod> for reqwest::Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Post => Self::POST,
            HttpMethod::Put => Self::PUT,
            HttpMethod::Delete => Self::DELETE,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// A secret if its name says so.
    ByName,
    Secret,
}

impl HttpConfig {
    /// A POST to `url`, with the content type `application/json` unless a message has its own.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: HttpMethod::default(),
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            tls: TlsConfig::default(),
            proxy: Proxy::default(),
            connect_timeout: Duration::from_secs(5),
            classifier: Arc::new(StandardAnswers),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// This config with another method than POST.
    #[must_use]
    pub fn with_method(mut self, method: HttpMethod) -> Self {
        self.method = method;
        self
    }

    /// This config with another content type for messages that have none of their own.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// This config with a header on every request. It is treated as a secret if its name is one of a secret.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into(), Secrecy::ByName));
        self
    }

    /// This config with a header on every request whose value is never shown.
    #[must_use]
    pub fn with_secret_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into(), Secrecy::Secret));
        self
    }

    /// This config with other roots, or with a client certificate.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// This config with another proxy than the environment's.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// This config with another time for making a connection, TLS included; more than zero. 5 s otherwise, and never
    /// longer than the timeout of the attempt.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// This config for a protocol whose answers mean something else.
    #[must_use]
    pub fn with_classifier(mut self, classifier: impl Classifier) -> Self {
        self.classifier = Arc::new(classifier);
        self
    }

    /// This config with another clock, against which a `Retry-After` date is read.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn is_secret(name: &str, secrecy: Secrecy) -> bool {
        secrecy == Secrecy::Secret || Redactor::new().is_secret_key(name)
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value, secrecy)| {
                let shown = if Self::is_secret(name, *secrecy) { REDACTED } else { value };
                (name.as_str(), shown)
            })
            .collect();
        let origin = Url::parse(&self.url).map_or_else(|_| REDACTED.to_owned(), |url| origin(&url));
        f.debug_struct("HttpConfig")
            .field("url", &origin)
            .field("content_type", &self.content_type)
            .field("headers", &headers)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
