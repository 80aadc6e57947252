//! The open spans of a pipeline: their ids, their parents and their fields, rendered when they open.
//!
//! A span lives in a slot of a table. Its [`tracing_core::span::Id`] is the slot's number with the generation of the
//! slot's use, so that an id that outlived its span finds nothing. Slots are made in pages and never freed; each thread
//! keeps some free ones, with the memory of their fields, so that a span costs no allocation once the thread is warm.

mod current;
mod free;
pub(crate) mod ids;
mod known;
mod life;
mod metrics;
mod table;

pub(crate) use current::{enter, exit, innermost};
pub(crate) use known::{KnownFields, KnownTexts};
#[cfg(feature = "http")]
pub(crate) use metrics::SpanHandles;
pub(crate) use metrics::SpanMetrics;
pub(crate) use table::{Last, NewSpan, SpanKey, SpanState, SpanTable};
