//! Which messages are sent together, and how they become one.

mod encoder;
mod form;

pub use encoder::{EncodeError, Encoder, Framing};
pub(crate) use form::{Due, Patience, Source, due, take};
