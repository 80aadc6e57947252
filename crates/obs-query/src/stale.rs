//! The stale marker: the sample that says that a series has ended.

use obs_model::Sample;

/// The bits of the stale marker, a NaN of its own, as in Prometheus (`model/value/value.go`).
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The stale marker: the value that says that a series has ended.
///
/// It is a NaN, so it can be told from other values by [`is_stale`] only.
pub const STALE: f64 = f64::from_bits(STALE_BITS);

/// Whether `value` is the stale marker. Every other NaN is an ordinary value.
///
/// ```
/// assert!(obs_query::is_stale(obs_query::STALE));
/// assert!(!obs_query::is_stale(f64::NAN));
/// ```
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// Takes the stale markers out.
pub(crate) fn drop_markers(samples: &mut Vec<Sample>) {
    samples.retain(|sample| !is_stale(sample.value));
}
