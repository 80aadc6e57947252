//! W3C Baggage: what callers send along, as far as it is allowed.
//!
//! A caller may send pairs of a name and a text in the header `baggage`, or under that name in `_meta` of a tool call.
//! Whoever they are, they choose names and values, and all of it would travel on to every service that is called: so only
//! the names in [`BaggageConfig::names`] are taken, and only those are sent. What was taken stands in
//! [`Context::baggage`]; code may add to it with [`Context::with_baggage`].
//!
//! ```
//! use obs_model::Resource;
//! use obs_tracing::{BaggageConfig, LogConfig};
//!
//! let mut config = LogConfig::new(Resource::new("checkout"));
//! config.baggage = BaggageConfig::of(["tenant", "plan"]).on_lines(["tenant"]);
//! assert_eq!(config.baggage.names, ["tenant", "plan"]);
//! ```
//!
//! What is dropped counts in `obskit_baggage_dropped_total{reason}`: `not_allowed`, `invalid` (not of the form that the
//! specification asks for, a value with control characters, over 1 KiB, or not UTF-8), `too_large` (what comes after 8192
//! bytes or 64 pairs). Properties of pairs are not passed on.

use std::fmt::Write as _;

use obs_model::{Baggage, Context};

use crate::pipeline::Pipeline;

/// The most bytes that are looked at, and that are sent.
const MAX_BYTES: usize = 8_192;

/// The header, and the member of `_meta`.
pub(crate) const NAME: &str = "baggage";

/// Which baggage is taken from callers, sent to callees, and put on lines. Nothing, unless set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaggageConfig {
    /// The names that are taken and sent; case matters.
    pub names: Vec<String>,
    /// Those of them that stand on every line, in `metadata` as `baggage.{name}`.
    pub lines: Vec<String>,
}

impl BaggageConfig {
    /// Takes and sends these names.
    #[must_use]
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), lines: Vec::new() }
    }

    /// Puts these names on lines too.
    #[must_use]
    pub fn on_lines<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.lines = names.into_iter().map(Into::into).collect();
        self
    }

    /// What is wrong with it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for name in &self.names {
            if Baggage::new().with(name, "").is_err() {
                problems.push(format!(
                    "baggage name {name:?} is not a name: expected 1 to 128 characters of an HTTP token"
                ));
            }
        }
        if self.names.len() > Baggage::MAX_MEMBERS {
            problems.push(format!(
                "{} baggage names are too many: expected 64 at most",
                self.names.len()
            ));
        }
        for name in self.lines.iter().filter(|name| !self.names.contains(name)) {
            problems.push(format!(
                "baggage name {name:?} is to stand on lines and is not taken: expected one of {:?}",
                self.names
            ));
        }
        problems
    }
}

/// The rules of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct BaggageRules {
    names: Vec<String>,
    /// Each name with the one that it has on lines.
    pub(crate) lines: Vec<(String, String)>,
}

impl From<BaggageConfig> for BaggageRules {
    fn from(config: BaggageConfig) -> Self {
        let lines = config.lines.into_iter();
        Self {
            names: config.names,
            lines: lines
                .map(|name| {
                    let shown = format!("baggage.{name}");
                    (name, shown)
                })
                .collect(),
        }
    }
}

impl BaggageRules {
    /// What of a caller's baggage is taken, which came in these parts.
    pub(crate) fn take<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> Option<Baggage> {
        if self.names.is_empty() { None } else { take(&self.names, parts) }
    }
}

/// Looks at the rules of the current pipeline, if it takes any baggage.
fn with_rules<R>(mut look: impl FnMut(&BaggageRules) -> R) -> Option<R> {
    tracing::dispatcher::get_default(|dispatch| {
        let rules = dispatch.downcast_ref::<Pipeline>()?.baggage();
        (!rules.names.is_empty()).then(|| look(rules))
    })
}

/// What of a caller's baggage is taken. `parts` finds its headers, or the text in `_meta`, and is only asked when any
/// name may be taken.
pub(crate) fn read<'a, P>(parts: impl Fn() -> P) -> Option<Baggage>
where
    P: Iterator<Item = &'a [u8]>,
{
    with_rules(|rules| rules.take(parts())).flatten()
}

/// The current baggage, as far as it may be sent, as it stands in a header.
pub(crate) fn written(context: &Context) -> Option<String> {
    let baggage = context.baggage()?;
    with_rules(|rules| encode(&rules.names, baggage)).filter(|text| !text.is_empty())
}

fn dropped(reason: &'static str, count: usize) {
    if count > 0 {
        metrics::counter!("obskit_baggage_dropped_total", "reason" => reason)
            .increment(count as u64);
    }
}

fn take<'a>(names: &[String], parts: impl Iterator<Item = &'a [u8]>) -> Option<Baggage> {
    let mut baggage = Baggage::new();
    let (mut not_allowed, mut invalid, mut too_large) = (0, 0, 0);
    let (mut room, mut members) = (MAX_BYTES, 0);
    for part in parts {
        let looked_at = &part[..part.len().min(room)];
        too_large += usize::from(looked_at.len() < part.len());
        room -= looked_at.len();
        let mut pairs = looked_at.split(|byte| *byte == b',').peekable();
        while let Some(pair) = pairs.next() {
            let is_cut = pairs.peek().is_none() && looked_at.len() < part.len();
            members += 1;
            if members > Baggage::MAX_MEMBERS {
                too_large += 1;
            } else if is_cut || pair.trim_ascii().is_empty() {
                // OK because what was cut is counted already, and empty pairs say nothing.
            } else {
                match decode(pair) {
                    Some((name, _)) if !names.iter().any(|known| known == name) => not_allowed += 1,
                    Some((name, value)) => match baggage.with(name, &value) {
                        Ok(more) => baggage = more,
                        Err(_) => invalid += 1,
                    },
                    None => invalid += 1,
                }
            }
        }
    }
    for (reason, count) in
        [("not_allowed", not_allowed), ("invalid", invalid), ("too_large", too_large)]
    {
        dropped(reason, count);
    }
    (!baggage.is_empty()).then_some(baggage)
}

/// Reads `name=value;properties`.
fn decode(pair: &[u8]) -> Option<(&str, String)> {
    let pair = pair.split(|byte| *byte == b';').next()?;
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(pair[..at].trim_ascii()).ok()?;
    let encoded = pair[at + 1..].trim_ascii();
    let mut value = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                // `from_str_radix` takes a sign, which is no digit.
                let digits = Some(digits).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
                value.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            byte if is_plain(*byte) => value.push(*byte),
            _ => return None,
        }
    }
    Some((name, String::from_utf8(value).ok()?))
}

/// Whether a byte stands for itself in a value: `baggage-octet` of the specification.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

fn encode(names: &[String], baggage: &Baggage) -> String {
    let mut text = String::new();
    let (mut not_allowed, mut too_large) = (0, 0);
    for (name, value) in baggage.iter() {
        if !names.iter().any(|known| known == name) {
            not_allowed += 1;
            continue;
        }
        let before = text.len();
        if before > 0 {
            text.push(',');
        }
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if is_plain(byte) && byte != b'%' {
                text.push(char::from(byte));
            } else {
                // OK because writing to a string does not fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        if text.len() > MAX_BYTES {
            text.truncate(before);
            too_large += 1;
        }
    }
    dropped("not_allowed", not_allowed);
    dropped("too_large", too_large);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(names: &[&str], header: &str) -> Vec<(String, String)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let baggage = take(&names, std::iter::once(header.as_bytes())).unwrap_or_default();
        baggage.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn headers_are_read_as_the_specification_asks_and_only_what_is_allowed() {
        let names = ["tenant", "plan"];
        for (header, expected) in [
            ("tenant=acme", &[("tenant", "acme")][..]),
            (" tenant = acme ;ttl=5 , plan=gold ;a", &[("tenant", "acme"), ("plan", "gold")]),
            ("tenant=a%20b%2C%C3%A9", &[("tenant", "a b,é")]),
            ("tenant=a,tenant=b", &[("tenant", "b")]),
            ("other=1,TENANT=2,plan=", &[("plan", "")]),
            (",,tenant=a=b,", &[("tenant", "a=b")]),
            ("tenant=a%0d%0ab", &[]),
            ("tenant=%+1,plan=%ff", &[]),
            ("tenant=a b", &[]),
            ("tenant=\"a\"", &[]),
            ("tenant", &[]),
            ("=x", &[]),
            ("", &[]),
        ] {
            let seen = taken(&names, header);
            let seen: Vec<_> = seen.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(seen, expected, "{header}");
        }
    }

    #[test]
    fn what_is_beyond_the_limits_is_not_looked_at() {
        let long = format!("{},tenant=late", "x=1,".repeat(64));
        assert!(taken(&["tenant"], &long).is_empty());
        let large = format!("tenant=early,x={},plan=late", "y".repeat(MAX_BYTES));
        assert_eq!(taken(&["tenant", "plan"], &large), [("tenant".to_owned(), "early".to_owned())]);
        // A pair that is cut off is not taken for a shorter one.
        let cut = format!("x={},tenant=123456", "y".repeat(MAX_BYTES - 13));
        assert!(taken(&["tenant"], &cut).is_empty());
    }

    #[test]
    fn every_mistake_in_the_names_is_said() {
        let wrong = BaggageConfig::of(["a b", "ok"]).on_lines(["ok", "unknown"]);
        assert_eq!(wrong.problems().len(), 2);
        let many = BaggageConfig::of((0..65).map(|number| format!("n{number}")));
        assert_eq!(many.problems().len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_taken_again(
            pairs in prop::collection::btree_map("[a-z!#$&'*+.^_`|~-]{1,12}", "[^\\p{Cc}]{0,40}", 0..20),
        ) {
            let mut baggage = Baggage::new();
            for (name, value) in &pairs {
                baggage = baggage.with(name, value).unwrap();
            }
            let names: Vec<String> = pairs.keys().cloned().collect();
            let text = encode(&names, &baggage);
            prop_assert!(text.len() <= MAX_BYTES);
            prop_assert!(text.bytes().all(|byte| is_plain(byte) || byte == b','), "{}", text);
            let again = take(&names, std::iter::once(text.as_bytes())).unwrap_or_default();
            prop_assert_eq!(again, baggage);
        }

        #[test]
        fn any_header_is_read_or_dropped(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4)) {
            let names = ["a".to_owned()];
            if let Some(baggage) = take(&names, parts.iter().map(Vec::as_slice)) {
                prop_assert!(baggage.iter().all(|(name, value)| name == "a" && !value.chars().any(char::is_control)));
            }
        }
    }
}
