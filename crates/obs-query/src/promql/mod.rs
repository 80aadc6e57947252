//! PromQL, as Prometheus 3.5 has it: parser, evaluation and results.
//!
//! - [`parse`] makes a syntax tree, an [`Expr`], of a text. Every mistake says its line and column and what was
//!   expected. [`Display`](std::fmt::Display) writes the tree as PromQL again, in one way only.
//!   [`format()`] writes it over several lines, [`json()`] as the JSON of Prometheus' API.
//! - An [`Engine`] evaluates a tree over a [`Queryable`](crate::Queryable): at one time, or at several [`Steps`].
//! - A [`QueryResult`] has the [`QueryValue`], the [`Annotations`] (warnings and infos) and how much work it was.
//!
//! # Evaluation
//!
//! A query is planned once: durations, `@` and selectors are worked out, and what is the same at every step is marked.
//! Every node is then evaluated over all steps at once, one series after the other, with a window that moves along it.
//! An aggregation of what is read folds each series into its group while it is gone through.
//!
//! # Limits
//!
//! [`EngineOptions`] bounds samples, steps and time, [`MAX_QUERY_BYTES`] and [`MAX_QUERY_DEPTH`] the text; each has an
//! error of its own ([`Error::is_too_many_samples`](crate::Error::is_too_many_samples), …). A query that is not wanted
//! any more stops where it asks for that, a thousand steps of work apart.
//!
//! `limit_ratio` picks series by a hash of its own, so it picks others than Prometheus. A date function of a
//! number that is no time, such as infinity, has no meaningful value.

mod annotation;
mod ast;
mod engine;
mod error;
mod eval;
mod float;
mod functions;
mod lexer;
mod native;
mod parse;
mod plan;
mod pretty;
mod print;
mod selectors;
mod span;
mod text;
mod token;
mod tree;
mod value;

pub use annotation::{Annotation, Annotations};
pub use ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, DurationExpr, Expr, ExprKind,
    Grouping, Matching, MatrixSelector, Modifiers, NumberLiteral, Subquery, UnaryOp, ValueType,
    VectorSelector,
};
pub use engine::{Engine, EngineOptions, Steps, reads_series};
pub use error::ParseProblem;
pub(crate) use error::{QueryError, execution};
pub(crate) use eval::label_set;
pub(crate) use float::{almost_equal, full};
pub use functions::{Function, Signature};
pub use native::{
    BucketSpan, CUSTOM_BUCKETS_SCHEMA, CounterResetHint, HistogramSample, HistogramSeries,
    NativeBucket, NativeHistogram,
};
pub use parse::{
    MAX_QUERY_BYTES, MAX_QUERY_DEPTH, ParseOptions, parse, parse_bytes, parse_duration,
};
pub(crate) use parse::{duration_millis, number, parse_metric};
pub use pretty::format;
pub(crate) use print::Millis;
pub use span::{Position, Span};
pub use text::Text;
pub use tree::json;
pub use value::{MatrixSeries, QueryResult, QueryStats, QueryValue, SampleValue, VectorPoint};
