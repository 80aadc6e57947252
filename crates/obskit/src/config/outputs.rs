//! Where log lines go: a list of URLs, or tables with options.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use obs_model::Level;
use toml::Spanned;
use toml::de::DeValue;

use super::error::{Origin, Problem};
use super::file::Reader;
use super::rules::{Field, read_fields, require, set, tables, texts};
use super::value::{Expected, boolean, duration_within, filled, mebibytes, pairs, parsed};
use super::{LogSettings, Settings, redacted};

/// A place that log lines go to: `[[log.output]]`.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogOutputSettings {
    /// `stdout`, `stderr`, `file:PATH` or the URL of a syslog server.
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
}

/// What is set for a file; see `obs_tracing::sink::FileConfig` for the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOutputSettings {
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

/// What is set for syslog; see `obs_tracing::sink::SyslogConfig` for the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyslogOutputSettings {
    /// The URL of the server that takes over while the first is away.
    pub fallback: Option<String>,
    /// The facility, such as `local0`.
    pub facility: Option<String>,
    /// What the message is.
    pub body: SyslogBody,
    /// The private enterprise number of the structured data.
    pub enterprise: Option<u32>,
    /// Roots to trust over TLS, in a file in PEM form.
    pub root_file: Option<PathBuf>,
    /// The certificate to show over TLS, in a file in PEM form.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate, in a file in PEM form.
    pub key_file: Option<PathBuf>,
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

/// What may be given.
const URLS: &str = "stdout, stderr, file:PATH, syslog://host:port, syslog+tcp://host:port, \
                    syslog+tls://host:port or syslog+unix:///path";

const MINUTE: Duration = Duration::from_secs(60);
const YEARS: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The keys that every output has.
const COMMON: &[Field<LogOutputSettings>] = &[
    ("url", |o, text| set(&mut o.url, url(text))),
    ("name", |o, text| set(&mut o.name, filled(text, "a name").map(Some))),
    ("level", |o, text| {
        set(&mut o.level, parsed(text, "trace, debug, info, warn or error").map(Some))
    }),
    ("only_fields", |o, text| set(&mut o.only_fields, pairs(text))),
    ("without_fields", |o, text| set(&mut o.without_fields, pairs(text))),
    ("fields", |o, text| set(&mut o.fields, pairs(text))),
];

const LISTS: [&str; 2] = ["only_targets", "without_targets"];

/// The keys that only a file has.
const FILE: &[Field<LogOutputSettings>] = &[
    ("max_mib", |o, text| set(&mut o.file.max_bytes, mebibytes(text, 1).map(|n| Some(n as u64)))),
    ("rotate", |o, text| set(&mut o.file.rotate, rotation(text).map(Some))),
    ("keep_files", |o, text| {
        set(&mut o.file.keep_files, parsed(text, "a whole number of files").map(Some))
    }),
    ("keep_mib", |o, text| set(&mut o.file.keep_bytes, mebibytes(text, 1).map(|n| Some(n as u64)))),
    ("keep_for", |o, text| {
        set(&mut o.file.keep_for, duration_within(text, MINUTE, YEARS).map(Some))
    }),
    ("compress", |o, text| set(&mut o.file.compress, boolean(text))),
];

/// The keys that only syslog has.
const SYSLOG: &[Field<LogOutputSettings>] = &[
    ("fallback", |o, text| set(&mut o.syslog.fallback, syslog_url(text).map(Some))),
    ("facility", |o, text| set(&mut o.syslog.facility, filled(text, "a facility").map(Some))),
    ("body", |o, text| set(&mut o.syslog.body, body(text))),
    ("enterprise", |o, text| {
        set(&mut o.syslog.enterprise, parsed(text, "a private enterprise number").map(Some))
    }),
    ("root_file", |o, text| set(&mut o.syslog.root_file, path(text).map(Some))),
    ("certificate_file", |o, text| set(&mut o.syslog.certificate_file, path(text).map(Some))),
    ("key_file", |o, text| set(&mut o.syslog.key_file, path(text).map(Some))),
];

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
            _ => None,
        }
    }

    /// The keys that only this kind has.
    const fn fields(self) -> &'static [Field<LogOutputSettings>] {
        match self {
            Self::Stdout | Self::Stderr => &[],
            Self::File => FILE,
            Self::Syslog => SYSLOG,
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
        let mut all: Vec<_> = self.outputs.iter().chain(&self.output).cloned().collect();
        if all.is_empty() {
            all.push(LogOutputSettings::new("stdout"));
        }
        let mut names: BTreeSet<String> = all.iter().filter_map(|o| o.name.clone()).collect();
        for output in all.iter_mut().filter(|output| output.name.is_none()) {
            let kind = OutputKind::of(&output.url).map_or("log", OutputKind::as_str);
            let numbered = (2_u32..).map(|number| format!("{kind}-{number}"));
            let free = std::iter::once(kind.to_owned()).chain(numbered);
            output.name = free.into_iter().find(|name| names.insert(name.clone()));
        }
        all
    }
}

/// Reads `log.outputs`.
pub(super) fn list(text: &str) -> Result<Vec<LogOutputSettings>, Expected> {
    let urls = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let outputs: Vec<_> =
        urls.map(|text| url(text).map(LogOutputSettings::new)).collect::<Result<_, _>>()?;
    if outputs.is_empty() { Err(URLS.to_owned()) } else { Ok(outputs) }
}

/// Reads `[[log.output]]`.
pub(super) fn read(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
    const KEY: &str = "log.output";
    for table in &tables(reader, KEY, value) {
        let mut output = LogOutputSettings::default();
        require(reader, KEY, table, &["url"]);
        let given = table.get_ref().get("url").and_then(|url| url.get_ref().as_str());
        let own = given.and_then(OutputKind::of).map_or(&[][..], OutputKind::fields);
        let fields: Vec<_> = COMMON.iter().chain(own).copied().collect();
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
pub(super) fn validate(log: &LogSettings, problems: &mut Vec<Problem>) {
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
        let syslog = &output.syslog;
        check(
            syslog.certificate_file.is_some() == syslog.key_file.is_some(),
            String::from(
                "certificate_file and key_file of log.output go together: expected both or neither",
            ),
        );
    }
    #[cfg(feature = "tracing")]
    for problem in crate::wiring::outputs::problems(log) {
        check(false, format!("log.outputs: {problem}"));
    }
}

fn url(text: &str) -> Result<String, Expected> {
    let has_more = match OutputKind::of(text) {
        Some(OutputKind::Stdout | OutputKind::Stderr) => !text.contains(':'),
        Some(OutputKind::File) => !text["file:".len().min(text.len())..].is_empty(),
        Some(OutputKind::Syslog) => text.contains("://"),
        None => false,
    };
    if has_more { Ok(text.to_owned()) } else { Err(URLS.to_owned()) }
}

fn syslog_url(text: &str) -> Result<String, Expected> {
    let found = url(text).ok().filter(|url| OutputKind::of(url) == Some(OutputKind::Syslog));
    found.ok_or_else(|| String::from("the URL of a syslog server"))
}

fn rotation(text: &str) -> Result<OutputRotation, Expected> {
    match text {
        "hourly" => Ok(OutputRotation::Hourly),
        "daily" => Ok(OutputRotation::Daily),
        _ => Err(String::from("hourly or daily")),
    }
}

fn body(text: &str) -> Result<SyslogBody, Expected> {
    match text {
        "message" => Ok(SyslogBody::Message),
        "json" => Ok(SyslogBody::Json),
        _ => Err(String::from("message or json")),
    }
}

fn path(text: &str) -> Result<PathBuf, Expected> {
    filled(text, "a path").map(PathBuf::from)
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
            .finish()
    }
}
