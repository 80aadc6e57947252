//! Turning any name into one that Prometheus accepts.

use std::borrow::Cow;

use obs_model::{is_valid_label_name, is_valid_metric_name};

/// What a label that would clash with one of the exposition's own is renamed to begin with.
const EXPORTED: &str = "exported_";

/// A valid metric name: every character outside `[a-zA-Z0-9_:]` becomes `_`, and a name that is empty or
/// starts with a digit gets a `_` in front.
pub(crate) fn metric_name(name: &str) -> Cow<'_, str> {
    if is_valid_metric_name(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(replace(name, |character| character == ':'))
    }
}

/// A valid label name: as [`metric_name`] but without `:`, and with `exported_` in front of names that are
/// reserved: those that start with `__` and, in a histogram, `le`.
pub(crate) fn label_name(name: &str, of_histogram: bool) -> Cow<'_, str> {
    let valid = if is_valid_label_name(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(replace(name, |_| false))
    };
    // OK because only a name that was reserved as it was given is renamed: `.` and `1st` become `_` and `_1st`.
    if valid.starts_with("__") || (of_histogram && valid == "le") {
        Cow::Owned(format!("{EXPORTED}{valid}"))
    } else {
        valid
    }
}

/// Replaces what is invalid in part of a name, which need not be a name by itself.
pub(crate) fn name_part(part: &str) -> String {
    part.chars()
        .map(|character| if is_word(character) || character == ':' { character } else { '_' })
        .collect()
}

fn replace(name: &str, also: impl Fn(char) -> bool) -> String {
    let mut valid = String::with_capacity(name.len() + 1);
    if name.chars().next().is_none_or(|first| first.is_ascii_digit()) {
        valid.push('_');
    }
    valid.extend(
        name.chars().map(
            |character| {
                if is_word(character) || also(character) { character } else { '_' }
            },
        ),
    );
    valid
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn invalid_characters_of_a_metric_name_become_underscores() {
        for (given, expected) in [
            ("http_requests", "http_requests"),
            ("http.requests", "http_requests"),
            ("rule:sum", "rule:sum"),
            ("2xx", "_2xx"),
            ("", "_"),
            ("größe-s", "gr__e_s"),
        ] {
            assert_eq!(metric_name(given), expected);
        }
    }

    #[test]
    fn reserved_label_names_are_exported_under_another_name() {
        for (given, of_histogram, expected) in [
            ("method", true, "method"),
            ("http.method", false, "http_method"),
            ("a:b", false, "a_b"),
            ("le", false, "le"),
            ("le", true, "exported_le"),
            ("__name__", false, "exported___name__"),
            ("..", false, "exported___"),
            ("", false, "_"),
        ] {
            assert_eq!(label_name(given, of_histogram), expected);
        }
    }

    proptest! {
        #[test]
        fn every_text_becomes_a_valid_name_and_a_valid_name_stays(text in ".{0,12}") {
            let metric = metric_name(&text);
            prop_assert!(is_valid_metric_name(&metric));
            let again = metric_name(&metric);
            prop_assert_eq!(&again, &metric);
            let label = label_name(&text, true);
            prop_assert!(is_valid_label_name(&label));
            prop_assert!(!label.starts_with("__") && label != "le");
        }
    }
}
