//! Writing numbers as Prometheus writes them.

pub(crate) use obs_model::write_float as push_f64;

/// Appends a whole number in plain digits.
#[inline]
pub(crate) fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_in_full() {
        for value in [0, 9, 10, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            push_u64(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
