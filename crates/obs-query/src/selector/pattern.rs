//! Regular expressions over whole values. Those that dashboards and rules write most, which are words, alternations and
//! text with wildcards, are compared as such: no automaton is built for them, and the index can look words up.

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::dialect;
use super::wildcard::Wildcard;

/// The largest compiled regular expression, in bytes: enough for an alternation of some thousand words.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// The most words that an expression is taken apart into.
const MAX_WORDS: usize = 4_096;
/// The most parts that are put together to words.
const MAX_PARTS: usize = 32;
/// The most texts with wildcards; of more, an automaton is faster.
const MAX_WILDCARDS: usize = 16;

/// What a value must be, as a whole.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// One of these, sorted.
    Words(Box<[Box<str>]>),
    /// Like one of these.
    Wildcards(Box<[Wildcard]>),
    /// What this matches, anchored.
    Regex(Regex),
}

impl Pattern {
    /// Reads an expression in RE2's syntax, or says on one line why it is none.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let pattern = dialect::from_re2(pattern);
        let mut parser = ParserBuilder::new().dot_matches_new_line(true).build();
        let parsed = parser.parse(&pattern).map_err(|error| syntax(&error.to_string()))?;
        if let Some(alternatives) = alternatives(&parsed) {
            if alternatives.iter().all(|one| one.word().is_some()) {
                let mut words: Vec<Box<str>> =
                    alternatives.iter().filter_map(|one| one.word().map(Box::from)).collect();
                words.sort_unstable();
                words.dedup();
                return Ok(Self::Words(words.into()));
            }
            if alternatives.len() <= MAX_WILDCARDS {
                return Ok(Self::Wildcards(alternatives.into()));
            }
        }
        anchored(&pattern).map(Self::Regex)
    }

    /// Whether it matches the whole value.
    pub(crate) fn is_match(&self, value: &str) -> bool {
        match self {
            Self::Words(words) => words.binary_search_by(|word| (**word).cmp(value)).is_ok(),
            Self::Wildcards(wildcards) => wildcards.iter().any(|one| one.is_match(value)),
            Self::Regex(regex) => regex.is_match(value),
        }
    }

    /// All that it matches, sorted, if that is known.
    pub(crate) fn words(&self) -> Option<&[Box<str>]> {
        match self {
            Self::Words(words) => Some(words),
            _ => None,
        }
    }

    /// How everything begins that it matches.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Wildcards(wildcards) => match &**wildcards {
                [only] => only.prefix(),
                _ => "",
            },
            _ => "",
        }
    }
}

/// Compiles a regular expression as Prometheus does, or says on one line why it cannot be.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let pattern = dialect::from_re2(pattern);
    // Without this, `a)(b` would pass once it stands between the parentheses that anchor it.
    ParserBuilder::new().build().parse(&pattern).map_err(|error| syntax(&error.to_string()))?;
    anchored(&pattern)
}

fn anchored(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!(
                    "the regular expression is too large: at most {limit} bytes compiled are accepted"
                )
            }
            other => syntax(&other.to_string()),
        })
}

/// Says what is wrong with an expression; the lines before the last one draw it.
fn syntax(text: &str) -> String {
    let reason = text.lines().last().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    format!("expected a regular expression in RE2's syntax: {reason}")
}

/// Texts with wildcards that match what the expression matches, if it can be taken apart into few enough.
fn alternatives(hir: &Hir) -> Option<Vec<Wildcard>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![Wildcard::default()]),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(vec![Wildcard::text(text)])
        }
        HirKind::Capture(capture) => alternatives(&capture.sub),
        HirKind::Class(class) if is_any(class) => Some(vec![Wildcard::any(1, true)]),
        HirKind::Class(Class::Unicode(class)) => {
            let count: u32 = class
                .iter()
                .map(|range| u32::from(range.end()) - u32::from(range.start()) + 1)
                .sum();
            let characters = class.iter().flat_map(|range| range.start()..=range.end());
            (count as usize <= MAX_WORDS).then(|| {
                characters.map(|one| Wildcard::text(one.encode_utf8(&mut [0; 4]))).collect()
            })
        }
        HirKind::Repetition(repetition) => match (repetition.min, repetition.max) {
            (0, Some(1)) => {
                let mut found = alternatives(&repetition.sub)?;
                found.push(Wildcard::default());
                Some(found)
            }
            (least, most) => {
                let HirKind::Class(class) = repetition.sub.kind() else { return None };
                let exact = most == Some(least);
                (is_any(class) && (exact || most.is_none()))
                    .then(|| vec![Wildcard::any(least as usize, exact)])
            }
        },
        HirKind::Concat(parts) if parts.len() <= MAX_PARTS => {
            let mut found = vec![Wildcard::default()];
            for part in parts {
                let ends = alternatives(part)?;
                let bytes = bytes(&found) * ends.len() + bytes(&ends) * found.len();
                if found.len() * ends.len() > MAX_WORDS || bytes > MAX_COMPILED_BYTES {
                    return None;
                }
                found = found
                    .iter()
                    .flat_map(|begin| ends.iter().map(move |end| begin.followed_by(end)))
                    .collect();
            }
            Some(found)
        }
        HirKind::Alternation(parts) => {
            let mut found = Vec::new();
            for part in parts {
                found.append(&mut alternatives(part)?);
                if found.len() > MAX_WORDS {
                    return None;
                }
            }
            Some(found)
        }
        HirKind::Concat(_) | HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) => None,
    }
}

/// The text in all of them, in bytes.
fn bytes(wildcards: &[Wildcard]) -> usize {
    wildcards.iter().map(Wildcard::text_bytes).sum()
}

/// Whether a class has every character in it.
fn is_any(class: &Class) -> bool {
    matches!(class, Class::Unicode(class)
        if matches!(class.ranges(), [all] if all.start() == '\0' && all.end() == char::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn common_expressions_need_no_automaton() {
        for (pattern, words) in [
            ("", &[""] as &[&str]),
            ("checkout", &["checkout"]),
            ("10\\.0\\.0\\.1:9090", &["10.0.0.1:9090"]),
            ("GET|POST|PUT", &["GET", "POST", "PUT"]),
            ("a|b", &["a", "b"]),
            ("(prod|pre)-(eu|us)", &["pre-eu", "pre-us", "prod-eu", "prod-us"]),
            ("50[0234]", &["500", "502", "503", "504"]),
            ("https?", &["http", "https"]),
            ("a||b", &["", "a", "b"]),
        ] {
            let found = Pattern::new(pattern).unwrap();
            let words: Vec<Box<str>> = words.iter().copied().map(Box::from).collect();
            assert_eq!(found.words(), Some(&*words), "{pattern}");
        }
        for (pattern, prefix) in [
            ("http_.*", "http_"),
            (".+", ""),
            ("5..", "5"),
            ("api-.*-(eu)", "api-"),
            ("2..|304", ""),
        ] {
            let found = Pattern::new(pattern).unwrap();
            assert!(matches!(found, Pattern::Wildcards(_)), "{pattern}");
            assert_eq!(found.prefix(), prefix, "{pattern}");
        }
        let long = format!("{}[a-z][a-z]", "x".repeat(4_000));
        let parts = "a.".repeat(100);
        for pattern in [
            &*long,
            &*parts,
            "[a-z]+",
            "(?i)internal-server-error",
            "^GET$",
            "a{2,5}",
            ".{2,5}",
            "\\d+",
        ] {
            assert!(matches!(Pattern::new(pattern).unwrap(), Pattern::Regex(_)), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_apart_matches_what_the_automaton_matches(
            pattern in proptest::collection::vec(
                prop_oneof![
                    8 => "[abé.]{1,3}",
                    2 => Just(".*".to_owned()),
                    2 => Just(".+".to_owned()),
                    1 => Just(".{2}".to_owned()),
                    1 => Just(".{1,}".to_owned()),
                    1 => Just("(?:ab|a.)".to_owned()),
                    1 => Just("(?:a.*|é)?".to_owned()),
                    1 => Just("|".to_owned()),
                    1 => Just("[ab]".to_owned()),
                ],
                0..6,
            ),
            values in proptest::collection::vec("[ab\u{e9}\n]{0,9}", 12),
        ) {
            let pattern = pattern.concat();
            let found = Pattern::new(&pattern).unwrap();
            let automaton = anchored(&pattern).unwrap();
            for value in &values {
                prop_assert_eq!(found.is_match(value), automaton.is_match(value), "{:?} on {:?}", found, value);
                if found.is_match(value) {
                    prop_assert!(value.starts_with(found.prefix()));
                }
            }
        }
    }
}
