//! Alert rules, the engine and its channels.

use std::sync::Arc;
use std::time::Duration;

use obs_alerts::{
    AlertConfig, AlertEngine, LogChannel, Operator, Rule, Signal, ThresholdRule, WebhookChannel,
    WebhookConfig, defaults,
};
use obs_model::{AlertEvent, Clock, ManualClock, Sink};
use obs_query::{Selector, SeriesStore, StoreConfig};

use crate::config::{ConfigError, Origin, Problem, RuleSettings, Settings, SignalKind};
use crate::error::StartError;

/// A channel of the service's own, with its name.
pub(crate) type NamedChannel = (String, Arc<dyn Sink<AlertEvent>>);

/// The name of the channel that writes log lines.
const LOG_CHANNEL: &str = "log";

/// The engine and what has to be flushed when it ends.
#[derive(Debug)]
pub(crate) struct AlertPart {
    pub(crate) engine: Arc<AlertEngine>,
    webhooks: Vec<(String, WebhookChannel)>,
}

/// Makes all rules and tries them on an engine that is thrown away, so that a bad one refuses the start before
/// anything has happened.
pub(crate) fn prepare(
    settings: &Settings,
    own: Vec<Rule>,
    channels: &[NamedChannel],
) -> Result<Vec<Rule>, StartError> {
    let mut problems = Vec::new();
    let mut rules = own;
    for rule in &settings.alerts.rules {
        match threshold_rule(rule) {
            Ok(rule) => rules.push(Rule::threshold(rule)),
            Err(message) => problems.push(Problem::new(
                Origin::Combination,
                format!("alert rule {:?}: {message}", rule.id),
            )),
        }
    }
    if settings.alerts.default_rules {
        let taken: Vec<String> = rules.iter().map(|rule| rule.id().to_owned()).collect();
        let defaults = defaults::rules(&defaults::DefaultRules {
            namespace: settings.metrics.namespace.clone(),
            memory_limit_bytes: obs_metrics::collect::memory_limit_bytes(),
        });
        // OK because a rule of the service's own with a default's id is meant to replace it.
        rules.extend(
            defaults
                .into_iter()
                .map(Rule::from)
                .filter(|rule| !taken.iter().any(|id| id == rule.id())),
        );
    }
    if let Err(error) = trial(settings, rules.clone(), channels) {
        let causes = match error.problems() {
            [] => vec![error.to_string()],
            several => several.to_vec(),
        };
        problems.extend(causes.into_iter().map(|cause| Problem::new(Origin::Combination, cause)));
    }
    ConfigError::from_problems(problems)?;
    Ok(rules)
}

fn trial(
    settings: &Settings,
    rules: Vec<Rule>,
    channels: &[NamedChannel],
) -> Result<(), obs_alerts::Error> {
    let store = Arc::new(SeriesStore::new(store_config(settings)));
    let engine = AlertEngine::new(alert_config(settings), store, Arc::new(ManualClock::default()))?;
    engine.add_channel(LOG_CHANNEL, Arc::new(LogChannel))?;
    for webhook in &settings.alerts.webhooks {
        engine.add_channel(webhook.name.as_str(), Arc::new(LogChannel))?;
    }
    for (name, channel) in channels {
        engine.add_channel(name.as_str(), Arc::clone(channel))?;
    }
    engine.add_rules(rules)
}

/// Starts the engine with its channels and rules; nothing when alerts are switched off.
pub(crate) fn start(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    store: &Arc<SeriesStore>,
    rules: Vec<Rule>,
    channels: Vec<NamedChannel>,
) -> Result<Option<AlertPart>, StartError> {
    if !settings.alerts.enabled {
        return Ok(None);
    }
    obs_alerts::describe();
    obs_delivery::describe();
    let failed = |error: obs_alerts::Error| StartError::part("alerting", error);
    let engine = AlertEngine::new(alert_config(settings), Arc::clone(store), Arc::clone(clock));
    let engine = Arc::new(engine.map_err(failed)?);
    engine.add_channel(LOG_CHANNEL, Arc::new(LogChannel)).map_err(failed)?;
    let mut webhooks = Vec::new();
    for webhook in &settings.alerts.webhooks {
        let config = WebhookConfig::new(webhook.name.as_str(), webhook.url.as_str());
        let channel = WebhookChannel::start(config).map_err(failed)?;
        engine.add_channel(webhook.name.as_str(), Arc::new(channel.clone())).map_err(failed)?;
        webhooks.push((webhook.name.clone(), channel));
    }
    for (name, channel) in channels {
        engine.add_channel(name, channel).map_err(failed)?;
    }
    engine.add_rules(rules).map_err(failed)?;
    engine.start().map_err(failed)?;
    Ok(Some(AlertPart { engine, webhooks }))
}

impl AlertPart {
    /// Stops evaluating and sends what waits; says what was left.
    pub(crate) async fn stop(&self, deadline: Duration) -> Vec<String> {
        self.engine.stop();
        let started = std::time::Instant::now();
        let mut left = Vec::new();
        for (name, webhook) in &self.webhooks {
            let report = webhook.shutdown(deadline.saturating_sub(started.elapsed())).await;
            if report.undelivered > 0 {
                left.push(format!("{} notifications to the webhook {name:?}", report.undelivered));
            }
        }
        left
    }
}

fn alert_config(settings: &Settings) -> AlertConfig {
    AlertConfig { check_interval: settings.alerts.check_interval, ..AlertConfig::default() }
}

fn store_config(settings: &Settings) -> StoreConfig {
    StoreConfig {
        sample_interval: settings.metrics.sample_interval,
        retention: settings.metrics.retention,
        ..StoreConfig::default()
    }
}

/// A rule of the settings as the engine takes it.
fn threshold_rule(rule: &RuleSettings) -> Result<ThresholdRule, String> {
    let selector =
        |text: &str| text.parse::<Selector>().map_err(|error| format!("{text:?}: {error}"));
    let metric = selector(&rule.metric)?;
    let signal = match rule.signal {
        SignalKind::Last => Signal::Last(metric),
        SignalKind::Rate => Signal::rate(metric, rule.window),
        SignalKind::Increase => Signal::increase(metric, rule.window),
        SignalKind::Average => Signal::average(metric, rule.window),
        SignalKind::Ratio => Signal::ratio(
            metric,
            selector(rule.denominator.as_deref().unwrap_or_default())?,
            rule.window,
        ),
    };
    let operator: Operator = rule.operator.parse().map_err(|error| format!("{error}"))?;
    let name = rule.name.clone().unwrap_or_else(|| rule.id.clone());
    Ok(ThresholdRule {
        for_: rule.duration,
        severity: rule.severity,
        channels: rule.channels.clone(),
        enabled: rule.enabled,
        description: rule.description.clone(),
        ..ThresholdRule::new(rule.id.as_str(), name, signal, operator, rule.threshold)
    })
}
