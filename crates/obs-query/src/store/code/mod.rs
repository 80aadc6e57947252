//! How samples are written as bytes: the format of sealed chunks, from single numbers up to whole columns.
//!
//! Nothing in here trusts the bytes that it reads: whatever is not what an encoder of this module writes gives `None`,
//! never a panic and never more than a chunk's worth of samples.

pub(super) mod column;
pub(super) mod packed;
pub(crate) mod varint;
mod xor;

/// How many samples a chunk holds at most, as in Prometheus: ten minutes of a 5 s grid.
pub(crate) const CHUNK_SAMPLES: usize = 120;
