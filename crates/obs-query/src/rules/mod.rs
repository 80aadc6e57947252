//! The rule files of Prometheus: groups of recording and alerting rules.
//!
//! - [`RuleFile::parse`] reads one as strictly as Prometheus 3.5 does and reports everything that is wrong at once, with
//!   line and column, those inside an expression included.
//! - [`RuleFile::new`] makes one of [`RuleGroup`]s; [`Display`](std::fmt::Display) writes it as YAML for Prometheus.
//! - [`RuleFile::duplicate_rules`] finds what `promtool check rules` finds.
//!
//! ```
//! use obs_query::promql::ParseOptions;
//! use obs_query::rules::{Rule, RuleFile};
//!
//! let text = r#"
//! groups:
//! - name: requests
//!   interval: 30s
//!   rules:
//!   - record: code:requests:rate5m
//!     expr: sum by (code) (rate(requests_total[5m]))
//!   - alert: TooManyErrors
//!     expr: code:requests:rate5m{code="500"} > 1
//!     for: 10m
//!     annotations:
//!       summary: "{{ $value | humanize }} errors a second"
//! "#;
//! let file = RuleFile::parse(text, ParseOptions::default())?;
//! let Rule::Alerting(alert) = &file.groups()[0].rules[1] else { panic!("expected an alert") };
//! assert_eq!((alert.alert.as_str(), alert.hold.as_secs()), ("TooManyErrors", 600));
//!
//! // Written as YAML it reads back as an equal file.
//! assert_eq!(RuleFile::parse(&file.to_string(), ParseOptions::default())?, file);
//!
//! // A mistake in an expression says where in the file it is.
//! let error = RuleFile::parse(&text.replace("rate(", "rat("), ParseOptions::default()).unwrap_err();
//! let position = error.rule_problems()[0].position().unwrap();
//! assert_eq!((position.line, position.column), (7, 26));
//! # Ok::<(), obs_query::Error>(())
//! ```
//!
//! # Limits
//!
//! A file may have [`MAX_RULE_FILE_BYTES`], a million nodes, aliases counted as what they stand for, and 32 levels. Of
//! several documents in a file only the first is read, as in Prometheus.

mod check;
mod decode;
mod error;
mod lint;
mod locate;
mod model;
mod read;
#[cfg(test)]
mod tests;
mod write;
mod yaml;

pub use error::RuleProblem;
pub use lint::DuplicateRule;
pub use model::{AlertingRule, RecordingRule, Rule, RuleExpr, RuleFile, RuleGroup};
pub use read::MAX_RULE_FILE_BYTES;
