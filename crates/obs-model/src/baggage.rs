//! What a caller sends along with a request, by names that both sides agreed on.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Pairs of a name and a text that travel with the work from service to service, as in W3C Baggage.
///
/// Cheap to clone. It is bounded, because it may come from outside: 64 pairs, names of 1 to 128 characters that an HTTP
/// token may have, values of 1 KiB without control characters.
///
/// ```
/// use obs_model::{Baggage, Context};
///
/// let baggage = Baggage::new().with("tenant", "acme")?.with("plan", "gold")?;
/// assert_eq!(baggage.get("tenant"), Some("acme"));
/// assert!(baggage.with("bad name", "x").is_err());
///
/// let context = Context::new().with_baggage(baggage);
/// assert_eq!(context.baggage().and_then(|baggage| baggage.get("plan")), Some("gold"));
/// # Ok::<(), obs_model::InvalidBaggage>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage(Arc<Vec<(Box<str>, Box<str>)>>);

/// A pair that is no part of any [`Baggage`]. It does not repeat what was given, so that it may be logged.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a pair of baggage is not valid: expected {expected}")]
pub struct InvalidBaggage {
    expected: &'static str,
}

impl Baggage {
    /// The most pairs.
    pub const MAX_MEMBERS: usize = 64;

    /// The longest name, in bytes.
    pub const MAX_NAME_LEN: usize = 128;

    /// The longest value, in bytes.
    pub const MAX_VALUE_LEN: usize = 1_024;

    /// No pairs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This baggage with one pair more, in place of the one with this name.
    ///
    /// # Errors
    ///
    /// The name or the value is not as described at the type, or there are 64 pairs already.
    pub fn with(&self, name: &str, value: &str) -> Result<Self, InvalidBaggage> {
        if !is_token(name) || name.len() > Self::MAX_NAME_LEN {
            return Err(InvalidBaggage {
                expected: "a name of 1 to 128 letters, digits and characters out of !#$%&'*+-.^_`|~",
            });
        }
        if value.len() > Self::MAX_VALUE_LEN || value.chars().any(char::is_control) {
            return Err(InvalidBaggage {
                expected: "a value of up to 1024 bytes without control characters",
            });
        }
        let mut pairs = (*self.0).clone();
        match pairs.iter().position(|(known, _)| **known == *name) {
            Some(at) => pairs[at].1 = value.into(),
            None if pairs.len() < Self::MAX_MEMBERS => pairs.push((name.into(), value.into())),
            None => return Err(InvalidBaggage { expected: "64 pairs at most" }),
        }
        Ok(Self(Arc::new(pairs)))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Every pair, in the order in which the names were given first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Baggage {
    /// The names alone: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether a text is a token of HTTP (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_and_their_number_are_bounded() {
        let empty = Baggage::new();
        for bad in ["", "a b", "a=b", "a,b", "é", "a\n", &"x".repeat(129)] {
            assert!(empty.with(bad, "v").is_err(), "{bad:?}");
        }
        for bad in ["a\r\nb", "\u{7f}", "\0", &"x".repeat(1_025)] {
            assert!(empty.with("name", bad).is_err(), "{bad:?}");
        }
        let mut full = Baggage::new();
        for number in 0..Baggage::MAX_MEMBERS {
            full = full.with(&format!("n{number}"), "").unwrap();
        }
        assert_eq!(
            full.with("one_more", "").unwrap_err().to_string(),
            "a pair of baggage is not valid: expected 64 pairs at most"
        );
        let changed = full.with("n7", "é ,;=%").unwrap();
        assert_eq!(
            (changed.get("n7"), full.get("n7"), changed.len()),
            (Some("é ,;=%"), Some(""), 64)
        );
    }

    #[test]
    fn only_names_are_displayed() {
        let baggage = Baggage::new().with("tenant", "secret").unwrap();
        assert_eq!((baggage.to_string(), baggage.is_empty()), ("[\"tenant\"]".to_owned(), false));
    }
}
