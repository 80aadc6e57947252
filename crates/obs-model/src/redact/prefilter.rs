//! One quick look at a text: which secrets could be in it at all.
//!
//! The loop works on sixteen bytes at a time without branches, so that the compiler makes vector instructions of it.

/// What was seen in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signs(u8);

impl Signs {
    /// `=` or `:`.
    pub(super) const PAIR: Self = Self(1);
    /// `@`.
    pub(super) const AT: Self = Self(2);
    /// The end of `Bearer` or `Basic`.
    pub(super) const SCHEME: Self = Self(4);
    /// `--`.
    pub(super) const DASHES: Self = Self(8);
    /// A word that is long enough for a key, in a text with more than small letters.
    pub(super) const LONG_WORD: Self = Self(16);
    /// At least seven digits.
    pub(super) const DIGITS: Self = Self(32);
    /// A letter other than a small one, a digit, `-` or `_`; by itself it means nothing.
    const MIXED: Self = Self(64);

    pub(super) const fn has(self, sign: Self) -> bool {
        self.0 & sign.0 != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 & !Self::MIXED.0 == 0
    }
}

const LANES: usize = 16;

/// How far a look reaches beyond its lanes.
const BEYOND: usize = 2;

/// The most digits that are counted before the count is looked at: a lane counts in a byte.
const BLOCKS: usize = 255;

const FEWEST_DIGITS: u32 = 7;

#[derive(Default)]
struct Seen {
    signs: [u8; LANES],
    digits: [u8; LANES],
    long_word: bool,
}

impl Seen {
    /// Looks at sixteen bytes, and at the two that follow them.
    #[inline]
    fn look(&mut self, window: &[u8; LANES + BEYOND]) {
        let mut word = [0_u8; LANES];
        for lane in 0..LANES {
            let byte = window[lane];
            let (second, third) = (window[lane + 1] | 0x20, window[lane + 2] | 0x20);
            let lower = byte | 0x20;
            let digit = u8::from(byte.wrapping_sub(b'0') < 10);
            let letter = u8::from(lower.wrapping_sub(b'a') < 26);
            let small = u8::from(byte.wrapping_sub(b'a') < 26);
            let joint = u8::from(byte == b'-') | u8::from(byte == b'_');
            let ear = u8::from(lower == b'e') & u8::from(second == b'a') & u8::from(third == b'r');
            let sic = u8::from(lower == b's') & u8::from(second == b'i') & u8::from(third == b'c');
            let pair = u8::from(byte == b'=') | u8::from(byte == b':');
            let dashes = u8::from(byte == b'-') & u8::from(window[lane + 1] == b'-');
            word[lane] = digit | letter | joint;
            self.digits[lane] += digit;
            let signs = [
                pair * Signs::PAIR.0,
                u8::from(byte == b'@') * Signs::AT.0,
                (ear | sic) * Signs::SCHEME.0,
                dashes * Signs::DASHES.0,
                (digit | joint | (letter & !small)) * Signs::MIXED.0,
            ];
            self.signs[lane] |= signs.into_iter().fold(0, |all, one| all | one);
        }
        // A word of fifteen characters fills one of the halves, wherever it begins.
        let (halves, _) = word.as_chunks::<8>();
        self.long_word |= halves.contains(&[1; 8]);
    }

    fn digits(&mut self) -> u32 {
        std::mem::take(&mut self.digits).iter().map(|count| u32::from(*count)).sum()
    }
}

pub(super) fn signs(text: &[u8]) -> Signs {
    let mut seen = Seen::default();
    let mut digits = 0;
    let mut at = 0;
    let mut blocks = 0;
    while let Some(window) = text[at..].first_chunk::<{ LANES + BEYOND }>() {
        seen.look(window);
        at += LANES;
        blocks += 1;
        if blocks % BLOCKS == 0 {
            digits += seen.digits();
        }
    }
    digits += seen.digits();
    let mut last = [0; LANES + BEYOND];
    let rest = &text[at..];
    last[..rest.len()].copy_from_slice(rest);
    seen.look(&last);
    // The rest can be one or two bytes longer than the lanes.
    if rest.len() > LANES {
        let mut end = [0; LANES + BEYOND];
        end[..rest.len() - LANES].copy_from_slice(&rest[LANES..]);
        seen.look(&end);
    }
    digits += seen.digits();
    let mut signs = seen.signs.iter().fold(0, |all, one| all | one);
    if seen.long_word && signs & Signs::MIXED.0 != 0 {
        signs |= Signs::LONG_WORD.0;
    }
    if digits >= FEWEST_DIGITS {
        signs |= Signs::DIGITS.0;
    }
    Signs(signs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, one byte after another.
    fn slowly(text: &[u8]) -> [bool; 6] {
        let lower = text.to_ascii_lowercase();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let mixed = text.iter().any(|byte| is_word(byte) && !byte.is_ascii_lowercase());
        let long = text.split(|byte| !is_word(byte)).any(|word| word.len() >= 15);
        [
            text.iter().any(|byte| matches!(byte, b'=' | b':')),
            text.contains(&b'@'),
            lower.windows(3).any(|three| three == b"ear" || three == b"sic"),
            text.windows(2).any(|two| two == b"--"),
            mixed && long,
            text.iter().filter(|byte| byte.is_ascii_digit()).count() >= 7,
        ]
    }

    proptest! {
        #[test]
        fn no_sign_is_missed_wherever_it_stands(
            text in "[ -~]{0,70}",
            mark in prop::sample::select(vec!["", "@", "Bearer ", "--", "=", "1234567", "AKIAIOSFODNN7EX"]),
            at in 0_usize..70,
            copies in 1_usize..80,
        ) {
            let mut text = text;
            text.insert_str(at.min(text.len()), mark);
            let text = text.repeat(copies);
            let signs = signs(text.as_bytes());
            let kinds = [Signs::PAIR, Signs::AT, Signs::SCHEME, Signs::DASHES, Signs::LONG_WORD, Signs::DIGITS];
            for (there, kind) in slowly(text.as_bytes()).into_iter().zip(kinds) {
                // A long word is only guessed at.
                if kind == Signs::LONG_WORD {
                    prop_assert!(!there || signs.has(kind));
                } else {
                    prop_assert_eq!(there, signs.has(kind), "{:?} in {}", kind, text);
                }
            }
        }
    }
}
