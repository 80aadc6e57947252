//! The channel that posts to a webhook.

use std::fmt;
use std::time::Duration;

use obs_delivery::{
    Delivery, DeliveryConfig, DeliveryReport, DeliveryStatus, HttpConfig, HttpTransport, Message,
};
use obs_model::{Accepted, AlertEvent, AlertState, Sink};

use super::payload;
use crate::Error;

/// Where a [`WebhookChannel`] posts to and what it says there.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// The payload's `receiver`: which of the service's receivers this is.
    pub receiver: String,
    /// The payload's `externalURL` and `generatorURL`, for people who want to look; may be empty.
    pub external_url: String,
    /// The URL and the headers, such as an authorization.
    pub http: HttpConfig,
    /// How it queues and retries. Its name is the `destination` label of `obskit_delivery_…` metrics.
    pub delivery: DeliveryConfig,
}

impl WebhookConfig {
    /// A webhook at `url`, with the delivery defaults under the receiver's name.
    #[must_use]
    pub fn new(receiver: impl Into<String>, url: impl Into<String>) -> Self {
        let receiver = receiver.into();
        Self {
            delivery: DeliveryConfig::named(format!("webhook:{receiver}")),
            receiver,
            external_url: String::new(),
            http: HttpConfig::new(url),
        }
    }
}

/// A channel that posts each change as JSON, in the shape of version 4 of Alertmanager's webhook, so that
/// receivers made for it work unchanged. Each payload is a group of one alert.
///
/// To the alert's labels come `alertname`, `severity` and `rule_id`; the annotations are `summary`,
/// `description`, `alert_id` and, when there is one, `value`.
///
/// Delivery is at least once, so each request has an `Idempotency-Key` header that a retry repeats.
#[derive(Clone)]
pub struct WebhookChannel {
    receiver: String,
    external_url: String,
    delivery: Delivery,
}

impl WebhookChannel {
    /// Starts the delivery to a webhook on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// The URL, a header or a delivery setting is not accepted, or there is no runtime; the cause says
    /// which.
    pub fn start(config: WebhookConfig) -> Result<Self, Error> {
        let failed = |source| Error::webhook(&config.receiver, source);
        let transport = HttpTransport::new(config.http.clone()).map_err(failed)?;
        let delivery = Delivery::start(config.delivery.clone(), transport).map_err(failed)?;
        Ok(Self::over(config.receiver, config.external_url, delivery))
    }

    /// A channel over a delivery that was started elsewhere, with whatever transport.
    #[must_use]
    pub fn over(
        receiver: impl Into<String>,
        external_url: impl Into<String>,
        delivery: Delivery,
    ) -> Self {
        Self { receiver: receiver.into(), external_url: external_url.into(), delivery }
    }

    /// What the delivery has done and holds.
    #[must_use]
    pub fn status(&self) -> DeliveryStatus {
        self.delivery.status()
    }

    /// Takes no more events, and sends what is queued for as long as `deadline` allows.
    pub async fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        self.delivery.shutdown(deadline).await
    }
}

impl Sink<AlertEvent> for WebhookChannel {
    /// Queues the event; a pending one is left out, because the payload has no such state.
    fn accept(&self, event: AlertEvent) -> Accepted {
        if event.state == AlertState::Pending {
            return Accepted::Taken;
        }
        let body = payload::body(&event, &self.receiver, &self.external_url).to_string();
        let message = Message::new(body)
            .with_content_type("application/json")
            .with_header("Idempotency-Key", format!("{}-{}", event.id, event.state.as_str()));
        self.delivery.offer(message)
    }
}

impl fmt::Debug for WebhookChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookChannel").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}
