//! The settings of log lines and of traces, and what they are read from.

use std::fmt;
use std::time::Duration;

use obs_model::{Level, REDACTED, RedactMode, Redactor, SecretKind};

use super::outputs::LogOutputSettings;
use super::value::{Expected, duration_within, parsed};

/// The most names in one list of operations.
const MAX_OPERATIONS: usize = 1_000;

/// Log lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogSettings {
    /// A level, or filter directives such as `info,sqlx=warn`; `info`.
    pub level: String,
    /// How a line is written to standard output; JSON. Other outputs get JSON, but for files with a form of their own.
    pub format: LogFormat,
    /// Where lines go; standard output, unless this or `output` names others.
    pub outputs: Vec<LogOutputSettings>,
    /// Where lines go beside `outputs`, with options: `[[log.output]]`.
    pub output: Vec<LogOutputSettings>,
    /// Whether records of the `log` crate become lines too, unless the service has set a logger for it; true.
    pub log_crate: bool,
    /// Whether lines for people have colours; as the output is.
    pub colors: Colors,
    /// How many bytes of the newest lines are kept in memory to be searched; 16 MiB, and 0 keeps none.
    pub memory_bytes: usize,
    /// How long a line is at most, in bytes; 64 KiB.
    pub max_line_bytes: usize,
    /// How long one value of a field is at most, of lines and spans, and a message; 16 KiB.
    pub max_field_bytes: usize,
    /// How many fields a line and a span have at most; 64.
    pub max_fields: usize,
    /// How many lines one place in the code may write in a period; as many as it wants unless set.
    pub callsite_limit: Option<(u32, Duration)>,
    /// Levels below WARN of which only one line in so many is written.
    pub keep_one_in: Vec<(Level, u32)>,
    /// What keeps secrets out of lines, spans and errors.
    pub redaction: RedactionSettings,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// A readable line for a terminal.
    Text,
}

/// Whether lines for people have colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Colors {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What keeps secrets out of lines, spans and errors.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RedactionSettings {
    /// What stands in place of a secret; a mask.
    pub mode: Redaction,
    /// The key of [`Redaction::Hash`].
    pub key: Option<[u8; 16]>,
    /// Names of fields that are secret beside the usual ones.
    pub fields: Vec<String>,
    /// What is not looked for in texts.
    pub without: Vec<SecretKind>,
}

/// What stands in place of a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Redaction {
    /// A mask.
    #[default]
    Mask,
    /// A keyed hash, which is the same for the same secret.
    Hash,
    /// Nothing.
    Drop,
}

/// Shows whether there is a key, and not which.
impl fmt::Debug for RedactionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactionSettings")
            .field("mode", &self.mode)
            .field("key", &self.key.map(|_| REDACTED))
            .field("fields", &self.fields)
            .field("without", &self.without)
            .finish()
    }
}

impl RedactionSettings {
    /// The redactor that these settings ask for.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let mode = match (self.mode, self.key) {
            (Redaction::Drop, _) => RedactMode::Drop,
            (Redaction::Hash, Some(key)) => RedactMode::Hash { key },
            // OK because settings with a hash and no key are refused; a mask tells less.
            (Redaction::Mask, _) | (Redaction::Hash, None) => RedactMode::Mask,
        };
        let fields = self.fields.iter();
        let redactor = fields.fold(Redactor::new(), |redactor, name| redactor.with_key(name));
        self.without.iter().fold(redactor, |redactor, kind| redactor.without(*kind)).with_mode(mode)
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: String::from("info"),
            format: LogFormat::Json,
            outputs: Vec::new(),
            output: Vec::new(),
            log_crate: true,
            colors: Colors::Auto,
            memory_bytes: 16 << 20,
            max_line_bytes: 64 << 10,
            max_field_bytes: 16 << 10,
            max_fields: 64,
            callsite_limit: None,
            keep_one_in: Vec::new(),
            redaction: RedactionSettings::default(),
        }
    }
}

/// Which traces are exported, how their ids travel, and what is measured of spans.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TraceSettings {
    /// `always_on`, `always_off` or `traceidratio`, or one of them after `parentbased_`, which follows the callers;
    /// `parentbased_always_on`.
    pub sampler: String,
    /// The share of `traceidratio`; 1.
    pub sampler_share: f64,
    /// Shares for routes and names of spans, of which the first that fits counts before `sampler`.
    pub rules: Vec<(String, f64)>,
    /// Whether traces that the sampler does not take are exported if they err, or are slow for their route; false.
    pub tail: bool,
    /// The names of the baggage of callers that is taken and sent on; none.
    pub baggage: Vec<String>,
    /// Those of them that stand on every log line; none.
    pub baggage_on_lines: Vec<String>,
    /// The forms in which ids travel, as `OTEL_PROPAGATORS` lists them; `tracecontext`.
    pub propagators: String,
    /// How many bytes of memory the spans that finished last are kept in; 4 MiB, and 0 keeps none.
    pub memory_bytes: usize,
    /// How many names of spans are measured; 200, and 0 measures none.
    pub span_metrics: usize,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            sampler: String::from("parentbased_always_on"),
            sampler_share: 1.0,
            rules: Vec::new(),
            tail: false,
            baggage: Vec::new(),
            baggage_on_lines: Vec::new(),
            propagators: String::from("tracecontext"),
            memory_bytes: 4 << 20,
            span_metrics: 200,
        }
    }
}

/// How open spans are watched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OperationSettings {
    /// Whether they are watched; true.
    pub enabled: bool,
    /// How long nothing may happen in one, and below it, before it counts as stuck; 30 s.
    pub stuck_after: Duration,
    /// How long one may hold a thread of the executor before it counts as blocking; 100 ms.
    pub blocking_after: Duration,
    /// The names of those that may wait for as long as they like, such as a consumer's; none.
    pub waiting: Vec<String>,
    /// The names of those that may hold their thread, because nobody waits for it; none.
    pub may_block: Vec<String>,
    /// How long those of a name may be open before they count as stuck, whatever happens in them; for as long as they like.
    pub longest: Vec<(String, Duration)>,
}

impl Default for OperationSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            stuck_after: Duration::from_secs(30),
            blocking_after: Duration::from_millis(100),
            waiting: Vec::new(),
            may_block: Vec::new(),
            longest: Vec::new(),
        }
    }
}

pub(super) fn format(text: &str) -> Result<LogFormat, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "json" => Ok(LogFormat::Json),
        "logfmt" => Ok(LogFormat::Logfmt),
        "text" => Ok(LogFormat::Text),
        _ => Err(String::from("json, logfmt or text")),
    }
}

pub(super) fn colors(text: &str) -> Result<Colors, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(Colors::Auto),
        "always" => Ok(Colors::Always),
        "never" => Ok(Colors::Never),
        _ => Err(String::from("auto, always or never")),
    }
}

/// So many lines in so much time: `100/10s`.
pub(super) fn callsite_limit(text: &str) -> Result<(u32, Duration), Expected> {
    let expected = || String::from("lines and a period from 1ms to 1d, such as 100/10s");
    let (lines, period) = text.split_once('/').ok_or_else(expected)?;
    let lines = lines.trim().parse().ok().filter(|lines| *lines > 0).ok_or_else(expected)?;
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(86_400));
    let period = duration_within(period.trim(), least, most).map_err(|_| expected())?;
    Ok((lines, period))
}

/// Levels with the number of lines of which one is kept: `trace=100,debug=10`.
pub(super) fn keep_one_in(text: &str) -> Result<Vec<(Level, u32)>, Expected> {
    let expected =
        || String::from("levels below warn with a number from 1, such as trace=100,debug=10");
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (level, number) = pair.split_once('=').ok_or_else(expected)?;
            let level = level.trim().parse().ok().filter(|level| *level < Level::Warn);
            let number = number.trim().parse().ok().filter(|number| *number > 0);
            level.zip(number).ok_or_else(expected)
        })
        .collect()
}

pub(super) fn redaction(text: &str) -> Result<Redaction, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "mask" => Ok(Redaction::Mask),
        "hash" => Ok(Redaction::Hash),
        "drop" => Ok(Redaction::Drop),
        _ => Err(String::from("mask, hash or drop")),
    }
}

/// A key of 16 bytes in hexadecimal digits.
pub(super) fn hash_key(text: &str) -> Result<[u8; 16], Expected> {
    let is_hex =
        |text: &&str| text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let key = Some(text.trim()).filter(is_hex);
    key.and_then(|text| u128::from_str_radix(text, 16).ok())
        .map(u128::to_be_bytes)
        .ok_or_else(|| String::from("32 hexadecimal digits, such as `openssl rand -hex 16` prints"))
}

/// Names with commas between them.
pub(super) fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Names of operations with commas between them.
pub(super) fn operations(text: &str) -> Result<Vec<String>, Expected> {
    let names = names(text);
    if names.is_empty() || names.len() > MAX_OPERATIONS {
        return Err(format!("from 1 to {MAX_OPERATIONS} names with commas between them"));
    }
    Ok(names)
}

/// Names of operations with durations: `checkout=30s,report=10m`.
pub(super) fn longest(text: &str) -> Result<Vec<(String, Duration)>, Expected> {
    let expected = || {
        format!(
            "from 1 to {MAX_OPERATIONS} names with durations from 1ms to 7d, such as checkout=30s,report=10m"
        )
    };
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(7 * 86_400));
    let all: Option<Vec<(String, Duration)>> = text
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            // OK because no duration has an equals sign, and names may.
            let (name, time) = pair.rsplit_once('=')?;
            let name = Some(name.trim()).filter(|name| !name.is_empty())?;
            Some((name.to_owned(), duration_within(time.trim(), least, most).ok()?))
        })
        .collect();
    all.filter(|all| (1..=MAX_OPERATIONS).contains(&all.len())).ok_or_else(expected)
}

/// Kinds of secrets with commas between them.
pub(super) fn kinds(text: &str) -> Result<Vec<SecretKind>, Expected> {
    const KINDS: [(&str, SecretKind); 9] = [
        ("credential", SecretKind::Credential),
        ("url_password", SecretKind::UrlPassword),
        ("web_token", SecretKind::WebToken),
        ("service_key", SecretKind::ServiceKey),
        ("private_key", SecretKind::PrivateKey),
        ("email", SecretKind::Email),
        ("card_number", SecretKind::CardNumber),
        ("bank_account", SecretKind::BankAccount),
        ("phone_number", SecretKind::PhoneNumber),
    ];
    names(text)
        .iter()
        .map(|given| KINDS.iter().find(|(name, _)| name == given).map(|(_, kind)| *kind))
        .collect::<Option<_>>()
        .ok_or_else(|| {
            let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            format!("names out of {}, with commas between them", known.join(", "))
        })
}

/// One of OpenTelemetry's samplers.
pub(super) fn sampler(text: &str) -> Result<String, Expected> {
    let text = text.trim();
    match text.strip_prefix("parentbased_").unwrap_or(text) {
        "always_on" | "always_off" | "traceidratio" => Ok(text.to_owned()),
        _ => Err(String::from(
            "always_on, always_off or traceidratio, or one of them after parentbased_",
        )),
    }
}

/// A share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, Expected> {
    let share: f64 = parsed(text.trim(), "a share from 0 to 1")?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(String::from("a share from 0 to 1")) }
}

/// Patterns of routes and spans with their shares: `/health*=0,/checkout=0.5`.
pub(super) fn sampling_rules(text: &str) -> Result<Vec<(String, f64)>, Expected> {
    let expected =
        || String::from("patterns with shares from 0 to 1, such as /health*=0,/checkout=0.5");
    text.split(',')
        .filter(|rule| !rule.trim().is_empty())
        .map(|rule| {
            let (pattern, given) = rule.rsplit_once('=').ok_or_else(expected)?;
            let pattern = pattern.trim();
            match share(given) {
                Ok(share) if !pattern.is_empty() => Ok((pattern.to_owned(), share)),
                _ => Err(expected()),
            }
        })
        .collect()
}

/// Forms in which ids travel, as OpenTelemetry lists them.
pub(super) fn propagators(text: &str) -> Result<String, Expected> {
    #[cfg(feature = "tracing")]
    obs_tracing::http::Propagator::list(text)?;
    Ok(text.to_owned())
}
