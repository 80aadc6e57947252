//! The Pushgateway: where a batch job leaves its metrics before it ends, to be scraped later.
//!
//! A job pushes its metrics as one group, named by `job` and more labels. The group stays until it is replaced or
//! deleted, so the last values of a nightly job are there all day.
//!
//! <https://github.com/prometheus/pushgateway#api>

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use obs_delivery::{Delivery, DeliveryConfig, HttpMethod, HttpTransport, Message, RetryPolicy};
use obs_model::is_valid_label_name;

use super::Endpoint;
use super::endpoint::endpoint_error;
use crate::error::{Error, Kind};
use crate::expose::PROTOBUF_CONTENT_TYPE;
use crate::registry::Registry;

/// How large the body of a push may be.
const MAX_BODY_BYTES: usize = 64 << 20;

/// One group of metrics on a Pushgateway.
///
/// ```
/// use obs_metrics::Registry;
/// use obs_metrics::push::{Endpoint, pushgateway::Pushgateway};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), obs_metrics::Error> {
/// let registry = Registry::default();
/// registry.gauge("backup_last_success_seconds", &[]).set(1_700_000_000.0);
/// let gateway = Pushgateway::new(Endpoint::new("http://127.0.0.1:9"), "backup", &registry)
///     .with_label("shard", "eu/1");
/// assert_eq!(gateway.url()?, "http://127.0.0.1:9/metrics/job/backup/shard@base64/ZXUvMQ");
/// let error = gateway.push(Duration::from_millis(50)).await.unwrap_err();
/// assert!(error.is_not_pushed()); // Nobody listens there.
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Pushgateway {
    endpoint: Endpoint,
    job: String,
    labels: Vec<(String, String)>,
    registry: Registry,
    body: Body,
}

/// The format in which metrics are pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Prometheus's text format.
    #[default]
    Text,
    /// Prometheus's protobuf format, which has native histograms too.
    Protobuf,
}

/// What is done to the group.
#[derive(Clone, Copy)]
enum Operation {
    Replace,
    Add,
    Delete,
}

impl Pushgateway {
    /// The group of `job` at the Pushgateway whose base URL the endpoint has (`http://pushgateway:9091`).
    #[must_use]
    pub fn new(endpoint: Endpoint, job: impl Into<String>, registry: &Registry) -> Self {
        Self {
            endpoint,
            job: job.into(),
            labels: Vec::new(),
            registry: registry.clone(),
            body: Body::Text,
        }
    }

    /// This group with another label that names it, such as `instance`; one given twice keeps its last value.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.labels.retain(|(known, _)| *known != name);
        self.labels.push((name, value.into()));
        self
    }

    /// This group, pushed in another format.
    #[must_use]
    pub fn with_body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// Replaces the whole group by the metrics as they are now (PUT). It is tried again until it succeeds or `deadline` is
    /// over.
    ///
    /// # Errors
    ///
    /// `is_invalid_push` if the endpoint, the job or a label is not acceptable, `is_not_pushed` if the Pushgateway refused
    /// or could not be reached in time.
    pub async fn push(&self, deadline: Duration) -> Result<(), Error> {
        self.exchange(Operation::Replace, deadline).await
    }

    /// As [`push`](Self::push), but metrics of the group with other names stay (POST).
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub async fn add(&self, deadline: Duration) -> Result<(), Error> {
        self.exchange(Operation::Add, deadline).await
    }

    /// Deletes the group.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub async fn delete(&self, deadline: Duration) -> Result<(), Error> {
        self.exchange(Operation::Delete, deadline).await
    }

    /// Pushes now and then every `interval` (at least 100 ms), for ever: spawn it, abort the task at the end of the job,
    /// and [`push`](Self::push) once more. A push that fails is counted in `obskit_delivery_…{destination="pushgateway"}`,
    /// and the next one brings what it would have.
    ///
    /// # Errors
    ///
    /// `is_invalid_push`, at once; otherwise it does not return.
    pub async fn run(&self, interval: Duration) -> Result<(), Error> {
        let interval = interval.max(Duration::from_millis(100));
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.push(interval).await {
                Err(error) if error.is_invalid_push() => return Err(error),
                _ => {}
            }
        }
    }

    /// The URL of the group.
    ///
    /// # Errors
    ///
    /// `is_invalid_push` if the job is empty or a label's name is not one.
    pub fn url(&self) -> Result<String, Error> {
        let mut problems = Vec::new();
        if self.job.is_empty() {
            problems.push("the job is empty: give it a name".to_owned());
        }
        for (name, _) in &self.labels {
            if name == "job" || name.starts_with("__") || !is_valid_label_name(name) {
                problems.push(format!("{name:?} cannot be a label of a group"));
            }
        }
        if !problems.is_empty() {
            let problems = problems.join("; ");
            return Err(Kind::InvalidPush { target: "Pushgateway", problems }.into());
        }
        let mut url = format!("{}/metrics", self.endpoint.url().trim_end_matches('/'));
        push_pair(&mut url, "job", &self.job);
        for (name, value) in &self.labels {
            push_pair(&mut url, name, value);
        }
        Ok(url)
    }

    async fn exchange(&self, operation: Operation, deadline: Duration) -> Result<(), Error> {
        let method = match operation {
            Operation::Replace => HttpMethod::Put,
            Operation::Add => HttpMethod::Post,
            Operation::Delete => HttpMethod::Delete,
        };
        let message = match operation {
            Operation::Delete => Message::new(""),
            Operation::Replace | Operation::Add => self.message(),
        };
        let transport = HttpTransport::new(
            self.endpoint.clone().with_url(self.url()?).http().with_method(method),
        )
        .map_err(|error| endpoint_error("Pushgateway", &error))?;
        let config = DeliveryConfig {
            capacity: 1,
            max_bytes: MAX_BODY_BYTES,
            max_message_bytes: MAX_BODY_BYTES,
            // The deadline alone says when to give up.
            breaker: None,
            retry: RetryPolicy {
                base_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                max_attempts: u32::MAX,
                ..RetryPolicy::default()
            },
            ..DeliveryConfig::named("pushgateway")
        };
        let delivery = Delivery::start(config, transport).map_err(|_| Kind::NoRuntime)?;
        let refused = delivery.offer(message);
        let report = delivery.shutdown(deadline).await;
        if report.delivered == 1 {
            return Ok(());
        }
        let problem = match delivery.last_error() {
            Some(error) => error.message,
            None if report.undelivered > 0 => format!("it did not answer within {deadline:?}"),
            None => format!("the metrics are more than {MAX_BODY_BYTES} bytes: {refused:?}"),
        };
        Err(Kind::NotPushed { problem }.into())
    }

    fn message(&self) -> Message {
        let accept = match self.body {
            Body::Text => None,
            Body::Protobuf => Some(PROTOBUF_CONTENT_TYPE),
        };
        let exposition = self.registry.negotiate(accept, None);
        let mut body = Vec::new();
        // OK because writing to a vector cannot fail.
        let _ = exposition.write(&mut body);
        Message::new(body).with_content_type(exposition.content_type())
    }
}

/// Appends a label and its value. A value that is empty or has a slash goes in base64, any other as it is but for
/// characters that a path cannot have.
fn push_pair(url: &mut String, name: &str, value: &str) {
    url.push('/');
    url.push_str(name);
    if value.is_empty() {
        // A lone padding character, because an empty segment of a path is lost on the way.
        url.push_str("@base64/=");
    } else if value.contains('/') || matches!(value, "." | "..") {
        // Dots would be taken for a relative path.
        url.push_str("@base64/");
        url.push_str(&URL_SAFE_NO_PAD.encode(value));
    } else {
        url.push('/');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                url.push(char::from(byte));
            } else {
                // OK because writing to a string cannot fail.
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(job: &str, labels: &[(&str, &str)]) -> Result<String, Error> {
        let registry = Registry::default();
        let endpoint = Endpoint::new("http://gateway:9091/");
        let gateway = Pushgateway::new(endpoint, job, &registry);
        labels.iter().fold(gateway, |group, (name, value)| group.with_label(*name, *value)).url()
    }

    #[test]
    fn a_group_is_named_by_its_path() {
        for (job, labels, path) in [
            ("backup", &[][..], "job/backup"),
            ("titan", &[("path", "/var/tmp")][..], "job/titan/path@base64/L3Zhci90bXA"),
            ("p\u{e9}", &[("a", "x y"), ("b", "")][..], "job/p%C3%A9/a/x%20y/b@base64/="),
            ("a/b", &[("a", ".."), ("a", "1")][..], "job@base64/YS9i/a/1"),
        ] {
            assert_eq!(url(job, labels).unwrap(), format!("http://gateway:9091/metrics/{path}"));
        }
    }

    #[test]
    fn every_problem_of_a_group_is_reported() {
        let error = url("", &[("job", "x"), ("9", "x"), ("__x", "x")]).unwrap_err();
        assert!(error.is_invalid_push());
        assert_eq!(
            error.to_string(),
            "push metrics by Pushgateway: the job is empty: give it a name; \"job\" cannot be a label of a group; \
             \"9\" cannot be a label of a group; \"__x\" cannot be a label of a group"
        );
    }
}
