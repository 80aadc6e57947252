//! Which names of fields say that the value is a secret.

/// Parts of names whose values are secrets; compared without case and separators.
const PARTS: [&str; 19] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "credential",
    "signature",
    "creditcard",
    "cardnumber",
    "connectionstring",
];

/// Names that are secrets when they stand alone or between separators, but mean nothing inside other words.
const WORDS: [&str; 12] =
    ["pwd", "pin", "cvv", "cvc", "ssn", "otp", "sig", "jwt", "iban", "session", "sid", "bearer"];

/// What makes a name with one of the parts harmless: it counts or describes, and holds no secret.
const HARMLESS: [&str; 18] = [
    "tokens",
    "tokencount",
    "tokentype",
    "tokeniz",
    "tokenexpir",
    "tokenttl",
    "tokenage",
    "tokenid",
    "tokenbucket",
    "sessionid",
    "sessions",
    "sessioncount",
    "sessionage",
    "secretname",
    "secretversion",
    "secretary",
    "passwordless",
    "cookieconsent",
];

/// The longest name that is looked at: longer ones are looked at up to here.
const LONGEST: usize = 128;

#[derive(Clone)]
pub(super) struct KeyNames {
    parts: Vec<Box<[u8]>>,
    /// A bit for the first two letters of each part, so that most names are seen to be harmless at once.
    starts: [u64; 16],
}

impl KeyNames {
    pub(super) fn new() -> Self {
        let mut names = Self { parts: Vec::new(), starts: [0; 16] };
        PARTS.iter().for_each(|part| names.add(part));
        names
    }

    pub(super) fn add(&mut self, key: &str) {
        let mut buffer = [0; LONGEST];
        let part = folded(key, &mut buffer);
        if let [first, rest @ ..] = part {
            // OK because a name of one letter matches by its first letter alone.
            let seconds = match rest.first() {
                Some(second) => *second..=*second,
                None => 0..=u8::MAX,
            };
            for second in seconds {
                let bit = bit_of(*first, second);
                self.starts[bit / 64] |= 1 << (bit % 64);
            }
            self.parts.push(part.into());
        }
    }

    pub(super) fn is_secret(&self, key: &str) -> bool {
        let mut buffer = [0; LONGEST];
        let folded = folded(key, &mut buffer);
        self.has_part(folded)
            && !HARMLESS.iter().any(|harmless| contains(folded, harmless.as_bytes()))
            || has_word(key)
    }

    fn has_part(&self, key: &[u8]) -> bool {
        (0..key.len()).any(|at| {
            let bit = bit_of(key[at], key.get(at + 1).copied().unwrap_or(0));
            self.starts[bit / 64] & (1 << (bit % 64)) != 0
                && self.parts.iter().any(|part| key[at..].starts_with(part))
        })
    }
}

fn has_word(key: &str) -> bool {
    let mut words = key.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| {
        (3..=7).contains(&word.len()) && WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
    }) && !contains(folded(key, &mut [0; LONGEST]), b"sessionid")
        && !key.to_ascii_lowercase().contains("session_")
}

fn contains(key: &[u8], part: &[u8]) -> bool {
    key.windows(part.len()).any(|window| window == part)
}

/// The name in lower case without separators.
fn folded<'a>(key: &str, buffer: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let mut length = 0;
    for byte in key.bytes().filter(|byte| !matches!(byte, b'-' | b'_' | b'.')).take(LONGEST) {
        buffer[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    &buffer[..length]
}

fn bit_of(first: u8, second: u8) -> usize {
    (usize::from(first) * 31 + usize::from(second)) % 1_024
}
