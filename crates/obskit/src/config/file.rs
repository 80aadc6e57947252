//! The configuration file: TOML, read strictly, with line and column for every problem.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin, Problem};
use super::schema::reference;
use super::{Settings, outputs, rules};

/// Reads the file over `settings`, or changes nothing and says everything that is wrong.
pub(super) fn read(settings: &mut Settings, path: &Path) -> Result<(), ConfigError> {
    let mut reader = Reader { path, text: "", problems: Vec::new() };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let origin = Origin::File { path: path.to_path_buf(), line: 0, column: 0 };
            let message = format!("cannot be read: {error}");
            return ConfigError::from_problems(vec![Problem::new(origin, message)]);
        }
    };
    reader.text = &text;
    let mut changed = settings.clone();
    let (document, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        reader.problem(error.span().unwrap_or(0..0), format!("not TOML: {message}"));
    }
    reader.document(document.get_ref(), &mut changed);
    ConfigError::from_problems(reader.problems)?;
    *settings = changed;
    Ok(())
}

/// Walks the document and collects problems.
pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>, settings: &mut Settings) {
        for (name, value) in document {
            let section = name.get_ref().as_ref();
            let prefix = format!("{section}.");
            let known = reference().iter().any(|setting| setting.key.starts_with(&prefix));
            match value.get_ref() {
                DeValue::Table(table) if known => self.section(section, table, settings),
                _ if known => self.problem(
                    value.span(),
                    format!("{section} is {}: expected a table, [{section}]", kind(value)),
                ),
                _ => {
                    let mut sections: Vec<&str> =
                        reference().iter().filter_map(|s| Some(s.key.split_once('.')?.0)).collect();
                    sections.dedup();
                    self.problem(
                        name.span(),
                        format!(
                            "unknown section {section:?}: expected one of {}",
                            sections.join(", ")
                        ),
                    );
                }
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>, settings: &mut Settings) {
        for (name, value) in table {
            let key = format!("{section}.{}", name.get_ref());
            match key.as_str() {
                "alerts.webhooks" => rules::read_webhooks(self, value, settings),
                "alerts.rules" => rules::read_rules(self, value, settings),
                "log.output" => outputs::read(self, value, settings),
                _ => self.setting(section, &key, name.span(), value, settings),
            }
        }
    }

    fn setting(
        &mut self,
        section: &str,
        key: &str,
        at: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        settings: &mut Settings,
    ) {
        let Some(setting) = reference().iter().find(|setting| setting.key == key) else {
            let prefix = format!("{section}.");
            let mut names: Vec<&str> = reference()
                .iter()
                .filter_map(|setting| setting.key.strip_prefix(&prefix))
                .collect();
            match section {
                "alerts" => names.extend(["webhooks", "rules"]),
                "log" => names.push("output"),
                _ => {}
            }
            self.problem(at, format!("unknown key {key}: expected one of {}", names.join(", ")));
            return;
        };
        match scalar_text(value) {
            None => self.problem(
                value.span(),
                format!("{key} is {}: expected a single value", kind(value)),
            ),
            Some(text) => {
                if let Err(expected) = (setting.apply)(settings, &text) {
                    self.problem(
                        value.span(),
                        format!("{key} is {}: expected {expected}", shown(key, &text)),
                    );
                }
            }
        }
    }

    /// Notes a problem at a place of the file.
    pub(super) fn problem(&mut self, at: Range<usize>, message: String) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let origin = Origin::File {
            path: self.path.to_path_buf(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        };
        self.problems.push(Problem::new(origin, message));
    }
}

/// A value as it stands in a message: what may be a secret is not repeated.
pub(super) fn shown(key: &str, text: &str) -> String {
    if obs_model::Redactor::new().is_secret_key(key) || key.ends_with("headers") {
        String::from("not acceptable")
    } else {
        format!("{text:?}")
    }
}

/// A single value as text.
pub(super) fn scalar_text(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// What kind of value it is, for a message.
pub(super) fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
