//! Metrics that are sent instead of scraped.

use std::time::Duration;

use obs_delivery::Delivery;
#[cfg(feature = "otlp")]
use obs_metrics::Registry;
use obs_metrics::push::{self, Endpoint, Pusher, remote_write};
#[cfg(feature = "otlp")]
use obs_model::Resource;

use super::series::SeriesPart;
use crate::config::{RemoteWriteSettings, Settings};
use crate::error::StartError;

/// The pushes that run.
#[derive(Debug, Default)]
pub(crate) struct PushPart {
    pushers: Vec<Pusher>,
}

/// Starts a push for each endpoint that is set; when metrics are off there is nothing to push.
pub(crate) fn start(
    settings: &Settings,
    #[cfg(feature = "otlp")] resource: &Resource,
    series: &SeriesPart,
) -> Result<PushPart, StartError> {
    let mut part = PushPart::default();
    if !settings.metrics.enabled {
        return Ok(part);
    }
    push::describe();
    obs_delivery::describe();
    if let Some(endpoint) = &settings.remote_write.endpoint {
        part.pushers.push(remote_write(settings, endpoint, series)?);
    }
    #[cfg(feature = "otlp")]
    part.pushers.extend(otlp(settings, resource, &series.registry)?);
    Ok(part)
}

impl PushPart {
    /// Pushes the values of now within `deadline`; a sentence for each destination that did not get everything.
    pub(crate) async fn flush(&self, deadline: Duration) -> Vec<String> {
        let end = std::time::Instant::now() + deadline;
        let mut undelivered = Vec::new();
        for pusher in &self.pushers {
            let left = || end.saturating_duration_since(std::time::Instant::now());
            let delivery = pusher.delivery();
            let dropped_before = delivery.status().dropped.total();
            let is_read = tokio::time::timeout(left(), pusher.export()).await.is_ok();
            let flushed = delivery.flush(left()).await;
            let dropped = delivery.status().dropped.total() - dropped_before;
            if !is_read || !flushed.is_complete || dropped > 0 {
                let why = delivery.last_error().map(|error| error.message);
                let why = why.unwrap_or_else(|| String::from("the time was up"));
                undelivered.push(format!("metrics for {} ({why})", delivery.name()));
            }
        }
        undelivered
    }

    /// Pushes the last values within `deadline`; a sentence for each destination that did not get everything.
    pub(crate) async fn stop(&mut self, deadline: Duration) -> Vec<String> {
        let end = std::time::Instant::now() + deadline;
        let mut undelivered = Vec::new();
        for pusher in self.pushers.drain(..) {
            let name = pusher.delivery().name().to_owned();
            let left = end.saturating_duration_since(std::time::Instant::now());
            let report = pusher.shutdown(left).await;
            if report.undelivered > 0 {
                undelivered
                    .push(format!("{} requests with metrics for {name}", report.undelivered));
            }
        }
        undelivered
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StartError {
    StartError::part("the push of metrics", error)
}

fn remote_write(settings: &Settings, url: &str, series: &SeriesPart) -> Result<Pusher, StartError> {
    const NAME: &str = "remote_write";
    let transport = |url: &str| {
        let endpoint = endpoint(&settings.remote_write, url);
        remote_write::transport(&endpoint, NAME).map_err(failed)
    };
    let mut config = remote_write::delivery_config(NAME);
    // A quarter of the disk: the samples take half, and what is rewritten needs room beside what it replaces.
    config.spool.max_bytes = (settings.state.max_bytes / 4).max(1);
    #[cfg(feature = "state")]
    let spool = series.state.as_ref().map(|state| state.spool(NAME, settings.state.max_bytes / 4));
    let mut delivery = Delivery::builder(config).endpoint("primary", transport(url)?);
    #[cfg(feature = "state")]
    if let Some(spool) = spool.transpose()? {
        delivery = delivery.spool(spool);
    }
    if let Some(fallback) = &settings.remote_write.fallback {
        delivery = delivery.endpoint("fallback", transport(fallback)?);
    }
    let service = &settings.service;
    let instance = service.instance.clone().unwrap_or_else(push::host_name);
    let config = remote_write::RemoteWriteConfig {
        interval: settings.remote_write.interval,
        external_labels: push::target_labels(&service.name, &instance).map_err(failed)?,
        exemplars: settings.metrics.exemplars,
        ..Default::default()
    };
    remote_write::start(config, &series.registry, delivery.start().map_err(failed)?).map_err(failed)
}

fn endpoint(settings: &RemoteWriteSettings, url: &str) -> Endpoint {
    let endpoint = Endpoint::new(url).with_tls(settings.tls.config());
    let endpoint = match (&settings.token, &settings.user, &settings.password) {
        (Some(token), ..) => endpoint.with_bearer_token(token),
        (None, Some(user), Some(password)) => endpoint.with_basic_auth(user, password),
        _ => endpoint,
    };
    with_headers(endpoint, &settings.headers)
}

fn with_headers(endpoint: Endpoint, headers: &[(String, String)]) -> Endpoint {
    headers.iter().fold(endpoint, |endpoint, (name, value)| endpoint.with_header(name, value))
}

/// The push by OTLP, when there is an endpoint for it.
#[cfg(feature = "otlp")]
fn otlp(
    settings: &Settings,
    resource: &Resource,
    registry: &Registry,
) -> Result<Option<Pusher>, StartError> {
    use obs_metrics::push::otlp;

    use crate::config::{Compression, OtlpTarget, Temporality};

    const NAME: &str = "otlp_metrics";
    let from = &settings.otlp;
    let own = from.metrics_endpoint.as_ref();
    let Some(target) =
        from.target(from.metrics_protocol, own, "/v1/metrics").filter(|_| from.metrics)
    else {
        return Ok(None);
    };
    let (OtlpTarget::Http(url) | OtlpTarget::Grpc(url)) = &target;
    let headers = from.metrics_headers.as_ref().unwrap_or(&from.headers);
    let tls = from.metrics_tls.or(&from.tls).config();
    let mut endpoint = with_headers(Endpoint::new(url.as_str()).with_tls(tls), headers);
    if let Some(key) = &from.api_key {
        endpoint = endpoint.with_bearer_token(key);
    }
    let mut config = otlp::OtlpConfig::new(resource.clone());
    config.interval = from.metrics_interval;
    config.temporality = match from.metrics_temporality {
        Temporality::Cumulative => otlp::Temporality::Cumulative,
        Temporality::Delta => otlp::Temporality::Delta,
        Temporality::LowMemory => otlp::Temporality::LowMemory,
    };
    let compression = match from.metrics_compression {
        Compression::Gzip => otlp::Compression::Gzip,
        Compression::None => otlp::Compression::None,
    };
    let mut queue = otlp::delivery_config(NAME);
    queue.timeout = from.metrics_timeout.unwrap_or(from.timeout);
    let delivery = match target {
        OtlpTarget::Http(_) => {
            config.compression = compression;
            Delivery::start(queue, otlp::transport(&endpoint, NAME).map_err(failed)?)
        }
        OtlpTarget::Grpc(_) => {
            config.compression = otlp::Compression::None;
            let transport = otlp::grpc_transport(&endpoint, NAME, compression).map_err(failed)?;
            Delivery::start(queue, transport)
        }
    };
    let delivery = delivery.map_err(failed)?;
    otlp::start(config, registry, delivery).map(Some).map_err(failed)
}
