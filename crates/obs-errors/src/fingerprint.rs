//! The identity of an error group.
//!
//! A fingerprint is the FNV-1a hash of 128 bits over these parts, each preceded by its length:
//!
//! 1. the scheme's version, so that a change of the rule starts new groups instead of mixing them;
//! 2. the name of the error's type, without generics;
//! 3. the message, [normalised](crate::normalise), its first 512 bytes;
//! 4. type and message of every source that was followed, likewise;
//! 5. the source file where the error was captured, logged or panicked, from the crate's folder on, without line
//!    and column;
//! 6. when the stack was walked, the names (without their paths) of the three innermost functions that belong to
//!    the service itself.
//!
//! Line numbers, addresses, versions and absolute paths are not parts, so an edit above the failing line, a
//! new build or another host does not start a new group.

use obs_model::{Fingerprint, StackFrame};

use crate::{names, normalise, stack};

/// The version of the rule.
const SCHEME: &str = "obskit-1";

/// How much of a normalised message counts, in bytes.
const MESSAGE_BYTES: usize = 512;

/// How many of the service's own functions count.
const FUNCTIONS: usize = 3;

/// One source of an error.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) error_type: String,
    pub(crate) message: String,
}

/// What identifies an error.
pub(crate) fn of(
    error_type: &str,
    message: &str,
    chain: &[Link],
    file: Option<&str>,
    frames: &[StackFrame],
) -> Fingerprint {
    let mut hash = Fnv1a128::new();
    hash.part(SCHEME);
    hash.part(error_type);
    hash.part(counted(&normalise::normalised(message)));
    for link in chain {
        hash.part(&link.error_type);
        hash.part(counted(&normalise::normalised(&link.message)));
    }
    hash.part("at");
    hash.part(&file.map(names::file).unwrap_or_default());
    for function in stack::functions_of_the_service(frames).take(FUNCTIONS) {
        hash.part(&function);
    }
    Fingerprint::from_u128(hash.0)
}

/// The fingerprint of a group that the caller named.
pub(crate) fn of_key(key: &str) -> Fingerprint {
    let mut hash = Fnv1a128::new();
    hash.part(SCHEME);
    hash.part("key");
    hash.part(key);
    Fingerprint::from_u128(hash.0)
}

fn counted(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES)]
}

/// FNV-1a with 128 bits (draft-eastlake-fnv, section 5): the same on every platform and for ever.
///
/// It tells errors apart; it does not resist somebody who sets out to make two messages collide, who would gain
/// no more than a wrong count.
struct Fnv1a128(u128);

impl Fnv1a128 {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    const fn new() -> Self {
        Self(Self::OFFSET_BASIS)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        }
    }

    fn part(&mut self, part: &str) {
        self.bytes(&(part.len() as u64).to_le_bytes());
        self.bytes(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // Test vectors of draft-eastlake-fnv.
        for (given, expected) in [
            ("", 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128),
            ("a", 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964),
            ("foobar", 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18),
        ] {
            let mut hash = Fnv1a128::new();
            hash.bytes(given.as_bytes());
            assert_eq!(hash.0, expected, "{given:?}");
        }
    }

    #[derive(Clone)]
    struct Case {
        error_type: &'static str,
        message: &'static str,
        chain: &'static [(&'static str, &'static str)],
        frames: &'static [(&'static str, &'static str, u32)],
    }

    const BASE: Case = Case {
        error_type: "app::DbError",
        message: "query 17 failed after 3.5s",
        chain: &[("Os", "connection to 10.0.0.1:5432 refused")],
        frames: &[("app::db::query", "crates/app/src/db.rs", 10)],
    };

    impl Case {
        fn fingerprint(&self) -> Fingerprint {
            let chain: Vec<_> = self
                .chain
                .iter()
                .map(|(error_type, message)| Link {
                    error_type: (*error_type).to_owned(),
                    message: (*message).to_owned(),
                })
                .collect();
            let frames: Vec<_> = self
                .frames
                .iter()
                .map(|(function, file, line)| StackFrame {
                    function: (*function).to_owned(),
                    file: Some((*file).to_owned()),
                    line: Some(*line),
                })
                .collect();
            let file = self.frames.first().map(|(_, file, _)| *file);
            of(self.error_type, self.message, &chain, file, &frames)
        }
    }

    #[test]
    fn a_fingerprint_never_changes_between_releases() {
        // A change here regroups every user's errors: raise the scheme's version and say so in the change log.
        assert_eq!(BASE.fingerprint().to_string(), "c9d426a24c4e7f2885c74cc576c23ed2");
    }

    #[test]
    fn the_same_error_of_another_build_and_host_is_in_the_same_group() {
        for same in [
            Case { message: "query 18 failed after 900ms", ..BASE },
            Case { chain: &[("Os", "connection to 10.9.9.9:15432 refused")], ..BASE },
            Case { frames: &[("app::db::query", "crates/app/src/db.rs", 99)], ..BASE },
            Case { frames: &[("app::db::query", "/build/7/crates/app/src/db.rs", 10)], ..BASE },
            Case {
                frames: &[("app::db::query::h0011223344556677", "crates/app/src/db.rs", 10)],
                ..BASE
            },
            Case {
                frames: &[
                    ("app::db::query", "crates/app/src/db.rs", 10),
                    ("tokio::runtime::task::poll", "/x/registry/src/i/tokio-1.2.3/src/a.rs", 1),
                ],
                ..BASE
            },
        ] {
            assert_eq!(
                same.fingerprint(),
                BASE.fingerprint(),
                "{:?} {:?}",
                same.message,
                same.frames
            );
        }
    }

    #[test]
    fn different_errors_are_in_different_groups() {
        let mut seen = vec![BASE.fingerprint()];
        for other in [
            Case { error_type: "app::Error", ..BASE },
            Case { message: "no such table: foo", ..BASE },
            Case { message: "no such table: bar", ..BASE },
            Case { message: "no such column: bar", ..BASE },
            Case { chain: &[], ..BASE },
            Case { chain: &[("Os", "connection to 10.0.0.1:5432 reset")], ..BASE },
            Case { chain: &[("Tls", "connection to 10.0.0.1:5432 refused")], ..BASE },
            Case { chain: &[("Os", "connection to 10.0.0.1:5432 refused"), ("Os", "x")], ..BASE },
            Case { frames: &[("app::db::query", "crates/app/src/pool.rs", 10)], ..BASE },
            Case { frames: &[("app::db::insert", "crates/app/src/db.rs", 10)], ..BASE },
            Case {
                frames: &[
                    ("app::db::query", "crates/app/src/db.rs", 10),
                    ("app::web::list", "crates/app/src/web.rs", 5),
                ],
                ..BASE
            },
            Case { frames: &[], ..BASE },
        ] {
            let fingerprint = other.fingerprint();
            assert!(!seen.contains(&fingerprint), "{:?} {:?}", other.message, other.frames);
            seen.push(fingerprint);
        }
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        let left = Case { error_type: "ab", message: "c", ..BASE };
        let right = Case { error_type: "a", message: "bc", ..BASE };
        assert_ne!(left.fingerprint(), right.fingerprint());
    }

    #[test]
    fn values_of_any_length_before_the_cut_leave_a_long_message_in_its_group() {
        let message = |id: &str| format!("{id} {}", "word ".repeat(200));
        let of = |id: &str| of("t", &message(id), &[], None, &[]);
        assert_eq!(of("7"), of("123456789"));
    }
}
