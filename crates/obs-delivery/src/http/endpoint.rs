//! A server over HTTP, and what has to be said there to be let in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use obs_model::REDACTED;
use url::Url;

use super::{HttpConfig, Proxy};
use crate::TlsConfig;

/// An HTTP or HTTPS endpoint: its URL, credentials, certificates and proxy.
///
/// Its `Debug` form shows no credentials and no values of headers.
///
/// ```
/// use obs_delivery::Endpoint;
///
/// let endpoint = Endpoint::new("https://logs.example.com").with_basic_auth("writer", "s3cret");
/// assert!(!format!("{endpoint:?}").contains("s3cret"));
/// ```
#[derive(Clone)]
pub struct Endpoint {
    url: String,
    headers: Vec<(String, String)>,
    tls: TlsConfig,
    proxy: Proxy,
}

impl Endpoint {
    /// The endpoint at `url`, without credentials, with the certificate authorities and the proxy of the machine.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            tls: TlsConfig::default(),
            proxy: Proxy::default(),
        }
    }

    /// Its URL, as it was given.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// This endpoint at another URL, to which everything else is said as well.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// This endpoint with `path` behind its URL, unless that ends with it already; its query stays. What is no URL stays
    /// as it is, and is refused when a transport is made of it.
    ///
    /// ```
    /// use obs_delivery::Endpoint;
    ///
    /// let endpoint = Endpoint::new("http://logs/tenant/?region=eu").with_path("/v1/push");
    /// assert_eq!(endpoint.url(), "http://logs/tenant/v1/push?region=eu");
    /// ```
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        if let Ok(mut url) = Url::parse(&self.url) {
            let base = url.path().trim_end_matches('/');
            if !base.ends_with(path) {
                let whole = format!("{base}{path}");
                url.set_path(&whole);
                self.url = url.into();
            }
        }
        self
    }

    /// This endpoint with one more parameter in the query of its URL; what is no URL stays as it is.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        if let Ok(mut url) = Url::parse(&self.url) {
            url.query_pairs_mut().append_pair(name, value);
            self.url = url.into();
        }
        self
    }

    /// This endpoint with the name and password of HTTP's basic authentication (RFC 7617).
    #[must_use]
    pub fn with_basic_auth(self, user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        self.with_header("Authorization", format!("Basic {pair}"))
    }

    /// This endpoint with a bearer token (RFC 6750).
    #[must_use]
    pub fn with_bearer_token(self, token: &str) -> Self {
        self.with_header("Authorization", format!("Bearer {token}"))
    }

    /// This endpoint with an API key of Elasticsearch, in the form that it calls `encoded`.
    #[must_use]
    pub fn with_api_key(self, encoded: &str) -> Self {
        self.with_header("Authorization", format!("ApiKey {encoded}"))
    }

    /// This endpoint with a header on every request, such as `X-Scope-OrgID`; one given twice keeps its last value.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.headers.push((name, value.into()));
        self
    }

    /// This endpoint with other certificate authorities, or with a client certificate.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// This endpoint behind another proxy than the environment's.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// What a transport over HTTP is made of.
    #[must_use]
    pub fn http(&self) -> HttpConfig {
        // Secret all of them: a header that is sent to one destination only often is a credential of some sort.
        let secret = |config: HttpConfig, (name, value): &(String, String)| {
            config.with_secret_header(name.as_str(), value.as_str())
        };
        let config = self.headers.iter().fold(HttpConfig::new(self.url.as_str()), secret);
        config.with_tls(self.tls.clone()).with_proxy(self.proxy.clone())
    }

    /// What calls of `method` by gRPC are made of; the URL is `http://host:port` or, with TLS, `https://host:port`.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc(&self, method: &str) -> super::GrpcConfig {
        let config = super::GrpcConfig::new(self.url.as_str(), method);
        let config = self.headers.iter().fold(config, |config, (name, value)| {
            config.with_secret_header(name.as_str(), value.as_str())
        });
        config.with_tls(self.tls.clone()).with_proxy(self.proxy.clone())
    }
}

impl From<&str> for Endpoint {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for Endpoint {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The config behind it knows what may be shown of a URL.
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| (name, REDACTED)).collect();
        f.debug_struct("Endpoint").field("http", &self.http()).field("headers", &headers).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_added_once_and_a_query_stays() {
        for (url, expected) in [
            ("http://h:1", "http://h:1/a/b"),
            ("http://h:1/", "http://h:1/a/b"),
            ("http://h:1/prefix/?x=1", "http://h:1/prefix/a/b?x=1"),
            ("http://h:1/prefix/a/b", "http://h:1/prefix/a/b"),
            ("no url", "no url"),
        ] {
            assert_eq!(Endpoint::new(url).with_path("/a/b").url(), expected, "{url}");
        }
    }

    #[test]
    fn what_an_endpoint_has_of_secrets_is_not_shown() {
        let endpoint = Endpoint::new("https://user:pass1@h/path-s3cret")
            .with_bearer_token("t0ken")
            .with_header("x-key", "k3y");
        let shown = format!("{endpoint:?}");
        for secret in ["pass1", "s3cret", "t0ken", "k3y"] {
            assert!(!shown.contains(secret), "{secret} is in {shown}");
        }
    }
}
