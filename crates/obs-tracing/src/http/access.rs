//! The line of a finished request.

use std::time::Duration;

use obs_model::Context;
use tracing_core::callsite::{Callsite, DefaultCallsite};
use tracing_core::field::{FieldSet, Value};
use tracing_core::{Event, Kind, Level, LevelFilter, Metadata, dispatcher, identify_callsite};

use super::exchange::FAILED;
use super::span::RequestSpan;
use crate::duration::milliseconds;
use crate::line::Outline;
use crate::pipeline::RequestKind;

pub(super) const TARGET: &str = "obskit::http";
const MESSAGE: &str = "request finished";

static PLACE: DefaultCallsite = DefaultCallsite::new(&METADATA);
static METADATA: Metadata<'static> = Metadata::new(
    "access line",
    TARGET,
    Level::INFO,
    Some(file!()),
    Some(line!()),
    Some(module_path!()),
    FieldSet::new(&["message", "status", "duration_ms"], identify_callsite!(&PLACE)),
    Kind::EVENT,
);

/// A request that is finished.
pub(super) struct Finished<'a> {
    pub(super) span: &'a mut RequestSpan,
    pub(super) context: &'a mut Context,
    pub(super) status: u16,
    pub(super) method: &'static str,
    /// The template of its route, where it is kept.
    pub(super) path: Option<&'static str>,
    pub(super) took: Duration,
}

impl Finished<'_> {
    /// Writes the line, from a template where nothing about the request is out of the ordinary; then the span of a request
    /// that did not fail is closed, and the answer is `true`.
    #[inline]
    pub(super) fn log(mut self, kept: &mut Option<RequestKind>) -> bool {
        if LevelFilter::current() < Level::INFO {
            return false;
        }
        let interest = PLACE.interest();
        if interest.is_never() {
            return false;
        }
        if interest.is_always() && self.is_templated(kept) {
            let closing = kept.as_ref().filter(|_| self.status < FAILED);
            if let Some(kind) = closing {
                self.span.close_ordinary(self.status, kind);
            }
            return closing.is_some();
        }
        let fields = METADATA.fields();
        let mut names = fields.iter();
        let [Some(message), Some(status), Some(duration)] =
            [names.next(), names.next(), names.next()]
        else {
            return false;
        };
        let (text, duration_ms) = (format_args!("{MESSAGE}"), milliseconds(self.took));
        let values = [
            (&message, Some(&text as &dyn Value)),
            (&status, Some(&self.status as &dyn Value)),
            (&duration, Some(&duration_ms as &dyn Value)),
        ];
        let is_wanted = interest.is_always()
            || dispatcher::get_default(|dispatch| dispatch.enabled(PLACE.metadata()));
        if is_wanted {
            let _lent = self.context.lend();
            Event::child_of(self.span.id(), &METADATA, &fields.value_set(&values));
        }
        false
    }

    fn is_templated(&mut self, kept: &mut Option<RequestKind>) -> bool {
        let Some(path) = self.path else { return false };
        let outline = Outline {
            level: obs_model::Level::Info,
            target: TARGET,
            message: MESSAGE,
            status: self.status,
            method: self.method,
            path,
        };
        self.span.write_ordinary(self.context, outline, kept)
    }
}
