//! Writing rule files as YAML that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write as _};
use std::time::Duration;

use super::model::{Rule, RuleFile, RuleGroup};
use crate::promql::Millis;

/// Written as YAML, which reads back as an equal file.
impl Display for RuleFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return f.write_str("groups: []\n");
        }
        f.write_str("groups:\n")?;
        self.groups.iter().try_for_each(|it| group(f, it))
    }
}

fn group(f: &mut Formatter<'_>, group: &RuleGroup) -> fmt::Result {
    writeln!(f, "- name: {}", Text(&group.name))?;
    if !group.interval.is_zero() {
        writeln!(f, "  interval: {}", Length(group.interval))?;
    }
    if let Some(offset) = group.query_offset {
        writeln!(f, "  query_offset: {}", Length(offset))?;
    }
    if group.limit > 0 {
        writeln!(f, "  limit: {}", group.limit)?;
    }
    texts(f, "  labels", &group.labels)?;
    if group.rules.is_empty() {
        return f.write_str("  rules: []\n");
    }
    f.write_str("  rules:\n")?;
    group.rules.iter().try_for_each(|it| rule(f, it))
}

fn rule(f: &mut Formatter<'_>, rule: &Rule) -> fmt::Result {
    match rule {
        Rule::Recording(rule) => writeln!(f, "  - record: {}", Text(&rule.record))?,
        Rule::Alerting(rule) => writeln!(f, "  - alert: {}", Text(&rule.alert))?,
    }
    write!(f, "    expr: ")?;
    block(f, rule.expr().text(), "      ")?;
    if let Rule::Alerting(rule) = rule {
        for (field, length) in [("for", rule.hold), ("keep_firing_for", rule.keep_firing)] {
            if !length.is_zero() {
                writeln!(f, "    {field}: {}", Length(length))?;
            }
        }
    }
    texts(f, "    labels", rule.labels())?;
    match rule {
        Rule::Recording(_) => Ok(()),
        Rule::Alerting(rule) => texts(f, "    annotations", &rule.annotations),
    }
}

fn texts(f: &mut Formatter<'_>, field: &str, pairs: &BTreeMap<String, String>) -> fmt::Result {
    if pairs.is_empty() {
        return Ok(());
    }
    writeln!(f, "{field}:")?;
    for (name, value) in pairs {
        write!(f, "      {}: ", Text(name))?;
        block(f, value, "        ")?;
    }
    Ok(())
}

/// Writes a text and ends the line: a text of several lines as such where YAML can have it.
fn block(f: &mut Formatter<'_>, text: &str, indent: &str) -> fmt::Result {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_block = body.contains('\n')
        && !body.starts_with(['\n', ' ', '\t'])
        && !body.ends_with('\n')
        && body.lines().all(|line| !line.ends_with([' ', '\t']))
        && body.chars().all(|it| it == '\n' || is_printable(it));
    if !is_block {
        return writeln!(f, "{}", Text(text));
    }
    f.write_str(if body.len() < text.len() { "|\n" } else { "|-\n" })?;
    for line in body.split('\n') {
        let indent = if line.is_empty() { "" } else { indent };
        writeln!(f, "{indent}{line}")?;
    }
    Ok(())
}

struct Length(Duration);

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Millis(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)).fmt(f)
    }
}

/// A text on one line: as it is where nobody could take it for something else, otherwise in quotes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                printable if is_printable(printable) => f.write_char(printable)?,
                other => match u32::from(other) {
                    code @ ..0x100 => write!(f, "\\x{code:02x}")?,
                    code @ ..0x1_0000 => write!(f, "\\u{code:04x}")?,
                    code => write!(f, "\\U{code:08x}")?,
                },
            }
        }
        f.write_char('"')
    }
}

/// Whether a text needs no quotes: it begins with a letter, has no mark of YAML and is no word that YAML knows.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let fits = |it: char| it.is_ascii_graphic() || it == ' ';
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(fits)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether YAML may have a character as it is.
fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
