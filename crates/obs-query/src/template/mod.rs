//! The templates of annotations and labels: Go's `text/template` with the functions of Prometheus.
//!
//! [`Template::parse`] reads one, [`Template::expand`] writes its text for one alert. Known are the variables `$labels`,
//! `$externalLabels`, `$externalURL` and `$value`, the fields `.Labels`, `.ExternalLabels`, `.ExternalURL` and `.Value`,
//! the actions `if`, `with`, `range`, `define`, `template`, `block`, `break` and `continue`, Go's functions, and those that
//! Prometheus adds.
//!
//! ```
//! use obs_model::{Labels, Timestamp};
//! use obs_query::template::{Environment, Template, engine_query};
//! use obs_query::promql::{Engine, SampleValue};
//! use obs_query::{SeriesStore, StoreConfig};
//!
//! let (engine, store) = (Engine::default(), SeriesStore::new(StoreConfig::default()));
//! let text = r#"{{ $labels.job }} at {{ $value | humanizePercentage }} of {{ with query "vector(1e6)" }}{{ . | first | value | humanize }}{{ end }}"#;
//! let template = Template::parse(text)?;
//! let text = template.expand(&Environment {
//!     labels: &Labels::new([("job", "api")])?,
//!     external_labels: &Labels::empty(),
//!     external_url: "http://localhost:9090",
//!     value: &SampleValue::Float(0.25),
//!     at: Timestamp::from_millis(60_000),
//!     query: &engine_query(&engine, &store),
//! })?;
//! assert_eq!(text, "api at 25% of 1M");
//!
//! let error = Template::parse("{{ $value | humanise }}").unwrap_err();
//! assert_eq!(error.to_string(), "1:13: function \"humanise\" not defined");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! A text may have 256 KiB, and so may a template; expanding one takes at most 100,000 steps, of which a query counts as
//! a thousand. `tmpl` is known in Prometheus' console templates only, and so not here. Texts are always UTF-8. A native
//! histogram can be written but has no fields. `%x` and `%b` are not for floats.

mod ast;
mod builtin;
mod error;
mod exec;
mod format;
mod humanize;
mod lexer;
mod literal;
mod parse;
mod prometheus;
#[cfg(test)]
mod tests;
mod time;
mod value;

use std::sync::Arc;

use obs_model::{Labels, Timestamp};

use self::ast::Tree;
use self::error::Problem;
use self::value::{Data, Pairs, Value};
use crate::promql::{Engine, QueryValue, SampleValue, VectorPoint};
use crate::{Error, Queryable};

/// The longest text of a template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 256 * 1_024;

/// The variables that every template knows.
const VARIABLES: [&str; 5] = ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

/// What the function `query` of a template asks: a query and the time at which it is to be evaluated.
pub type Query<'a> = dyn Fn(&str, Timestamp) -> Result<Vec<VectorPoint>, Error> + 'a;

/// What a template is expanded for.
pub struct Environment<'a> {
    /// The labels of the series.
    pub labels: &'a Labels,
    /// The labels that the server adds to whatever leaves it.
    pub external_labels: &'a Labels,
    /// Where the server is reached.
    pub external_url: &'a str,
    /// The value of the series.
    pub value: &'a SampleValue,
    /// When the rule was evaluated.
    pub at: Timestamp,
    /// How the template asks queries; see [`engine_query`].
    pub query: &'a Query<'a>,
}

impl std::fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("labels", &self.labels)
            .field("value", &self.value)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// The queries of a template answered by an engine: those that give a vector or a scalar.
pub fn engine_query<'a>(
    engine: &'a Engine,
    source: &'a dyn Queryable,
) -> impl Fn(&str, Timestamp) -> Result<Vec<VectorPoint>, Error> + 'a {
    |query, at| {
        let expr = engine.parse(query)?;
        match engine.instant(source, &expr, at, &|| false)?.value {
            QueryValue::Vector(points) => Ok(points),
            QueryValue::Scalar(sample) => Ok(vec![VectorPoint {
                labels: Labels::empty(),
                timestamp: sample.timestamp,
                value: SampleValue::Float(sample.value),
            }]),
            QueryValue::String(..) | QueryValue::Matrix(_) => {
                Err(crate::promql::execution("query result is not a vector or scalar"))
            }
        }
    }
}

/// A template that can be expanded any number of times.
#[derive(Clone, Debug)]
pub struct Template {
    text: Arc<str>,
    tree: Arc<Tree>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with line and column, such as a function or variable that is not known.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_TEMPLATE_BYTES {
            let message = format!(
                "the template has {} bytes: at most {MAX_TEMPLATE_BYTES} are accepted",
                text.len()
            );
            return Err(Problem::at(0, message).parsing(text));
        }
        let tree = parse::parse(text, &VARIABLES).map_err(|problem| problem.parsing(text))?;
        Ok(Self { text: text.into(), tree: Arc::new(tree) })
    }

    /// The template as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes its text for one alert.
    ///
    /// # Errors
    ///
    /// What it asks for is not there or does not fit, a query fails, or it needs more steps or room than it may. The
    /// error says line and column in the template.
    pub fn expand(&self, environment: &Environment<'_>) -> Result<String, Error> {
        let (labels, external_labels) =
            (pairs(environment.labels), pairs(environment.external_labels));
        let external_url: Arc<str> = environment.external_url.into();
        let value = match environment.value {
            SampleValue::Float(value) => Value::Float(*value),
            SampleValue::Histogram(histogram) => Value::Histogram(Arc::clone(histogram)),
        };
        let values = [
            Value::Pairs(Arc::clone(&labels)),
            Value::Pairs(Arc::clone(&external_labels)),
            Value::Text(Arc::clone(&external_url)),
            value.clone(),
        ];
        let dot = Value::Data(Arc::new(Data { labels, external_labels, external_url, value }));
        let variables =
            VARIABLES.into_iter().zip(std::iter::once(dot.clone()).chain(values)).collect();
        exec::run(&self.tree, environment, variables, &dot)
            .map_err(|problem| problem.expanding(&self.text))
    }
}

fn pairs(labels: &Labels) -> Pairs {
    Arc::new(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
