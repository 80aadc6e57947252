//! Which labels a registry takes, and what it makes of their values.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use obs_model::Redactor;
use sha2::Sha256;

use crate::names;

/// Rules for labels, applied when a series is made: the labels that are left out never reach it, so series that differ
/// only in them are one series.
///
/// The rules are tried in this order: a label that is denied is left out; of a metric that has a list of allowed
/// labels, all others are left out; a label with pseudonyms gets one; what is left is redacted, if a redactor is set.
/// Names are compared in the form that the exposition shows (`http_method` for `http.method`).
///
/// ```
/// use obs_metrics::{LabelRules, Registry, RegistryConfig};
///
/// let label_rules = LabelRules::new()
///     .deny("email")
///     .allow_only("orders_total", &["region"])
///     .pseudonyms(b"a secret that only we have", &["organization_id"]);
/// let registry = Registry::new(RegistryConfig { label_rules, ..RegistryConfig::default() });
///
/// registry.counter("orders_total", &[("region", "eu"), ("order", "17")]).increment(1);
/// registry.counter("logins_total", &[("organization_id", "acme"), ("email", "a@b.c")]).increment(1);
/// assert_eq!(registry.value("orders_total", &[("region", "eu")]), Some(1.0));
/// assert!(!registry.render_text().contains("acme"));
/// ```
#[derive(Clone, Default)]
pub struct LabelRules {
    denied: BTreeSet<String>,
    denied_for: BTreeMap<String, BTreeSet<String>>,
    allowed_for: BTreeMap<String, BTreeSet<String>>,
    pseudonyms: BTreeMap<String, Pseudonyms>,
    redactor: Option<Arc<Redactor>>,
}

/// Makes pseudonyms with one key.
#[derive(Clone)]
struct Pseudonyms(Hmac<Sha256>);

impl LabelRules {
    /// No rules: every label is taken as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves a label out of every metric.
    #[must_use]
    pub fn deny(mut self, label: &str) -> Self {
        self.denied.insert(names::label_name(label, false).into_owned());
        self
    }

    /// Leaves a label out of one metric.
    #[must_use]
    pub fn deny_for(mut self, metric: &str, label: &str) -> Self {
        let metric = names::metric_name(metric).into_owned();
        let label = names::label_name(label, false).into_owned();
        self.denied_for.entry(metric).or_default().insert(label);
        self
    }

    /// Takes only these labels of one metric, and those of earlier calls for the same metric.
    #[must_use]
    pub fn allow_only(mut self, metric: &str, labels: &[&str]) -> Self {
        let metric = names::metric_name(metric).into_owned();
        let labels = labels.iter().map(|label| names::label_name(label, false).into_owned());
        self.allowed_for.entry(metric).or_default().extend(labels);
        self
    }

    /// Shows a pseudonym in place of the values of these labels, in every metric: the first 64 bits of
    /// HMAC-SHA-256 of the value, as 16 hexadecimal digits.
    ///
    /// One value has one pseudonym for as long as `key` stays the same, so series can still be told apart and
    /// followed; without the key nobody can tell which value it stands for, or try values out. Keep the key as the
    /// secret it is. It may have any length; 32 random bytes are a good one. An empty value stays empty.
    #[must_use]
    pub fn pseudonyms(mut self, key: &[u8], labels: &[&str]) -> Self {
        // OK because HMAC takes a key of any length.
        if let Ok(keyed) = Hmac::<Sha256>::new_from_slice(key) {
            for label in labels {
                let label = names::label_name(label, false).into_owned();
                self.pseudonyms.insert(label, Pseudonyms(keyed.clone()));
            }
        }
        self
    }

    /// Removes what `redactor` finds in label values. It looks at values only: a label whose name says that it is
    /// secret should be denied.
    ///
    /// Nothing is redacted by default, because it costs about a microsecond for each label of a recording whose
    /// series is not known yet.
    #[must_use]
    pub fn redact(mut self, redactor: Redactor) -> Self {
        self.redactor = Some(Arc::new(redactor));
        self
    }

    /// What becomes of one label of a metric: its value, or nothing when it is left out. Names are valid names.
    pub(crate) fn apply<'v>(
        &self,
        metric: &str,
        label: &str,
        value: &'v str,
    ) -> Option<Cow<'v, str>> {
        if self.are_none() {
            return Some(Cow::Borrowed(value));
        }
        let lists = |of: &BTreeMap<String, BTreeSet<String>>| {
            of.get(metric).map(|some| some.contains(label))
        };
        let is_left_out = self.denied.contains(label)
            || lists(&self.denied_for) == Some(true)
            || lists(&self.allowed_for) == Some(false);
        if is_left_out {
            return None;
        }
        if let Some(pseudonyms) = self.pseudonyms.get(label) {
            return Some(pseudonyms.of(value));
        }
        Some(match &self.redactor {
            Some(redactor) => redactor.text(value),
            None => Cow::Borrowed(value),
        })
    }

    /// Whether every label is taken as it is.
    fn are_none(&self) -> bool {
        self.denied.is_empty()
            && self.denied_for.is_empty()
            && self.allowed_for.is_empty()
            && self.pseudonyms.is_empty()
            && self.redactor.is_none()
    }
}

impl Pseudonyms {
    fn of<'v>(&self, value: &'v str) -> Cow<'v, str> {
        if value.is_empty() {
            return Cow::Borrowed(value);
        }
        let code = self.0.clone().chain_update(value).finalize().into_bytes();
        Cow::Owned(code.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Shows which labels have rules, and no key.
impl fmt::Debug for LabelRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelRules")
            .field("denied", &self.denied)
            .field("denied_for", &self.denied_for)
            .field("allowed_for", &self.allowed_for)
            .field("pseudonyms", &self.pseudonyms.keys())
            .field("redacts", &self.redactor.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_tried_in_order() {
        let rules = LabelRules::new()
            .deny("email")
            .deny_for("http.requests", "user.agent")
            .allow_only("orders_total", &["region", "email"])
            .allow_only("orders_total", &["kind"])
            .pseudonyms(b"key", &["organization_id"])
            .redact(Redactor::new());
        for (metric, label, value, expected) in [
            ("x_total", "email", "a@b.c", None),
            ("orders_total", "email", "a@b.c", None),
            ("orders_total", "region", "eu", Some("eu")),
            ("orders_total", "kind", "new", Some("new")),
            ("orders_total", "order", "17", None),
            ("x_total", "order", "17", Some("17")),
            ("http_requests", "user_agent", "curl", None),
            ("x_total", "user_agent", "curl", Some("curl")),
            ("x_total", "organization_id", "", Some("")),
            ("x_total", "note", "Bearer abc123", Some("Bearer [redacted]")),
        ] {
            assert_eq!(rules.apply(metric, label, value).as_deref(), expected, "{metric} {label}");
        }
        assert!(!rules.are_none() && LabelRules::new().are_none());
    }

    #[test]
    fn a_pseudonym_is_the_start_of_hmac_sha_256() {
        // Test case 2 of RFC 4231.
        let rules = LabelRules::new().pseudonyms(b"Jefe", &["id"]);
        let value = rules.apply("x", "id", "what do ya want for nothing?");
        assert_eq!(value.as_deref(), Some("5bdcc146bf60754e"));
        let other = LabelRules::new().pseudonyms(b"Jefe2", &["id"]);
        assert_ne!(value, other.apply("x", "id", "what do ya want for nothing?"));
        assert!(!format!("{rules:?}").contains("Jefe"));
    }
}
