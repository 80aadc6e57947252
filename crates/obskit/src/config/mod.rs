//! Settings: from a file, the environment and the builder, with every problem reported at once.

mod batch;
mod environment;
mod error;
mod file;
mod logging;
mod otlp;
mod outputs;
mod rules;
mod schema;
mod shipping;
mod tls;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use obs_model::{REDACTED, Redactor};

pub use batch::BatchSettings;
pub use error::{ConfigError, Origin, Problem};
pub use logging::{
    Colors, LogFormat, LogSettings, OperationSettings, Redaction, RedactionSettings, TraceSettings,
};
pub(crate) use otlp::OtlpTarget;
pub use otlp::{Compression, OtlpLogSettings, OtlpProtocol, OtlpSettings, Temporality};
pub(crate) use outputs::OTLP_LOGS;
pub use outputs::{
    FileOutputSettings, HttpOutputSettings, LogOutputSettings, OutputFraming, OutputKind,
    OutputRotation, OutputSync, SyslogBody, SyslogOutputSettings,
};
pub use rules::{RuleSettings, SignalKind, WebhookSettings};
pub use schema::{Setting, reference};
pub use shipping::{ElasticsearchSettings, LokiSettings};
pub use tls::TlsSettings;

/// Everything that can be set, with its defaults.
///
/// The environment overrides the file, and the builder overrides both. Each field stands in the file as
/// `section.name` and in the environment as `OBSKIT_SECTION_NAME`, beside the usual names that [`reference()`] lists.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// What is observed.
    pub service: ServiceSettings,
    /// The recorder and the series store.
    pub metrics: MetricsSettings,
    /// What survives a restart.
    pub state: StateSettings,
    /// What queries may use.
    pub query: QuerySettings,
    /// Log lines.
    pub log: LogSettings,
    /// Which traces are exported, how their ids travel, and what is measured of spans.
    pub traces: TraceSettings,
    /// Operations in flight.
    pub operations: OperationSettings,
    /// Spans, metrics and log lines by OTLP.
    pub otlp: OtlpSettings,
    /// Metrics by Prometheus remote write.
    pub remote_write: RemoteWriteSettings,
    /// Log lines to Grafana Loki.
    pub loki: LokiSettings,
    /// Log lines to Elasticsearch or OpenSearch.
    pub elasticsearch: ElasticsearchSettings,
    /// Error tracking.
    pub errors: Switch,
    /// Alert rules and channels.
    pub alerts: AlertSettings,
    /// Health checks.
    pub health: HealthSettings,
    /// CPU profiles.
    pub profiling: Switch,
    /// The admin listener.
    pub admin: AdminSettings,
    /// How long [`shutdown`](crate::Obskit::shutdown) may take to flush; 5 s.
    pub shutdown_deadline: Duration,
}

/// Names of what is observed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServiceSettings {
    /// `service.name`.
    pub name: String,
    /// `service.version`.
    pub version: Option<String>,
    /// `deployment.environment.name`.
    pub environment: Option<String>,
    /// `service.instance.id`.
    pub instance: Option<String>,
    /// More resource attributes, as `OTEL_RESOURCE_ATTRIBUTES` gives them.
    pub attributes: Vec<(String, String)>,
}

/// A pillar that has nothing to set but whether it runs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Switch {
    /// Whether it runs; true.
    pub enabled: bool,
}

/// The recorder and the series store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetricsSettings {
    /// Whether anything is recorded, and whether `/metrics` answers; true.
    pub enabled: bool,
    /// Whether the business families are recorded; true.
    pub business: bool,
    /// Whether what sqlx says about its queries becomes the database metrics; false.
    pub sqlx: bool,
    /// The namespace of the workflow and tool families, such as `analyst`; none.
    pub namespace: String,
    /// How long a series that nobody records any more is still shown; for good unless set.
    pub idle_timeout: Option<Duration>,
    /// Whether histograms keep the trace ids of some observations; false.
    pub exemplars: bool,
    /// Whether OpenMetrics expositions have `_created` lines; false.
    pub created_lines: bool,
    /// The grid of the series store; 5 s.
    pub sample_interval: Duration,
    /// How far back the series store reaches, memory permitting; 24 h.
    pub retention: Duration,
    /// How many series the store holds; 50,000.
    pub max_series: usize,
    /// How much memory the store may take, in bytes; 128 MiB.
    pub max_store_bytes: usize,
}

/// What survives a restart; nothing without a folder.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StateSettings {
    /// The folder of the state file, of this process alone.
    pub dir: Option<PathBuf>,
    /// How much of the disk it may take, in bytes; 512 MiB.
    pub max_bytes: u64,
}

/// What queries may use, of requests and of rule files.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QuerySettings {
    /// How many samples a query may have in memory at once; 50,000,000.
    pub max_samples: usize,
    /// How long a query may take; 2 minutes.
    pub timeout: Duration,
    /// How many queries of requests are evaluated at once; 20.
    pub max_concurrent: usize,
}

/// Metrics by Prometheus remote write; nothing is pushed without an endpoint.
#[derive(Clone)]
#[non_exhaustive]
pub struct RemoteWriteSettings {
    /// Where metrics are pushed to.
    pub endpoint: Option<String>,
    /// Where they are pushed to while that fails.
    pub fallback: Option<String>,
    /// How often; 15 s.
    pub interval: Duration,
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

/// Alert rules and channels.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AlertSettings {
    /// Whether rules are evaluated; true.
    pub enabled: bool,
    /// How often; 60 s.
    pub check_interval: Duration,
    /// Whether the default rules are there beside the service's own; true.
    pub default_rules: bool,
    /// Webhooks that are told of alerts.
    pub webhooks: Vec<WebhookSettings>,
    /// Threshold rules.
    pub rules: Vec<RuleSettings>,
    /// Prometheus rule files.
    pub rule_files: Vec<PathBuf>,
}

/// Health checks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HealthSettings {
    /// How often the checks run by themselves, beside whenever a report is asked for; 15 s.
    pub interval: Duration,
}

/// The admin listener.
#[derive(Clone)]
#[non_exhaustive]
pub struct AdminSettings {
    /// Whether it listens; true.
    pub enabled: bool,
    /// On which address; 127.0.0.1.
    pub address: std::net::IpAddr,
    /// On which port; 9464, and 0 for any that is free.
    pub port: u16,
    /// The token that everything but metrics and health asks for.
    pub token: Option<String>,
}

/// Shows neither credentials nor the values of headers.
impl fmt::Debug for RemoteWriteSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWriteSettings")
            .field("endpoint", &self.endpoint.as_deref().map(redacted))
            .field("fallback", &self.fallback.as_deref().map(redacted))
            .field("interval", &self.interval)
            .field("headers", &names(&self.headers))
            .field("token", &self.token.as_ref().map(|_| REDACTED))
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| REDACTED))
            .field("tls", &self.tls)
            .finish()
    }
}

/// The names of headers, whose values may be secrets.
fn names(headers: &[(String, String)]) -> Vec<&str> {
    headers.iter().map(|(name, _)| name.as_str()).collect()
}

/// Shows whether there is a token, and not which.
impl fmt::Debug for AdminSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminSettings")
            .field("enabled", &self.enabled)
            .field("address", &self.address)
            .field("port", &self.port)
            .field("token", &self.token.as_ref().map(|_| REDACTED))
            .finish()
    }
}

fn redacted(text: &str) -> String {
    Redactor::new().text(text).into_owned()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: ServiceSettings::default(),
            metrics: MetricsSettings {
                enabled: true,
                business: true,
                sqlx: false,
                namespace: String::new(),
                idle_timeout: None,
                exemplars: false,
                created_lines: false,
                sample_interval: Duration::from_secs(5),
                retention: Duration::from_secs(24 * 3_600),
                max_series: 50_000,
                max_store_bytes: 128 << 20,
            },
            state: StateSettings { dir: None, max_bytes: 512 << 20 },
            query: QuerySettings {
                max_samples: 50_000_000,
                timeout: Duration::from_secs(120),
                max_concurrent: 20,
            },
            log: LogSettings::default(),
            traces: TraceSettings::default(),
            operations: OperationSettings::default(),
            otlp: OtlpSettings::default(),
            loki: LokiSettings::default(),
            elasticsearch: ElasticsearchSettings::default(),
            remote_write: RemoteWriteSettings {
                endpoint: None,
                fallback: None,
                interval: Duration::from_secs(15),
                headers: Vec::new(),
                token: None,
                user: None,
                password: None,
                tls: TlsSettings::default(),
            },
            errors: Switch { enabled: true },
            alerts: AlertSettings {
                enabled: true,
                check_interval: Duration::from_secs(60),
                default_rules: true,
                webhooks: Vec::new(),
                rules: Vec::new(),
                rule_files: Vec::new(),
            },
            health: HealthSettings { interval: Duration::from_secs(15) },
            profiling: Switch { enabled: true },
            admin: AdminSettings {
                enabled: true,
                address: std::net::Ipv4Addr::LOCALHOST.into(),
                port: 9_464,
                token: None,
            },
            shutdown_deadline: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// Reads a configuration file over these settings.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or has keys or values that are not accepted: every problem, each with
    /// its line and column. Nothing is applied then.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        file::read(self, path)
    }

    /// Reads environment variables over these settings.
    ///
    /// # Errors
    ///
    /// Every variable with a value that is not accepted. Nothing is applied then.
    pub fn read_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        environment::read(self, variables)
    }

    /// Checks what only the whole can tell: settings that do not go together.
    ///
    /// # Errors
    ///
    /// Everything that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, message: String| {
            if !holds {
                problems.push(Problem::new(Origin::Combination, message));
            }
        };
        check(
            !self.service.name.is_empty(),
            String::from("service.name is empty: expected the service's name"),
        );
        check(
            self.metrics.retention >= self.metrics.sample_interval * 10,
            format!(
                "metrics.retention is {:?}: expected at least ten times metrics.sample_interval, {:?}",
                self.metrics.retention,
                self.metrics.sample_interval * 10
            ),
        );
        let redaction = &self.log.redaction;
        check(
            redaction.mode != Redaction::Hash || redaction.key.is_some(),
            String::from("log.redaction is hash and log.redaction_key is not set: expected a key"),
        );
        let push = &self.remote_write;
        check(
            push.user.is_some() == push.password.is_some(),
            String::from(
                "remote_write.user and remote_write.password go together: expected both or neither",
            ),
        );
        check(
            push.token.is_none() || push.user.is_none(),
            String::from(
                "remote_write.token and remote_write.user are both set: expected one of the two",
            ),
        );
        check(
            push.fallback.is_none() || push.endpoint.is_some(),
            String::from(
                "remote_write.fallback is set without remote_write.endpoint: expected both",
            ),
        );
        check(
            !self.admin.enabled || self.admin.address.is_loopback() || self.admin.token.is_some(),
            format!(
                "admin.address is {}, which others can reach, and admin.token is not set: expected a token \
                 (OBSKIT_ADMIN_TOKEN) or a loopback address",
                self.admin.address
            ),
        );
        rules::validate(&self.alerts, &mut problems);
        shipping::validate(self, &mut problems);
        outputs::validate(self, &mut problems);
        #[cfg(feature = "tracing")]
        if let Err(error) = obs_tracing::check_filter(&self.log.level) {
            problems.push(Problem::new(Origin::Combination, format!("log.level: {error}")));
        }
        ConfigError::from_problems(problems)
    }
}

#[cfg(test)]
mod tests;
