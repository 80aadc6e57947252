//! What the admin listener is told: where it listens, who may read it, and how much it takes.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use obs_metrics::expose::Created;
use obs_query::promql::EngineOptions;
use subtle::ConstantTimeEq;

use crate::Error;

/// The port that the listener takes when nothing else is said.
pub const DEFAULT_PORT: u16 = 9464;

/// A text that must not be shown: it is neither printed nor logged, and it is compared in constant time.
///
/// ```
/// let token = obs_server::Secret::new("correct horse battery staple");
/// assert_eq!(format!("{token:?}"), "Secret([redacted])");
/// assert!(token.matches("correct horse battery staple"));
/// assert!(!token.matches("incorrect horse battery stapl"));
/// ```
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether `given` is this text. How long it takes says nothing but whether the lengths are the same.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// Whether it is so short that somebody with time could guess it, however slowly they may try.
    pub(crate) fn is_short(&self) -> bool {
        self.0.len() < 16
    }

    fn problem(&self) -> Option<&'static str> {
        if self.0.is_empty() {
            Some(
                "the admin token is empty: give one of 1 to 1024 visible ASCII characters, or none at all",
            )
        } else if self.0.len() > 1_024 || !self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            // A token travels in a header and in a URL, where anything else would be altered.
            Some("the admin token is not usable: 1 to 1024 visible ASCII characters are accepted")
        } else {
            None
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// How the Prometheus HTTP API answers.
#[derive(Clone, Debug)]
pub struct PrometheusConfig {
    /// How queries are evaluated, and how much each may use.
    pub engine: EngineOptions,
    /// How many queries are evaluated at once; further ones wait in line, for as long as a query may take. 20 by
    /// default.
    pub max_concurrent_queries: usize,
    /// Whether samples are taken in by remote write, and how large its requests may be; off by default.
    pub remote_write: Option<RemoteWriteConfig>,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self { engine: EngineOptions::default(), max_concurrent_queries: 20, remote_write: None }
    }
}

/// How large the requests of a remote write may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteWriteConfig {
    /// The largest body in bytes, as it is sent; 16 MiB by default.
    pub max_body_bytes: usize,
    /// The largest body in bytes, uncompressed; 32 MiB by default.
    pub max_decompressed_bytes: usize,
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self { max_body_bytes: 16 * 1_024 * 1_024, max_decompressed_bytes: 32 * 1_024 * 1_024 }
    }
}

/// How the admin listener is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens; `127.0.0.1:9464` by default. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// What a caller must present on protected paths. Without one, the listener must be on a loopback
    /// address. Use at least 32 random characters.
    pub token: Option<Secret>,
    /// Whether `/metrics` is served; true by default.
    pub metrics_enabled: bool,
    /// Whether an OpenMetrics exposition says when each counter and histogram began; hidden by default, because
    /// Prometheus before version 3 stores each such line as a series of its own.
    pub created: Created,
    /// How long requests that are under way may take to finish after shutdown is asked for; 5 s by default.
    pub shutdown_grace: Duration,
    /// How long a client may take to send a request's head, and how long a connection may idle; 15 s by
    /// default.
    pub header_timeout: Duration,
    /// How long a request may take in all, a profile's own duration apart; 15 s by default.
    pub request_timeout: Duration,
    /// The largest request body in bytes; 64 KiB by default.
    pub max_body_bytes: usize,
    /// How many connections may be open at once; further ones wait. 256 by default.
    pub max_connections: usize,
    /// How many protected requests may be under way at once; further ones get a 503. 32 by default.
    pub max_concurrent_requests: usize,
    /// How the Prometheus HTTP API answers.
    pub prometheus: PrometheusConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            token: None,
            metrics_enabled: true,
            created: Created::Hidden,
            shutdown_grace: Duration::from_secs(5),
            header_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(15),
            max_body_bytes: 64 * 1_024,
            max_connections: 256,
            max_concurrent_requests: 32,
            prometheus: PrometheusConfig::default(),
        }
    }
}

impl ServerConfig {
    /// Whether the listener can be reached from this machine only.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Looks for everything that is wrong with these settings.
    ///
    /// # Errors
    ///
    /// One error that names every problem at once.
    pub fn validate(&self) -> Result<(), Error> {
        let mut problems = Vec::new();
        match &self.token {
            None if !self.is_loopback() => problems.push(format!(
                "{} can be reached from other machines and no admin token is set: set one with \
                 ServerConfig::token or OBSKIT_ADMIN_TOKEN, or listen on a loopback address",
                self.listen
            )),
            None => {}
            Some(token) => problems.extend(token.problem().map(str::to_owned)),
        }
        for (name, value, smallest) in [
            ("header_timeout", self.header_timeout, Duration::from_millis(1)),
            ("request_timeout", self.request_timeout, Duration::from_millis(1)),
        ] {
            if value < smallest {
                problems.push(format!("{name} is {value:?}: at least {smallest:?} is accepted"));
            }
        }
        for (name, value) in [
            ("max_body_bytes", self.max_body_bytes),
            ("max_connections", self.max_connections),
            ("max_concurrent_requests", self.max_concurrent_requests),
            ("max_concurrent_queries", self.prometheus.max_concurrent_queries),
        ] {
            if value == 0 {
                problems.push(format!("{name} is 0: at least 1 is accepted"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::config(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_when_others_can_reach_the_listener() {
        for (listen, token, fine) in [
            ("127.0.0.1:0", None, true),
            ("127.8.8.8:0", None, true),
            ("[::1]:0", None, true),
            ("[::ffff:127.0.0.1]:0", None, true),
            ("0.0.0.0:0", None, false),
            ("[::]:0", None, false),
            ("192.0.2.7:9464", None, false),
            ("0.0.0.0:0", Some("0123456789abcdef"), true),
            ("0.0.0.0:0", Some(""), false),
            ("127.0.0.1:0", Some("with space"), false),
        ] {
            let config = ServerConfig {
                listen: listen.parse().unwrap(),
                token: token.map(Secret::from),
                ..ServerConfig::default()
            };
            assert_eq!(config.validate().is_ok(), fine, "{listen} {token:?}");
        }
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let error = ServerConfig {
            listen: "0.0.0.0:9464".parse().unwrap(),
            max_connections: 0,
            request_timeout: Duration::ZERO,
            ..ServerConfig::default()
        }
        .validate()
        .unwrap_err();
        assert!(error.is_config());
        assert_eq!(error.problems().len(), 3);
        let text = error.to_string();
        for part in ["OBSKIT_ADMIN_TOKEN", "max_connections", "request_timeout", "0.0.0.0:9464"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
