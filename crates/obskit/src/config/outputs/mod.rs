//! Where log lines go: a list of URLs, or tables with options.

mod keys;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use obs_model::{Level, REDACTED};
use toml::Spanned;
use toml::de::DeValue;

use super::error::{Origin, Problem};
use super::file::Reader;
use super::rules::{read_fields, require, tables, texts};
use super::value::Expected;
use super::{LogFormat, LogSettings, Settings, TlsSettings, names, redacted};

/// The name of the sink that the section `otlp` asks for.
pub(crate) const OTLP_LOGS: &str = "otlp_logs";

/// A place that log lines go to: `[[log.output]]`.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogOutputSettings {
    /// `stdout`, `stderr`, `file:PATH` or the URL of a server: syslog, Loki, Elasticsearch or an OTLP collector.
    pub url: String,
    /// What it is called in series and messages; the kind unless set.
    pub name: Option<String>,
    /// The least important level that it gets, of what `log.level` lets through; all unless set.
    pub level: Option<Level>,
    /// The targets whose lines it gets, with the modules in them; all unless set.
    pub only_targets: Vec<String>,
    /// The targets whose lines it does not get.
    pub without_targets: Vec<String>,
    /// Fields that a line must have, with their values.
    pub only_fields: Vec<(String, String)>,
    /// Fields that a line must not have with these values.
    pub without_fields: Vec<(String, String)>,
    /// Fields that are added to each line.
    pub fields: Vec<(String, String)>,
    /// What only a file has.
    pub file: FileOutputSettings,
    /// What only syslog has.
    pub syslog: SyslogOutputSettings,
    /// What only Loki, Elasticsearch and OTLP collectors have.
    pub http: HttpOutputSettings,
    /// Whom to trust over TLS, and how to prove who is asking.
    pub tls: TlsSettings,
}

/// What a place is that lines go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputKind {
    /// Standard output, `stdout`.
    Stdout,
    /// Standard error output, `stderr`.
    Stderr,
    /// A file, `file:`.
    File,
    /// A syslog server, `syslog://` and its kin.
    Syslog,
    /// Grafana Loki, `loki://` and `loki+https://`.
    Loki,
    /// Elasticsearch or OpenSearch, `elasticsearch://` and its kin.
    Elasticsearch,
    /// An OpenTelemetry collector, `otlp://` and its kin.
    Otlp,
}

/// What is set for a file; see `obs_tracing::sink::FileConfig` for the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOutputSettings {
    /// How a line looks; JSON.
    pub format: LogFormat,
    /// The permissions of files that are made, on Unix.
    pub mode: Option<u32>,
    /// When what was written is brought to the disk.
    pub sync: OutputSync,
    /// Whether the file is opened anew when the process gets a `SIGHUP`, which then no longer ends it; Unix only.
    pub reopen_on_sighup: bool,
    /// The size at which it is rotated, in bytes.
    pub max_bytes: Option<u64>,
    /// The period after which it is rotated.
    pub rotate: Option<OutputRotation>,
    /// How many rotated files are kept.
    pub keep_files: Option<usize>,
    /// How many bytes of rotated files are kept.
    pub keep_bytes: Option<u64>,
    /// For how long rotated files are kept.
    pub keep_for: Option<Duration>,
    /// Whether rotated files are compressed with gzip.
    pub compress: bool,
}

/// The period after which a file is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputRotation {
    /// At each full hour of UTC.
    Hourly,
    /// At midnight of UTC.
    Daily,
}

/// When what was written to a file is brought to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputSync {
    /// When the operating system sees fit.
    #[default]
    Never,
    /// When a file is rotated.
    Rotation,
    /// After each write of many lines, and when a file is rotated.
    Write,
}

/// What is set for syslog; see `obs_tracing::sink::SyslogConfig` for the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyslogOutputSettings {
    /// The URL of the server that takes over while the first is away.
    pub fallback: Option<String>,
    /// The facility, such as `local0`.
    pub facility: Option<String>,
    /// HOSTNAME.
    pub hostname: Option<String>,
    /// APP-NAME.
    pub app_name: Option<String>,
    /// MSGID.
    pub message_id: Option<String>,
    /// How messages are told apart in a stream.
    pub framing: OutputFraming,
    /// What the message is.
    pub body: SyslogBody,
    /// The private enterprise number of the structured data.
    pub enterprise: Option<u32>,
}

/// How messages of syslog are told apart in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFraming {
    /// By their lengths over TCP and TLS, by line feeds on a Unix socket.
    #[default]
    Auto,
    /// By the length before each.
    OctetCounting,
    /// By the line feed after each.
    LineFeed,
}

/// What is set for Loki, Elasticsearch or an OTLP collector.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpOutputSettings {
    /// The base URL (HTTP or HTTPS) that takes over while the first fails.
    pub fallback: Option<String>,
    /// Headers to send along.
    pub headers: Vec<(String, String)>,
    /// A bearer token, of Loki and OTLP.
    pub token: Option<String>,
    /// The name for basic authentication, where the URL has none.
    pub user: Option<String>,
    /// The password for basic authentication.
    pub password: Option<String>,
    /// An API key of Elasticsearch, in the form that it calls `encoded`.
    pub api_key: Option<String>,
    /// An ingest pipeline of Elasticsearch.
    pub pipeline: Option<String>,
    /// The tenant of Loki.
    pub tenant: Option<String>,
    /// Labels of Loki with the same value on every line.
    pub labels: Vec<(String, String)>,
    /// Fields that are labels of Loki; `service` and `level` unless set.
    pub label_fields: Vec<String>,
    /// Whether ids are structured metadata of Loki; they are unless set.
    pub structured_metadata: Option<bool>,
}

/// What a message of syslog is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyslogBody {
    /// The message of the line.
    #[default]
    Message,
    /// The whole line as JSON.
    Json,
}

impl OutputKind {
    /// What a URL stands for, by its scheme.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        match scheme {
            "stdout" => Some(Self::Stdout),
            "stderr" => Some(Self::Stderr),
            "file" => Some(Self::File),
            "syslog" | "syslog+udp" | "syslog+tcp" | "syslog+tls" | "syslog+unix" => {
                Some(Self::Syslog)
            }
            "loki" | "loki+http" | "loki+https" => Some(Self::Loki),
            "elasticsearch"
            | "elasticsearch+http"
            | "elasticsearch+https"
            | "elasticsearchs"
            | "opensearch"
            | "opensearch+http"
            | "opensearch+https"
            | "opensearchs" => Some(Self::Elasticsearch),
            "otlp" | "otlp+http" | "otlp+https" | "otlp+grpc" | "otlp+grpcs" => Some(Self::Otlp),
            _ => None,
        }
    }

    /// What an output of this kind is called when nobody says otherwise.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::File => "file",
            Self::Syslog => "syslog",
            Self::Loki => "loki",
            Self::Elasticsearch => "elasticsearch",
            Self::Otlp => "otlp",
        }
    }
}

impl LogOutputSettings {
    /// An output without options.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The path of a file, of `file:PATH` and `file:///PATH`.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let path = self.url.strip_prefix("file:")?;
        Some(path.strip_prefix("//").unwrap_or(path))
    }

    /// Whether it is an output of the process and has options, which that cannot have.
    fn is_overloaded(&self) -> bool {
        *self != Self::new(self.url.as_str())
    }
}

impl LogSettings {
    /// Every output, each with a name of its own; standard output if none is named.
    #[must_use]
    pub fn all_outputs(&self) -> Vec<LogOutputSettings> {
        self.outputs_beside([])
    }

    /// Every output, each with a name that is neither another's nor one of `taken`, unless it was given.
    pub(crate) fn outputs_beside(
        &self,
        taken: impl IntoIterator<Item = &'static str>,
    ) -> Vec<LogOutputSettings> {
        let mut all: Vec<_> = self.outputs.iter().chain(&self.output).cloned().collect();
        if all.is_empty() {
            all.push(LogOutputSettings::new("stdout"));
        }
        let mut names: BTreeSet<String> = all.iter().filter_map(|o| o.name.clone()).collect();
        names.extend(taken.into_iter().map(str::to_owned));
        for output in all.iter_mut().filter(|output| output.name.is_none()) {
            let kind = OutputKind::of(&output.url).map_or("log", OutputKind::as_str);
            let numbered = (2_u32..).map(|number| format!("{kind}-{number}"));
            let free = std::iter::once(kind.to_owned()).chain(numbered);
            output.name = free.into_iter().find(|name| names.insert(name.clone()));
        }
        all
    }
}

impl Settings {
    /// The names of the sinks that sections of their own ask for.
    pub(crate) fn section_sinks(&self) -> impl Iterator<Item = &'static str> {
        [
            ("loki", self.loki.endpoint.is_some()),
            ("elasticsearch", self.elasticsearch.endpoint.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .chain([OTLP_LOGS])
    }
}

/// Reads `log.outputs`.
pub(super) fn list(text: &str) -> Result<Vec<LogOutputSettings>, Expected> {
    let urls = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let outputs: Vec<_> =
        urls.map(|text| keys::url(text).map(LogOutputSettings::new)).collect::<Result<_, _>>()?;
    if outputs.is_empty() { Err(keys::URLS.to_owned()) } else { Ok(outputs) }
}

/// The keys that every output has and that are lists.
const LISTS: [&str; 2] = ["only_targets", "without_targets"];

/// Reads `[[log.output]]`.
pub(super) fn read(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
    const KEY: &str = "log.output";
    for table in &tables(reader, KEY, value) {
        let mut output = LogOutputSettings::default();
        require(reader, KEY, table, &["url"]);
        let given = table.get_ref().get("url").and_then(|url| url.get_ref().as_str());
        let fields = keys::of(given.and_then(OutputKind::of));
        read_fields(reader, KEY, table, &fields, &LISTS, &mut output);
        for (name, list) in
            LISTS.into_iter().zip([&mut output.only_targets, &mut output.without_targets])
        {
            if let Some(value) = table.get_ref().get(name) {
                *list = texts(reader, name, value);
            }
        }
        settings.log.output.push(output);
    }
}

/// What does not go together.
pub(super) fn validate(settings: &Settings, problems: &mut Vec<Problem>) {
    let log = &settings.log;
    let mut check = |holds: bool, message: String| {
        if !holds {
            problems.push(Problem::new(Origin::Combination, message));
        }
    };
    let of_process =
        |url: &str| matches!(OutputKind::of(url), Some(OutputKind::Stdout | OutputKind::Stderr));
    let all: Vec<_> = log.outputs.iter().chain(&log.output).collect();
    let own: Vec<_> = all.iter().filter(|output| of_process(&output.url)).collect();
    check(
        own.len() <= 1,
        String::from(
            "log.outputs names stdout and stderr, or one of them twice: expected one of the two",
        ),
    );
    for output in own {
        check(
            !output.is_overloaded(),
            format!(
                "log.output {} has options: expected them in log.level and log.format",
                output.url
            ),
        );
    }
    for output in &all {
        for problem in output.tls.problems("log.output") {
            check(false, problem);
        }
        let http = &output.http;
        check(
            http.user.is_some() == http.password.is_some(),
            String::from("user and password of log.output go together: expected both or neither"),
        );
        check(
            http.user.is_none() || (http.token.is_none() && http.api_key.is_none()),
            String::from("log.output has a user and a token or key: expected one of the two"),
        );
    }
    for name in settings.section_sinks() {
        check(
            all.iter().all(|output| output.name.as_deref() != Some(name)),
            format!("log.output is named {name:?} as the sink of a section: expected another name"),
        );
    }
    #[cfg(feature = "tracing")]
    for problem in crate::wiring::outputs::problems(settings) {
        check(false, format!("log.outputs: {problem}"));
    }
}

/// Shows no credentials that a URL may have.
impl fmt::Debug for LogOutputSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogOutputSettings")
            .field("url", &redacted(&self.url))
            .field("name", &self.name)
            .field("level", &self.level)
            .field("only_targets", &self.only_targets)
            .field("without_targets", &self.without_targets)
            .field("only_fields", &self.only_fields)
            .field("without_fields", &self.without_fields)
            .field("fields", &self.fields)
            .field("file", &self.file)
            .field("syslog", &self.syslog)
            .field("http", &self.http)
            .field("tls", &self.tls)
            .finish()
    }
}

/// Shows neither credentials nor the values of headers.
impl fmt::Debug for HttpOutputSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOutputSettings")
            .field("fallback", &self.fallback.as_deref().map(redacted))
            .field("headers", &names(&self.headers))
            .field("token", &self.token.as_ref().map(|_| REDACTED))
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| REDACTED))
            .field("api_key", &self.api_key.as_ref().map(|_| REDACTED))
            .field("pipeline", &self.pipeline)
            .field("tenant", &self.tenant)
            .field("labels", &self.labels)
            .field("label_fields", &self.label_fields)
            .field("structured_metadata", &self.structured_metadata)
            .finish()
    }
}
