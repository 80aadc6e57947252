//! Alert rules and webhooks as a file gives them.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use obs_model::Severity;

use super::error::{Origin, Problem};
use super::file::{Reader, kind, scalar_text};
use super::value::{Expected, boolean, duration, filled, http_url, parsed};
use super::{AlertSettings, Settings};

/// A webhook that is told of alerts: `[[alerts.webhooks]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookSettings {
    /// The channel's name, which rules may ask for.
    pub name: String,
    /// Where it is.
    pub url: String,
}

impl WebhookSettings {
    /// The name of the webhook that `alerts.webhook_url` sets.
    pub const DEFAULT_NAME: &'static str = "webhook";

    /// A webhook of this name at this address.
    #[must_use]
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self { name: name.into(), url: url.into() }
    }
}

/// What a threshold rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignalKind {
    /// The latest value of each series.
    #[default]
    Last,
    /// The growth of a counter per second, over the window.
    Rate,
    /// The growth of a counter over the window.
    Increase,
    /// The growth of one counter beside that of another (`denominator`), over the window.
    Ratio,
    /// The average observation of a histogram over the window.
    Average,
}

/// A threshold rule: `[[alerts.rules]]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RuleSettings {
    /// Tells the rule from others.
    pub id: String,
    /// What people call it; the id when it is not given.
    pub name: Option<String>,
    /// What it looks at.
    pub signal: SignalKind,
    /// Which series, as a PromQL selector; for `ratio` the numerator, for `average` the histogram's name and labels.
    pub metric: String,
    /// For `ratio`: the series to divide by.
    pub denominator: Option<String>,
    /// How far back `rate`, `increase`, `ratio` and `average` look; 5 min.
    pub window: Duration,
    /// `>`, `>=`, `<`, `<=`, `==` or `!=`.
    pub operator: String,
    /// What the value is compared with.
    pub threshold: f64,
    /// How long the condition must hold before the alert fires; 0.
    pub duration: Duration,
    /// How bad it is; medium.
    pub severity: Severity,
    /// Which channels are told; all when none is named.
    pub channels: Vec<String>,
    /// Whether it is evaluated; true.
    pub enabled: bool,
    /// What is wrong, for people.
    pub description: String,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: None,
            signal: SignalKind::Last,
            metric: String::new(),
            denominator: None,
            window: Duration::from_secs(300),
            operator: String::from(">"),
            threshold: f64::NAN,
            duration: Duration::ZERO,
            severity: Severity::Medium,
            channels: Vec::new(),
            enabled: true,
            description: String::new(),
        }
    }
}

/// One key of a table in an array: its name and how a text is applied.
pub(super) type Field<T> = (&'static str, fn(&mut T, &str) -> Result<(), Expected>);

const WEBHOOK_FIELDS: &[Field<WebhookSettings>] = &[
    ("name", |w, text| set(&mut w.name, filled(text, "a name"))),
    ("url", |w, text| set(&mut w.url, http_url(text))),
];

const RULE_FIELDS: &[Field<RuleSettings>] = &[
    ("id", |r, text| set(&mut r.id, filled(text, "an id"))),
    ("name", |r, text| set(&mut r.name, filled(text, "a name").map(Some))),
    ("signal", |r, text| set(&mut r.signal, signal(text))),
    ("metric", |r, text| set(&mut r.metric, selector(text))),
    ("denominator", |r, text| set(&mut r.denominator, selector(text).map(Some))),
    ("window", |r, text| set(&mut r.window, duration(text))),
    ("operator", |r, text| set(&mut r.operator, operator(text))),
    ("threshold", |r, text| set(&mut r.threshold, parsed(text, "a number"))),
    ("duration", |r, text| set(&mut r.duration, duration(text))),
    ("severity", |r, text| {
        set(&mut r.severity, parsed(text, "info, low, medium (or warning), high or critical"))
    }),
    ("enabled", |r, text| set(&mut r.enabled, boolean(text))),
    ("description", |r, text| set(&mut r.description, Ok(text.to_owned()))),
];

pub(super) fn set<T>(place: &mut T, value: Result<T, Expected>) -> Result<(), Expected> {
    *place = value?;
    Ok(())
}

/// A series selector, which is kept as it was written.
fn selector(text: &str) -> Result<String, Expected> {
    #[cfg(feature = "metrics")]
    if let Err(error) = text.parse::<obs_query::Selector>() {
        return Err(format!("a series selector ({error})"));
    }
    filled(text, "a series selector")
}

fn signal(text: &str) -> Result<SignalKind, Expected> {
    match text {
        "last" => Ok(SignalKind::Last),
        "rate" => Ok(SignalKind::Rate),
        "increase" => Ok(SignalKind::Increase),
        "ratio" => Ok(SignalKind::Ratio),
        "average" => Ok(SignalKind::Average),
        _ => Err(String::from("last, rate, increase, ratio or average")),
    }
}

fn operator(text: &str) -> Result<String, Expected> {
    if [">", ">=", "<", "<=", "==", "!="].contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(String::from(">, >=, <, <=, == or !="))
    }
}

/// Reads `[[alerts.webhooks]]`.
pub(super) fn read_webhooks(
    reader: &mut Reader<'_>,
    value: &Spanned<DeValue<'_>>,
    settings: &mut Settings,
) {
    for table in &tables(reader, "alerts.webhooks", value) {
        let mut webhook = WebhookSettings::default();
        read_fields(reader, "alerts.webhooks", table, WEBHOOK_FIELDS, &[], &mut webhook);
        require(reader, "alerts.webhooks", table, &["name", "url"]);
        settings.alerts.webhooks.push(webhook);
    }
}

/// Reads `[[alerts.rules]]`.
pub(super) fn read_rules(
    reader: &mut Reader<'_>,
    value: &Spanned<DeValue<'_>>,
    settings: &mut Settings,
) {
    for table in &tables(reader, "alerts.rules", value) {
        let mut rule = RuleSettings::default();
        read_fields(reader, "alerts.rules", table, RULE_FIELDS, &["channels"], &mut rule);
        require(reader, "alerts.rules", table, &["id", "metric", "threshold"]);
        if let Some(channels) = table.get_ref().get("channels") {
            rule.channels = texts(reader, "alerts.rules.channels", channels);
        }
        let has_denominator = table.get_ref().get("denominator").is_some();
        if has_denominator != (rule.signal == SignalKind::Ratio) {
            reader.problem(
                table.span(),
                String::from("a rule has a denominator exactly when its signal is ratio"),
            );
        }
        settings.alerts.rules.push(rule);
    }
}

pub(super) fn tables<'v, 'i>(
    reader: &mut Reader<'_>,
    key: &str,
    value: &'v Spanned<DeValue<'i>>,
) -> Vec<Spanned<&'v DeTable<'i>>> {
    let DeValue::Array(array) = value.get_ref() else {
        reader.problem(value.span(), format!("{key} is {}: expected [[{key}]]", kind(value)));
        return Vec::new();
    };
    let mut tables = Vec::new();
    for element in array.iter() {
        match element.get_ref() {
            DeValue::Table(table) => tables.push(Spanned::new(element.span(), table)),
            _ => reader.problem(
                element.span(),
                format!("{key} has {}: expected tables, [[{key}]]", kind(element)),
            ),
        }
    }
    tables
}

pub(super) fn read_fields<T>(
    reader: &mut Reader<'_>,
    key: &str,
    table: &Spanned<&DeTable<'_>>,
    fields: &[Field<T>],
    lists: &[&str],
    target: &mut T,
) {
    for (name, value) in *table.get_ref() {
        let name_text = name.get_ref().as_ref();
        if lists.contains(&name_text) {
            continue;
        }
        let Some((_, apply)) = fields.iter().find(|(known, _)| *known == name_text) else {
            let known: Vec<&str> =
                fields.iter().map(|(known, _)| *known).chain(lists.iter().copied()).collect();
            let message =
                format!("unknown key {key}.{name_text}: expected one of {}", known.join(", "));
            reader.problem(name.span(), message);
            continue;
        };
        let outcome = scalar_text(value).map(|text| apply(target, &text).map_err(|e| (text, e)));
        match outcome {
            Some(Ok(())) => {}
            Some(Err((text, expected))) => reader.problem(
                value.span(),
                format!("{key}.{name_text} is {text:?}: expected {expected}"),
            ),
            None => reader.problem(
                value.span(),
                format!("{key}.{name_text} is {}: expected a single value", kind(value)),
            ),
        }
    }
}

pub(super) fn require(
    reader: &mut Reader<'_>,
    key: &str,
    table: &Spanned<&DeTable<'_>>,
    names: &[&str],
) {
    let missing: Vec<&str> =
        names.iter().copied().filter(|name| table.get_ref().get(*name).is_none()).collect();
    if !missing.is_empty() {
        reader.problem(table.span(), format!("this entry of {key} lacks {}", missing.join(", ")));
    }
}

pub(super) fn texts(
    reader: &mut Reader<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Vec<String> {
    let DeValue::Array(array) = value.get_ref() else {
        reader
            .problem(value.span(), format!("{key} is {}: expected an array of names", kind(value)));
        return Vec::new();
    };
    let mut texts = Vec::new();
    for element in array.iter() {
        match element.get_ref() {
            DeValue::String(text) => texts.push(text.to_string()),
            _ => reader
                .problem(element.span(), format!("{key} has {}: expected a name", kind(element))),
        }
    }
    texts
}

/// Names that stand twice.
pub(super) fn validate(alerts: &AlertSettings, problems: &mut Vec<Problem>) {
    let mut once = |what: &str, names: Vec<&str>| {
        let mut seen = BTreeSet::new();
        for name in names.into_iter().filter(|name| !seen.insert(*name)) {
            let message = format!("two {what} are called {name:?}: expected each name once");
            problems.push(Problem::new(Origin::Combination, message));
        }
    };
    once("alert webhooks", alerts.webhooks.iter().map(|webhook| webhook.name.as_str()).collect());
    once("alert rules", alerts.rules.iter().map(|rule| rule.id.as_str()).collect());
}
