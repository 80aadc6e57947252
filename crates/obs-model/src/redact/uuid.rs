//! UUIDs, which are no secrets: ids of requests must stay what they are, and some have parts that would pass for an account
//! or a card.

/// The length of a UUID as text.
pub(super) const BYTES: usize = 36;

/// Whether a UUID (RFC 9562) begins at `start`.
pub(super) fn begins(bytes: &[u8], start: usize) -> bool {
    // Looked at first, because it tells most that is none.
    bytes.get(start + 8) == Some(&b'-')
        && bytes[start..].first_chunk().is_some_and(is_uuid)
        && !bytes.get(start + BYTES).is_some_and(u8::is_ascii_alphanumeric)
}

/// Whether this is a UUID and nothing else.
pub(super) fn is_whole(text: &str) -> bool {
    text.as_bytes().try_into().is_ok_and(is_uuid)
}

fn is_uuid(text: &[u8; BYTES]) -> bool {
    let mut others = 0;
    for byte in text {
        others += u8::from(!byte.is_ascii_hexdigit());
    }
    others == 4 && [8, 13, 18, 23].into_iter().all(|at| text[at] == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_told_from_what_is_like_one() {
        let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert!(is_whole(uuid) && begins(uuid.as_bytes(), 0));
        assert!(is_whole(&uuid.to_uppercase()));
        assert!(begins(format!("id {uuid}, of").as_bytes(), 3));
        assert!(!is_whole(&format!("{uuid}0")) && !begins(format!("{uuid}0").as_bytes(), 0));
        for other in [
            "67e55044x10b1-426f-9247-bb680e5fe0c8",
            "67e5504-410b1-426f-9247-bb680e5fe0c8",
            "67e55044-10b1-426f-9247-bb680e5fe0cg",
            "",
        ] {
            assert!(!is_whole(other) && !begins(other.as_bytes(), 0), "{other}");
        }
    }
}
