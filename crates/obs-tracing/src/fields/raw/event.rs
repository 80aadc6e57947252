//! Takes the values of an event that a span keeps.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use obs_model::FieldValue;
use tracing_core::Field;
use tracing_core::field::Visit;

use super::RawVisitor;
use crate::fields::Bounded;
use crate::otlp::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE};
use crate::pipeline::thread;

/// How many errors of a chain are told.
const CHAIN: usize = 32;

/// Takes the values of an event, and of an error its chain too, under the names of OpenTelemetry's conventions.
pub(crate) struct EventVisitor<'a>(pub(crate) RawVisitor<'a>);

impl Visit for EventVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.record_f64(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.record_i64(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.record_u64(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.0.record_i128(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.0.record_u128(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.record_bool(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.record_str(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.record_debug(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        self.0.record_error(field, value);
        let window = self.0.window();
        let (mut message, mut chain) = (String::new(), String::new());
        thread::deeper(|| {
            // OK because the only error is the bound's own, or a `Display` form's: what was written is kept.
            let _ = write!(Bounded::new(&mut message, window), "{value}");
            let mut out = Bounded::new(&mut chain, window);
            let causes = std::iter::successors(value.source(), |error| (*error).source());
            for (depth, error) in causes.take(CHAIN).enumerate() {
                let _ = write!(out, "{}caused by: {error}", if depth == 0 { "" } else { "\n" });
            }
        });
        self.0.raw.put_named(EXCEPTION_MESSAGE, &FieldValue::from(message));
        if !chain.is_empty() {
            self.0.raw.put_named(EXCEPTION_STACKTRACE, &FieldValue::from(chain));
        }
    }
}
