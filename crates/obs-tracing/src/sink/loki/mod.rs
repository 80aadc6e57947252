//! Log lines to Grafana Loki.

mod answer;
mod encode;
mod labels;
mod proto;

use std::collections::BTreeMap;

use metrics::{Unit, counter, describe_counter};
use obs_delivery::Compression;

use self::answer::{LokiAnswers, REASONS};
use self::encode::{LokiEncoder, LokiRender};
use self::labels::{Labels, MAX_LABELS, Source, label_name, member_name};
use super::Endpoint;
use super::endpoint::{self, Protocol, Refused};
use super::{IntoSink, SinkStart, StartedSink};
use crate::Error;

const PATH: &str = "/loki/api/v1/push";

/// The schemes of its URLs.
const SCHEMES: [(&str, &str); 3] =
    [("loki", "http"), ("loki+http", "http"), ("loki+https", "https")];

const CAPPED: &str = "obskit_loki_capped_label_sets_total";

/// Log lines to Grafana Loki, by its push API with protobuf and snappy.
///
/// The streams of lines are told apart by few labels: `service` and `level` unless more are chosen. Ids, which are of
/// too many values for labels, are structured metadata: `trace_id`, `span_id`, `correlation_id`, `user_id`,
/// `organization_id`, `agent_id`, `session_id`, `request_id`, `workflow`, `step` and `tool`. The line is the JSON object
/// that the crate documentation describes, for LogQL's `| json`.
///
/// ```
/// use obs_tracing::sink::{Endpoint, LogSink, LokiConfig};
///
/// let loki = LokiConfig::new(Endpoint::new("http://loki:3100").with_basic_auth("user", "pass"))
///     .with_tenant("payments")
///     .with_label("environment", "production")
///     .with_label_field("organization_id");
/// let sink = LogSink::new("loki", loki);
/// # let _ = sink;
/// ```
///
/// Loki's answers 429 and 5xx are tried again, 413 halves the request, and any other refusal is final: what Loki could
/// store of such a request it has stored. `obskit_log_refused_total{destination,reason}` counts the refused lines, as far
/// as Loki tells, as `out_of_order`, `too_old`, `too_large`, `unauthorized` and `invalid`. Lines may arrive twice after an
/// attempt whose answer was lost; each line has a time of its own, by which Loki knows the second one.
#[derive(Clone, Debug)]
pub struct LokiConfig {
    endpoints: Vec<Endpoint>,
    tenant: Option<String>,
    fields: Vec<String>,
    fixed: Vec<(String, String)>,
    max_label_sets: usize,
    line: LokiLine,
    structured_metadata: bool,
}

/// What the text of a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LokiLine {
    /// The whole line as one JSON object.
    #[default]
    Json,
    /// What it says, and nothing else. All its fields are then structured metadata.
    Message,
}

impl LokiConfig {
    /// A Loki by its base URL, such as `http://loki:3100`: `/loki/api/v1/push` is added unless it is there.
    #[must_use]
    pub fn new(endpoint: impl Into<Endpoint>) -> Self {
        Self {
            endpoints: vec![endpoint.into()],
            tenant: None,
            fields: vec!["service".to_owned(), "level".to_owned()],
            fixed: Vec::new(),
            max_label_sets: 200,
            line: LokiLine::default(),
            structured_metadata: true,
        }
    }

    /// A Loki as a URL: `loki://host:3100`, and `loki+https` for TLS. A name and a password in it are those of basic
    /// authentication.
    ///
    /// ```
    /// use obs_tracing::sink::LokiConfig;
    ///
    /// LokiConfig::from_url("loki+https://user:pass@logs.example.com")?;
    /// assert!(LokiConfig::from_url("http://logs.example.com").is_err());
    /// # Ok::<(), obs_tracing::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `is_config` if it is another URL. The message has no part of the URL, which may hold a password.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let endpoint = endpoint::of_url(url, &SCHEMES).ok_or_else(|| {
            let accepted = "expected loki://host:port or loki+https://host:port";
            Error::config(vec![format!("the URL of a Loki sink is not one: {accepted}")])
        })?;
        Ok(Self::new(endpoint))
    }

    /// This configuration with one more Loki, which takes over while those before it fail.
    #[must_use]
    pub fn with_fallback(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// This configuration with each of its endpoints changed: for headers and credentials that all of them have.
    ///
    /// ```
    /// use obs_tracing::sink::LokiConfig;
    ///
    /// let config = LokiConfig::new("https://loki:3100")
    ///     .each_endpoint(|endpoint| endpoint.with_bearer_token("s3cret"));
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn each_endpoint(mut self, change: impl FnMut(Endpoint) -> Endpoint) -> Self {
        self.endpoints = self.endpoints.into_iter().map(change).collect();
        self
    }

    /// This configuration for a tenant, the value of the header `X-Scope-OrgID`.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// This configuration with a label that has the same value on every line.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fixed.push((name.into(), value.into()));
        self
    }

    /// This configuration with a field of lines as one more label, named as in code: `organization_id`. It should have
    /// few values: each combination of values is a stream, and Loki is slow with many.
    #[must_use]
    pub fn with_label_field(mut self, field: impl Into<String>) -> Self {
        self.fields.push(field.into());
        self
    }

    /// This configuration with exactly these fields as labels, in place of `service` and `level`.
    #[must_use]
    pub fn with_label_fields<F: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = F>,
    ) -> Self {
        self.fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// This configuration with so many combinations of values of labels at most, at least 1; 200 otherwise. Of a further
    /// combination the values that come from fields, but for the level, are `other`, and
    /// `obskit_loki_capped_label_sets_total` counts its lines.
    #[must_use]
    pub fn with_max_label_sets(mut self, sets: usize) -> Self {
        self.max_label_sets = sets;
        self
    }

    /// This configuration with another text of lines.
    #[must_use]
    pub fn with_line(mut self, line: LokiLine) -> Self {
        self.line = line;
        self
    }

    /// This configuration without structured metadata, for a Loki before 3.0 or with a schema before v13, which refuses
    /// it.
    #[must_use]
    pub fn without_structured_metadata(mut self) -> Self {
        self.structured_metadata = false;
        self
    }

    fn targets(&self) -> Vec<Endpoint> {
        let target = |endpoint: &Endpoint| {
            let endpoint = endpoint.clone().with_path(PATH);
            match &self.tenant {
                Some(tenant) => endpoint.with_header("X-Scope-OrgID", tenant.as_str()),
                None => endpoint,
            }
        };
        self.endpoints.iter().map(target).collect()
    }

    fn sources(&self) -> BTreeMap<String, Source> {
        let fields = self.fields.iter().map(|field| match member_name(field) {
            "level" => ("level".to_owned(), Source::Level),
            member => (label_name(member), Source::Field(member.to_owned())),
        });
        let fixed = self.fixed.iter().map(|(name, value)| {
            let value = Source::Fixed(value.clone());
            (name.clone(), value)
        });
        fields.chain(fixed).collect()
    }
}

impl IntoSink for LokiConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = endpoint::problems(&self.targets());
        for (name, _) in self.fixed.iter().filter(|(name, _)| !is_label_name(name)) {
            problems.push(format!(
                "the label {name:?} is not one of Loki: letters, digits and _, not a digit first and not two _"
            ));
        }
        for field in self.fields.iter().filter(|field| field.is_empty()) {
            problems.push(format!("a field that is to be a label is {field:?}: give it a name"));
        }
        let labels = self.sources().len();
        if labels < self.fields.len() + self.fixed.len() {
            problems.push("two labels have the same name: give each its own".to_owned());
        }
        if !(1..=MAX_LABELS).contains(&labels) {
            problems.push(format!("there are {labels} labels: from 1 to {MAX_LABELS}"));
        }
        if self.max_label_sets == 0 {
            problems.push("max_label_sets is 0: at least 1".to_owned());
        }
        problems
    }

    fn start(self: Box<Self>, start: SinkStart) -> Result<StartedSink, String> {
        describe_counter!(
            CAPPED,
            Unit::Count,
            "Log lines whose labels became `other`, because there were too many combinations."
        );
        let capped = counter!(CAPPED, "destination" => start.name.clone());
        let labels = Labels::new(self.sources(), self.max_label_sets, capped);
        let protocol = Protocol {
            render: LokiRender::new(&self, labels),
            encoder: LokiEncoder,
            classifier: LokiAnswers { refused: Refused::bind(&start.name, &REASONS) },
            compression: Compression::Snappy,
        };
        protocol.start(start, &self.targets())
    }
}

/// Names that begin with two underscores are Loki's own.
fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("__") && label_name(name) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_said() {
        let good = LokiConfig::new("http://h:3100")
            .with_fallback("https://logs.example.com/loki/api/v1/push")
            .with_label("env", "prod")
            .with_label_field("organization_id");
        assert_eq!(IntoSink::problems(&good), [""; 0]);
        let bad = LokiConfig::new("h:3100")
            .with_label("__env", "x")
            .with_label_field("level")
            .with_label_field("")
            .with_max_label_sets(0);
        let problems = IntoSink::problems(&bad).join("\n");
        for part in ["url", "\"__env\"", "the same name", "is \"\"", "max_label_sets"] {
            assert!(problems.contains(part), "{part} is missing in {problems}");
        }
        let none = LokiConfig::new("http://h:3100").with_label_fields([""; 0]);
        assert!(IntoSink::problems(&none)[0].contains("0 labels"));
    }
}
