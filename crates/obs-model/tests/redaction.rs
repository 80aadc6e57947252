//! The redactor against two lists of texts: some with a secret each, some without any.

use std::collections::BTreeMap;

use obs_model::{RedactMode, Redactor};

const SECRETS: &str = include_str!("data/secrets.tsv");
const HARMLESS: &str = include_str!("data/harmless.txt");

fn lines(list: &str) -> impl Iterator<Item = String> {
    list.lines().filter(|line| !line.starts_with("# ")).map(|line| line.replace("\\n", "\n"))
}

fn redactors() -> [Redactor; 3] {
    let redactor = Redactor::new();
    [
        redactor.clone(),
        redactor.clone().with_mode(RedactMode::Hash { key: *b"a key of a test." }),
        redactor.with_mode(RedactMode::Drop),
    ]
}

#[test]
fn no_secret_of_the_list_is_missed() {
    for redactor in redactors() {
        let mut missed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut count = 0;
        for line in lines(SECRETS) {
            let parts: Vec<&str> = line.splitn(3, '\t').collect();
            let [kind, secret, text] = parts[..] else { panic!("not three parts: {line}") };
            assert!(text.contains(secret), "{line}");
            count += 1;
            let redacted = redactor.text(text);
            if redacted.contains(secret) {
                missed.entry(kind.to_owned()).or_default().push(redacted.into_owned());
            }
        }
        assert!(count >= 300, "{count} texts");
        assert!(missed.is_empty(), "{redactor:?}: {missed:#?}");
    }
}

#[test]
fn hardly_any_harmless_text_of_the_list_is_touched() {
    for redactor in redactors() {
        let texts: Vec<String> = lines(HARMLESS).collect();
        let touched: Vec<_> = texts
            .iter()
            .map(|text| (text, redactor.text(text)))
            .filter(|(text, redacted)| redacted != *text)
            .collect();
        assert!(texts.len() >= 300, "{} texts", texts.len());
        assert!(touched.len() * 100 < texts.len(), "{touched:#?}");
    }
}

#[test]
fn no_uuid_is_taken_for_something_else() {
    let redactor = Redactor::new();
    // A linear congruential generator (Knuth's MMIX), so that every run looks at the same ones.
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 32
    };
    for _ in 0..100_000 {
        let high = next() << 32 | next();
        let low = next() << 32 | next();
        let uuid = uuid::Uuid::from_u64_pair(high, low).to_string();
        assert_eq!(redactor.text(&uuid), uuid);
    }
}
