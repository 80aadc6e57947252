//! Keeping secrets and personal data out of telemetry.

mod find;
mod hash;
mod keys;
mod numbers;
mod pairs;
mod prefilter;
mod tokens;
mod uuid;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use keys::KeyNames;
use prefilter::Signs;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// How the hash of a secret begins.
const HASHED: &str = "[hash:";

/// The shortest text that can hold a secret, such as `pin=1`.
const SHORTEST: usize = 5;

/// Removes secrets and personal data from field values and texts.
///
/// A value is replaced as a whole when its key names a secret. In any text, what looks like one of [`SecretKind`] is
/// replaced. What stands in its place is up to the [`RedactMode`].
///
/// ```
/// use obs_model::{RedactMode, Redactor, SecretKind};
///
/// let redactor = Redactor::new();
/// assert_eq!(redactor.field("db_password", "hunter2"), "[redacted]");
/// assert_eq!(redactor.text("call with Bearer abc123 failed"), "call with Bearer [redacted] failed");
/// assert_eq!(redactor.text("postgres://app:hunter2@db/x"), "postgres://app:[redacted]@db/x");
/// assert_eq!(redactor.text("mail to ada@example.org"), "mail to [redacted]");
/// assert_eq!(redactor.text("nothing to hide"), "nothing to hide");
///
/// // The same secret always has the same hash, so that lines can still be matched with each other.
/// let hashing = Redactor::new().with_mode(RedactMode::Hash { key: *b"0123456789abcdef" });
/// let (one, two) = (hashing.text("from ada@example.org"), hashing.text("to ada@example.org"));
/// assert_eq!(one.strip_prefix("from "), two.strip_prefix("to "));
///
/// let plain = Redactor::new().without(SecretKind::Email);
/// assert_eq!(plain.text("mail to ada@example.org"), "mail to ada@example.org");
/// ```
///
/// A text is looked at once to see what could be in it; only what could be there is searched for.
#[derive(Clone)]
pub struct Redactor(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    keys: KeyNames,
    /// Whether some of them are not among the default ones.
    has_added_keys: bool,
    mode: RedactMode,
    /// One bit for each kind that is not looked for.
    ignored: u16,
}

/// What stands in place of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedactMode {
    /// [`REDACTED`].
    Mask,
    /// `[hash:…]` with 16 hexadecimal digits: SipHash-2-4 (Aumasson and Bernstein, 2012) of the secret under `key`.
    ///
    /// Who knows the key can find out secrets that are easy to guess, such as card numbers: keep it as one.
    Hash {
        /// The key, which must not be known to those who read the telemetry.
        key: [u8; 16],
    },
    /// Nothing.
    Drop,
}

/// The key of a hash is a secret, and is not shown.
impl fmt::Debug for RedactMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mask => "Mask",
            Self::Hash { .. } => "Hash",
            Self::Drop => "Drop",
        })
    }
}

/// What is looked for in texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretKind {
    /// The value of a pair such as `api_key=…` or `"password": "…"`, and what follows `Bearer` or `Basic`.
    Credential,
    /// The password in a URL.
    UrlPassword,
    /// JSON Web Tokens.
    WebToken,
    /// Keys with the marks of their issuers: AWS, Google, Azure, GitHub, GitLab, Slack, Stripe and others.
    ServiceKey,
    /// Private keys in PEM form.
    PrivateKey,
    /// Mail addresses.
    Email,
    /// Numbers of payment cards whose check digit is right (Luhn, ISO/IEC 7812).
    CardNumber,
    /// Bank accounts whose check digits are right (IBAN, ISO 13616).
    BankAccount,
    /// Phone numbers in international form (E.164), or as they are written in North America.
    PhoneNumber,
}

impl SecretKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Credential,
        Self::UrlPassword,
        Self::WebToken,
        Self::ServiceKey,
        Self::PrivateKey,
        Self::Email,
        Self::CardNumber,
        Self::BankAccount,
        Self::PhoneNumber,
    ];
}

impl Redactor {
    /// A redactor that masks, with the default keys and all kinds.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Rules {
            keys: KeyNames::new(),
            has_added_keys: false,
            mode: RedactMode::Mask,
            ignored: 0,
        }))
    }

    /// This redactor, also for keys that contain `key`; case, `-`, `_` and `.` do not matter.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        let rules = Arc::make_mut(&mut self.0);
        rules.keys.add(key);
        rules.has_added_keys = true;
        self
    }

    /// Whether it has other keys than the default ones.
    #[must_use]
    pub fn has_added_keys(&self) -> bool {
        self.0.has_added_keys
    }

    /// This redactor, with something else in place of secrets.
    #[must_use]
    pub fn with_mode(mut self, mode: RedactMode) -> Self {
        Arc::make_mut(&mut self.0).mode = mode;
        self
    }

    /// This redactor, without looking for one kind in texts.
    #[must_use]
    pub fn without(mut self, kind: SecretKind) -> Self {
        Arc::make_mut(&mut self.0).ignored |= 1 << kind as u16;
        self
    }

    /// Whether the value of a field with this name is a secret.
    #[must_use]
    pub fn is_secret_key(&self, key: &str) -> bool {
        self.0.keys.is_secret(key)
    }

    /// The value of the field `key`, without secrets.
    #[must_use]
    pub fn field<'a>(&self, key: &str, value: &'a str) -> Cow<'a, str> {
        if self.is_secret_key(key) { self.replacement(value) } else { self.text(value) }
    }

    /// What stands in place of `secret`.
    #[must_use]
    pub fn replacement(&self, secret: &str) -> Cow<'static, str> {
        match self.0.mode {
            RedactMode::Mask => Cow::Borrowed(REDACTED),
            RedactMode::Drop => Cow::Borrowed(""),
            RedactMode::Hash { key } => {
                Cow::Owned(format!("{HASHED}{:016x}]", hash::siphash(key, secret.as_bytes())))
            }
        }
    }

    /// A free text, without secrets. It is borrowed when there is nothing to remove.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.len() < SHORTEST || uuid::is_whole(text) {
            return Cow::Borrowed(text);
        }
        let signs = prefilter::signs(text.as_bytes());
        if signs.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut found = self.find(text, signs);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable_by_key(|secret| (secret.start, secret.end));
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for secret in found {
            if secret.start >= from {
                out.push_str(&text[from..secret.start]);
                out.push_str(&self.replacement(&text[secret.clone()]));
            }
            from = from.max(secret.end);
        }
        out.push_str(&text[from..]);
        Cow::Owned(out)
    }

    fn looks_for(&self, kind: SecretKind) -> bool {
        self.0.ignored & (1 << kind as u16) == 0
    }

    /// Where secrets are, in any order; they may overlap.
    fn find(&self, text: &str, signs: Signs) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let could_be = |sign: Signs, kind| signs.has(sign) && self.looks_for(kind);
        if could_be(Signs::PAIR, SecretKind::Credential) {
            pairs::find(text, &self.0.keys, &mut found);
        }
        if could_be(Signs::SCHEME, SecretKind::Credential) {
            pairs::find_schemes(text, &mut found);
        }
        if could_be(Signs::AT, SecretKind::UrlPassword) {
            find::url_passwords(text, &mut found);
        }
        if could_be(Signs::AT, SecretKind::Email) {
            find::emails(text, &mut found);
        }
        if could_be(Signs::DASHES, SecretKind::PrivateKey) {
            find::private_keys(text, &mut found);
        }
        if signs.has(Signs::LONG_WORD) {
            let kinds = [SecretKind::WebToken, SecretKind::ServiceKey];
            tokens::find(text, kinds.map(|kind| self.looks_for(kind)), &mut found);
        }
        if signs.has(Signs::DIGITS) {
            let kinds = [SecretKind::CardNumber, SecretKind::BankAccount, SecretKind::PhoneNumber];
            numbers::find(text, kinds.map(|kind| self.looks_for(kind)), &mut found);
        }
        found
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("mode", &self.0.mode).finish_non_exhaustive()
    }
}

/// Whether this stands in place of a secret already.
fn is_replaced(value: &str) -> bool {
    value.starts_with(REDACTED) || value.starts_with(HASHED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_replaced_and_the_rest_is_kept() {
        let redactor = Redactor::new().with_key("tax-id");
        for (given, expected) in [
            ("Authorization: Bearer abcdef.ghi", "Authorization: Bearer [redacted]"),
            ("GET /x?api_key=12345&page=2", "GET /x?api_key=[redacted]&page=2"),
            (r#"{"password": "a b", "user": "u"}"#, r#"{"password": "[redacted]", "user": "u"}"#),
            ("TaxId=77 kept", "TaxId=[redacted] kept"),
            ("https://u:p%40x@h/p", "https://u:[redacted]@h/p"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt [redacted] end"),
            ("Cookie: a=1; b=2\nHost: x", "Cookie: [redacted]\nHost: x"),
            ("card 4111 1111 1111 1111, paid", "card [redacted], paid"),
            ("basic idea", "basic idea"),
            ("tokens=12 at 10:30", "tokens=12 at 10:30"),
            ("my_app::session::store", "my_app::session::store"),
            ("é=ö: ü", "é=ö: ü"),
        ] {
            assert_eq!(redactor.text(given), expected);
        }
    }

    #[test]
    fn keys_are_matched_without_case_and_separators() {
        let redactor = Redactor::new();
        for key in ["Password", "X-Api-Key", "db_passwd", "Set-Cookie", "clientSecret", "user.pin"]
        {
            assert!(redactor.is_secret_key(key), "{key}");
        }
        for key in ["user", "passenger", "session_id", "tokens_used", "key", "pinned", "max_tokens"]
        {
            assert!(!redactor.is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn what_stands_in_place_of_a_secret_depends_on_the_mode() {
        let text = "pin=1234 of ada@example.org";
        let hashing = Redactor::new().with_mode(RedactMode::Hash { key: [7; 16] });
        let hashed = hashing.text(text).into_owned();
        assert!(!hashed.contains("1234") && !hashed.contains("ada"), "{hashed}");
        assert_eq!(hashed.matches("[hash:").count(), 2);
        assert_eq!(hashing.text(&hashed), hashed);
        assert_eq!(hashing.field("pin", "1234"), hashing.replacement("1234"));
        let other = Redactor::new().with_mode(RedactMode::Hash { key: [8; 16] });
        assert_ne!(other.text(text), hashed);
        let dropping = Redactor::new().with_mode(RedactMode::Drop);
        assert_eq!(dropping.text(text), "pin= of ");
        assert!(!format!("{hashing:?}").contains('7'));
    }

    #[test]
    fn a_kind_that_is_not_looked_for_stays() {
        let text = "call +49 30 901820, mail a@b.example";
        assert_eq!(Redactor::new().text(text), "call [redacted], mail [redacted]");
        let kept = Redactor::new().without(SecretKind::PhoneNumber);
        assert_eq!(kept.text(text), "call +49 30 901820, mail [redacted]");
    }

    proptest! {
        #[test]
        fn any_text_is_redacted_without_panicking_and_once_is_enough(text in ".{0,80}") {
            for mode in [RedactMode::Mask, RedactMode::Hash { key: [1; 16] }] {
                let redactor = Redactor::new().with_mode(mode);
                let once = redactor.text(&text).into_owned();
                prop_assert_eq!(redactor.text(&once).into_owned(), once);
            }
        }

        #[test]
        fn the_marks_of_secrets_in_any_order_do_no_harm(
            parts in prop::collection::vec(prop::sample::select(vec![
                "password", "=", ": ", "\"", "Bearer ", "a@b.co", "://", "@", "u:p", "4111111111111111",
                "+49 170 1234567", "GB82WEST12345698765432", "eyJ", ".", "-----BEGIN PRIVATE KEY-----",
                "AKIAIOSFODNN7EXAMPLE", " ", "\n", "é", "[redacted]", "(555) 234-5678", "ghp_", "x",
            ]), 0..12),
        ) {
            let text: String = parts.concat();
            let redactor = Redactor::new();
            let once = redactor.text(&text).into_owned();
            // What was left is still UTF-8 at every cut, and a second look may only find less.
            prop_assert!(redactor.text(&once).len() <= once.len() + REDACTED.len());
        }
    }
}
