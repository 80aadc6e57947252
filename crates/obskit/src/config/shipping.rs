//! The settings of log lines that are sent away.

use std::fmt;

use obs_model::{Level, REDACTED};

use super::value::Expected;
use super::{Origin, Problem, Settings, TlsSettings, names, redacted};

/// Log lines to Grafana Loki; nothing is sent without an endpoint.
#[derive(Clone)]
#[non_exhaustive]
pub struct LokiSettings {
    /// The base URL; `/loki/api/v1/push` is added unless it is there.
    pub endpoint: Option<String>,
    /// Where lines go while that fails.
    pub fallback: Option<String>,
    /// The value of the header `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Labels with the same value on every line.
    pub labels: Vec<(String, String)>,
    /// Fields of lines that are labels; `service` and `level`.
    pub label_fields: Vec<String>,
    /// Whether ids are structured metadata; true.
    pub structured_metadata: bool,
    /// The least important level that is sent; every level that is logged.
    pub level: Level,
    /// Headers to send along.
    pub headers: Vec<(String, String)>,
    /// A bearer token.
    pub token: Option<String>,
    /// The name for basic authentication.
    pub user: Option<String>,
    /// The password for basic authentication.
    pub password: Option<String>,
    /// Whom to trust over TLS, and how to prove who is asking.
    pub tls: TlsSettings,
}

/// Log lines to Elasticsearch or OpenSearch; nothing is sent without an endpoint.
#[derive(Clone)]
#[non_exhaustive]
pub struct ElasticsearchSettings {
    /// The base URL; `/_bulk` is added unless it is there.
    pub endpoint: Option<String>,
    /// Where lines go while that fails.
    pub fallback: Option<String>,
    /// The index or data stream, with `%Y`, `%m`, `%d` and `%H` for the date of a line in UTC; `logs-%Y.%m.%d`.
    pub index: String,
    /// An ingest pipeline.
    pub pipeline: Option<String>,
    /// The least important level that is sent; every level that is logged.
    pub level: Level,
    /// Headers to send along.
    pub headers: Vec<(String, String)>,
    /// An API key, in the form that Elasticsearch calls `encoded`.
    pub api_key: Option<String>,
    /// The name for basic authentication.
    pub user: Option<String>,
    /// The password for basic authentication.
    pub password: Option<String>,
    /// Whom to trust over TLS, and how to prove who is asking.
    pub tls: TlsSettings,
}

impl Default for LokiSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            fallback: None,
            tenant: None,
            labels: Vec::new(),
            label_fields: vec![String::from("service"), String::from("level")],
            structured_metadata: true,
            level: Level::Trace,
            headers: Vec::new(),
            token: None,
            user: None,
            password: None,
            tls: TlsSettings::default(),
        }
    }
}

impl Default for ElasticsearchSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            fallback: None,
            index: String::from("logs-%Y.%m.%d"),
            pipeline: None,
            level: Level::Trace,
            headers: Vec::new(),
            api_key: None,
            user: None,
            password: None,
            tls: TlsSettings::default(),
        }
    }
}

/// Shows neither credentials nor the values of headers.
impl fmt::Debug for LokiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LokiSettings")
            .field("endpoint", &self.endpoint.as_deref().map(redacted))
            .field("fallback", &self.fallback.as_deref().map(redacted))
            .field("tenant", &self.tenant)
            .field("labels", &self.labels)
            .field("label_fields", &self.label_fields)
            .field("structured_metadata", &self.structured_metadata)
            .field("level", &self.level)
            .field("headers", &names(&self.headers))
            .field("token", &self.token.as_ref().map(|_| REDACTED))
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| REDACTED))
            .field("tls", &self.tls)
            .finish()
    }
}

/// Shows neither credentials nor the values of headers.
impl fmt::Debug for ElasticsearchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElasticsearchSettings")
            .field("endpoint", &self.endpoint.as_deref().map(redacted))
            .field("fallback", &self.fallback.as_deref().map(redacted))
            .field("index", &self.index)
            .field("pipeline", &self.pipeline)
            .field("level", &self.level)
            .field("headers", &names(&self.headers))
            .field("api_key", &self.api_key.as_ref().map(|_| REDACTED))
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| REDACTED))
            .field("tls", &self.tls)
            .finish()
    }
}

/// Every set of certificates, with whose it is; those of OTLP only where anything is exported.
fn tls_of(settings: &Settings) -> impl Iterator<Item = (&'static str, &TlsSettings)> {
    let otlp = &settings.otlp;
    let of_otlp = [
        ("otlp", &otlp.tls),
        ("otlp.traces", &otlp.traces_tls),
        ("otlp.metrics", &otlp.metrics_tls),
        ("otlp.logs", &otlp.logs.tls),
    ];
    let others = [
        ("remote_write", &settings.remote_write.tls),
        ("loki", &settings.loki.tls),
        ("elasticsearch", &settings.elasticsearch.tls),
    ];
    of_otlp.into_iter().filter(|_| otlp.enabled).chain(others)
}

/// Which credentials, certificates and fallbacks do not go together.
pub(super) fn validate(settings: &Settings, problems: &mut Vec<Problem>) {
    for (of, batch) in
        [("traces", &settings.otlp.traces_batch), ("logs", &settings.otlp.logs.batch)]
    {
        problems.extend(batch.problem(of).map(|text| Problem::new(Origin::Combination, text)));
    }
    for (of, tls) in tls_of(settings) {
        let wrong = tls.problems(of).into_iter();
        problems.extend(wrong.map(|text| Problem::new(Origin::Combination, text)));
    }
    let (loki, search) = (&settings.loki, &settings.elasticsearch);
    let mut check = |section: &str, holds: bool, message: &str| {
        if !holds {
            problems.push(Problem::new(Origin::Combination, format!("{section}{message}")));
        }
    };
    for (section, user, password, key, endpoint, fallback) in [
        ("loki", &loki.user, &loki.password, &loki.token, &loki.endpoint, &loki.fallback),
        (
            "elasticsearch",
            &search.user,
            &search.password,
            &search.api_key,
            &search.endpoint,
            &search.fallback,
        ),
    ] {
        check(
            section,
            user.is_some() == password.is_some(),
            ".user and .password go together: expected both or neither",
        );
        check(
            section,
            key.is_none() || user.is_none(),
            " has a user and a token or key: expected one of the two",
        );
        check(
            section,
            fallback.is_none() || endpoint.is_some(),
            ".fallback is set without an endpoint: expected both",
        );
    }
}

/// Names with commas between them.
pub(super) fn list(text: &str) -> Result<Vec<String>, Expected> {
    let names: Vec<String> = text
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() { Err(String::from("names with commas between them")) } else { Ok(names) }
}
