//! Names and texts in the form that a reader asked for.
//!
//! <https://prometheus.io/docs/instrumenting/escaping_schemes/>

use std::borrow::Cow;

use obs_model::is_valid_metric_name;

/// What becomes of names that are not `[a-zA-Z_:][a-zA-Z0-9_:]*`, which only newer readers understand.
///
/// Names of that form are the same in every scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escaping {
    /// They are written as they are, in quotes.
    AllowUtf8,
    /// Every other character becomes `_`: `http.requests` is `http_requests`. What readers get that do not ask.
    #[default]
    Underscores,
    /// `.` becomes `_dot_`, `_` and every other character `__`.
    Dots,
    /// `U__` stands in front, `_` becomes `__` and every other character its code: `U__http_2e_requests`.
    Values,
}

impl Escaping {
    /// The value of the `escaping` parameter of a content type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The scheme by the value of the parameter.
    pub(super) fn from_parameter(value: &str) -> Option<Self> {
        match value {
            // The documentation of content negotiation spelled it without the second dash for a while.
            "allow-utf-8" | "allow-utf8" => Some(Self::AllowUtf8),
            "underscores" => Some(Self::Underscores),
            "dots" => Some(Self::Dots),
            "values" => Some(Self::Values),
            _ => None,
        }
    }

    /// `name` in this scheme.
    pub(super) fn apply(self, name: &str) -> Cow<'_, str> {
        if self == Self::AllowUtf8 || is_valid_metric_name(name) {
            return Cow::Borrowed(name);
        }
        let mut escaped = String::with_capacity(name.len() + 8);
        if self == Self::Values {
            escaped.push_str("U__");
        }
        for (at, character) in name.char_indices() {
            let fits = character.is_ascii_alphabetic()
                || matches!(character, '_' | ':')
                || (character.is_ascii_digit() && at > 0);
            match (self, character) {
                (Self::Dots | Self::Values, '_') => escaped.push_str("__"),
                _ if fits => escaped.push(character),
                (Self::Dots, '.') => escaped.push_str("_dot_"),
                (Self::Dots, _) => escaped.push_str("__"),
                (Self::Values, other) => escaped.push_str(&format!("_{:x}_", u32::from(other))),
                _ => escaped.push('_'),
            }
        }
        Cow::Owned(escaped)
    }
}

/// Appends a text with `\`, `"` and line feeds escaped, as label values and quoted names are written.
pub(super) fn push_quotable(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(other),
        }
    }
}

/// Appends a help text of the text format, in which a double quote stands for itself.
pub(super) fn push_plain_help(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(other),
        }
    }
}

/// Labels as they stand between the braces of a line; names that are not legacy names are in quotes.
pub(crate) fn label_text<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = Vec::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(b',');
        }
        if obs_model::is_valid_label_name(name) {
            text.extend_from_slice(name.as_bytes());
        } else {
            text.push(b'"');
            push_quotable(&mut text, name);
            text.push(b'"');
        }
        text.extend_from_slice(b"=\"");
        push_quotable(&mut text, value);
        text.push(b'"');
    }
    // OK because whole texts and ASCII went in.
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_the_schemes_say() {
        for (name, underscores, dots, values) in [
            (
                "no_escaping_required",
                "no_escaping_required",
                "no_escaping_required",
                "no_escaping_required",
            ),
            ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
            (
                "label with _ blanks",
                "label_with___blanks",
                "label__with______blanks",
                "U__label_20_with_20____20_blanks",
            ),
            ("2xx", "_xx", "__xx", "U___32_xx"),
            ("größe", "gr__e", "gr____e", "U__gr_f6__df_e"),
            ("😀", "_", "__", "U___1f600_"),
        ] {
            assert_eq!(Escaping::AllowUtf8.apply(name), name);
            assert_eq!(Escaping::Underscores.apply(name), underscores);
            assert_eq!(Escaping::Dots.apply(name), dots);
            assert_eq!(Escaping::Values.apply(name), values);
        }
    }
}
