//! The table of settings: key, environment variables, meaning, and how a text is applied.

use std::sync::LazyLock;
use std::time::Duration;

use super::Settings;
use super::value::Expected;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const LEVEL: &str = "trace, debug, info, warn or error";

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in a file: `section.name`.
    pub key: &'static str,
    /// The environment variables that set it, beside `OBSKIT_SECTION_NAME`; an earlier one wins.
    pub variables: &'static [&'static str],
    /// Its default, for people.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Turns the value of one of `variables` into the form that the file has.
    pub(super) from_variable: fn(&str) -> Result<String, Expected>,
    /// Applies a text; the error says what would be accepted.
    pub(super) apply: fn(&mut Settings, &str) -> Result<(), Expected>,
}

impl Setting {
    /// The variable that every setting has: `OBSKIT_SECTION_NAME`.
    #[must_use]
    pub fn own_variable(&self) -> String {
        format!("OBSKIT_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// Every setting, in the order of the documentation.
#[must_use]
pub fn reference() -> &'static [Setting] {
    static ALL: LazyLock<Vec<Setting>> =
        LazyLock::new(|| [recorded::SETTINGS, sent::SETTINGS, served::SETTINGS].concat());
    &ALL
}

macro_rules! settings {
    ($($key:literal, [$($variable:literal),*], $default:literal, $meaning:literal,
       |$settings:ident, $text:ident| $apply:expr $(, via $from:expr)?;)*) => {
        pub(super) const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            variables: &[$($variable),*],
            default: $default,
            meaning: $meaning,
            from_variable: settings!(@from $($from)?),
            apply: |$settings, $text| {
                $apply;
                Ok(())
            },
        }),*];
    };
    (@from) => { |text| Ok(text.to_owned()) };
    (@from $from:expr) => { $from };
}

mod recorded;
mod sent;
mod served;
