//! The commands of a test file.

use std::sync::LazyLock;

use obs_model::Labels;
use regex::Regex;

use super::series::{self, SequenceValue};
use crate::promql::{duration_millis, number};

/// A command and the line on which it begins, the first being 1.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
    /// What was not understood, and why.
    Bad {
        text: String,
        reason: String,
    },
}

#[derive(Debug)]
pub(super) struct Load {
    pub(super) step_millis: i64,
    pub(super) with_native: bool,
    /// Each label set once.
    pub(super) series: Vec<(Labels, Vec<SequenceValue>)>,
}

/// An evaluation and what is expected of it.
#[derive(Debug)]
pub(super) struct Eval {
    pub(super) expr: String,
    pub(super) when: When,
    pub(super) ordered: bool,
    pub(super) expected: Expected,
    pub(super) fail: Option<Pattern>,
    pub(super) warn: Annotations,
    pub(super) info: Annotations,
    /// The times of an instant query's range vector: start, end and step.
    pub(super) range_vector: Option<(i64, i64, i64)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

#[derive(Debug)]
pub(super) enum Expected {
    /// With the place of each series, the first being 1.
    Series(Vec<(Labels, usize, Vec<SequenceValue>)>),
    Scalar(f64),
    String(String),
}

/// What is expected of warnings, or of infos.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) some: bool,
    pub(super) none: bool,
    pub(super) patterns: Vec<Pattern>,
}

/// What a message has to be.
#[derive(Debug)]
pub(super) enum Pattern {
    Any,
    Message(String),
    Regex(Regex),
}

impl Pattern {
    pub(super) fn matches(&self, message: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Message(expected) => expected == message,
            Self::Regex(regex) => regex.is_match(message),
        }
    }
}

fn regex(pattern: &str) -> Regex {
    #[expect(clippy::unwrap_used, reason = "the patterns are literals that a test runs through")]
    Regex::new(pattern).unwrap()
}

static LOAD: LazyLock<Regex> = LazyLock::new(|| regex(r"^load(?:_(with_nhcb))?\s+(.+?)$"));
static INSTANT: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")
});
static RANGE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
});
static EXPECT: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")
});
static EXPECT_RANGE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$"));

/// The commands of a file; what is not understood is among them.
pub(super) fn commands(text: &str) -> Vec<Command> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        if head.is_empty() {
            at += 1;
            continue;
        }
        let line = at + 1;
        let word = head.split([' ', '\t']).next().unwrap_or_default().to_lowercase();
        let length = lines[at..].iter().take_while(|line| !line.is_empty()).count();
        let block = &lines[at + 1..at + length];
        let (kind, used) = if word == "clear" {
            (Ok(Kind::Clear), 0)
        } else if word.starts_with("load") {
            (load(head, block).map(Kind::Load), block.len())
        } else if word.starts_with("eval") {
            let mut used = 0;
            (eval(head, block, &mut used).map(|eval| Kind::Eval(Box::new(eval))), used)
        } else {
            (Err(format!("invalid command {head:?}: expected clear, load or eval")), 0)
        };
        let kind = kind.unwrap_or_else(|reason| Kind::Bad { text: head.to_owned(), reason });
        // After a bad command its block is no command.
        at += 1 + if matches!(kind, Kind::Bad { .. }) { block.len() } else { used };
        commands.push(Command { line, kind });
    }
    commands
}

fn duration(text: &str, what: &str) -> Result<i64, String> {
    duration_millis(text).map_err(|error| format!("invalid {what} {text:?}: {error}"))
}

fn load(head: &str, block: &[&str]) -> Result<Load, String> {
    let parts = LOAD
        .captures(head)
        .ok_or("invalid load command: expected load STEP or load_with_nhcb STEP")?;
    let step_millis = duration(&parts[2], "step")?;
    let mut series: Vec<(Labels, Vec<SequenceValue>)> = Vec::new();
    for line in block {
        let (labels, values) = series::parse(line)?;
        match series.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, known)) => *known = values,
            None => series.push((labels, values)),
        }
    }
    Ok(Load { step_millis, with_native: parts.get(1).is_some(), series })
}

fn times(from: &str, to: &str, step: &str) -> Result<(i64, i64, i64), String> {
    let (start, end) = (duration(from, "start")?, duration(to, "end")?);
    if end < start {
        return Err(format!("the end {to} is before the start {from}"));
    }
    Ok((start, end, duration(step, "step")?))
}

fn eval(head: &str, block: &[&str], used: &mut usize) -> Result<Eval, String> {
    let (mode, when, expr) = if let Some(parts) = INSTANT.captures(head) {
        let at = parts.get(2).map_or("", |at| at.as_str());
        let when = When::Instant(duration(at, "timestamp")?);
        (parts.get(1).map(|mode| mode.as_str().to_owned()), when, parts[3].to_owned())
    } else if let Some(parts) = RANGE.captures(head) {
        let (start, end, step) = times(&parts[2], &parts[3], &parts[4])?;
        let when = When::Range { start, end, step };
        (parts.get(1).map(|mode| mode.as_str().to_owned()), when, parts[5].to_owned())
    } else {
        return Err("invalid eval command: expected eval instant at T EXPR or eval range from A to B step S EXPR".to_owned());
    };
    let mut eval = Eval {
        expr,
        when,
        ordered: mode.as_deref() == Some("ordered"),
        expected: Expected::Series(Vec::new()),
        fail: (mode.as_deref() == Some("fail")).then_some(Pattern::Any),
        warn: Annotations { some: mode.as_deref() == Some("warn"), ..Annotations::default() },
        info: Annotations { some: mode.as_deref() == Some("info"), ..Annotations::default() },
        range_vector: None,
    };
    let mut place = 0;
    for line in block {
        *used += 1;
        if body_line(&mut eval, line, &mut place)? {
            break;
        }
    }
    Ok(eval)
}

/// Reads one line of an evaluation's body; whether it was the last one.
fn body_line(eval: &mut Eval, line: &str, place: &mut usize) -> Result<bool, String> {
    if eval.fail.is_some() {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            eval.fail = Some(Pattern::Message(message.trim().to_owned()));
            return Ok(true);
        }
        if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
            eval.fail = Some(Pattern::Regex(given_regex(pattern)?));
            return Ok(true);
        }
    }
    if line.starts_with("expect range vector") {
        let parts = EXPECT_RANGE
            .captures(line)
            .ok_or_else(|| format!("invalid range vector definition {line:?}"))?;
        eval.range_vector = Some(times(&parts[1], &parts[2], &parts[3])?);
        return Ok(false);
    }
    if let Some(literal) = line.strip_prefix("expect string") {
        let read = crate::selector::literal::read(literal.trim());
        let value = read.and_then(|literal| literal.value.ok());
        let value = value.ok_or_else(|| format!("{line:?}: expected a quoted string"))?;
        eval.expected = Expected::String(value);
        return Ok(false);
    }
    if line.split(' ').next() == Some("expect") {
        expect(eval, line)?;
        return Ok(false);
    }
    *place += 1;
    if let Some(value) = scalar(line) {
        eval.expected = Expected::Scalar(value);
        return Ok(true);
    }
    let (labels, values) = series::parse(line)?;
    let instant = matches!(eval.when, When::Instant(_)) && eval.range_vector.is_none();
    if instant && values.len() != 1 {
        return Err(format!("{line:?}: an instant evaluation has one value for each series"));
    }
    if let Expected::Series(series) = &mut eval.expected {
        series.retain(|(known, ..)| *known != labels);
        series.push((labels, *place, values));
    }
    Ok(false)
}

fn scalar(line: &str) -> Option<f64> {
    let (sign, body) = match line.strip_prefix('-') {
        Some(body) => (-1.0, body),
        None => (1.0, line.strip_prefix('+').unwrap_or(line)),
    };
    number(body).map(|value| sign * value)
}

fn given_regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern.trim()).map_err(|error| format!("invalid regexp {pattern:?}: {error}"))
}

fn expect(eval: &mut Eval, line: &str) -> Result<(), String> {
    let parts =
        EXPECT.captures(line).ok_or_else(|| format!("invalid expect statement {line:?}"))?;
    let pattern = match (parts.get(2).map(|kind| kind.as_str()), parts.get(3)) {
        (Some("msg"), Some(message)) => Pattern::Message(message.as_str().trim().to_owned()),
        (Some(_), Some(pattern)) => Pattern::Regex(given_regex(pattern.as_str())?),
        _ => Pattern::Any,
    };
    match &parts[1] {
        "ordered" => eval.ordered = true,
        "fail" => eval.fail = Some(pattern),
        "warn" => eval.warn.patterns.push(pattern),
        "info" => eval.info.patterns.push(pattern),
        "no_warn" => eval.warn.none = true,
        _ => eval.info.none = true,
    }
    Ok(())
}
