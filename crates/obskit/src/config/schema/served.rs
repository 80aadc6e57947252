//! What is decided and shown.

use std::time::Duration;

use super::super::WebhookSettings;
use super::super::value::{boolean, duration_within, http_url, milliseconds, parsed, paths};
use super::{DAY, MILLISECOND, SECOND, Setting};

settings! {
    "errors.enabled", ["ERROR_TRACKING_ENABLED"], "true", "Whether errors are tracked.",
    |s, text| s.errors.enabled = boolean(text)?;

    "alerts.enabled", [], "true", "Whether alert rules are evaluated.",
    |s, text| s.alerts.enabled = boolean(text)?;

    "alerts.check_interval", ["ALERT_CHECK_INTERVAL_MS"], "60s",
    "How often alert rules are evaluated; the variable is in milliseconds.",
    |s, text| s.alerts.check_interval = duration_within(text, 100 * MILLISECOND, DAY)?, via milliseconds;

    "alerts.default_rules", [], "true",
    "Whether the default rules (error rate, workflow failure rate, stuck requests, blocked executor, memory) are there beside the service's own.",
    |s, text| s.alerts.default_rules = boolean(text)?;

    "alerts.rule_files", [], "none",
    "Prometheus rule files to evaluate, with commas between them: recording rules write series, alerting rules have alerts.",
    |s, text| s.alerts.rule_files = paths(text)?;

    "alerts.webhook_url", [], "none",
    "A webhook that is told of every alert; `[[alerts.webhooks]]` in a file names several.",
    |s, text| {
        let url = http_url(text)?;
        s.alerts.webhooks.retain(|webhook| webhook.name != WebhookSettings::DEFAULT_NAME);
        s.alerts.webhooks.push(WebhookSettings { name: WebhookSettings::DEFAULT_NAME.into(), url });
    };

    "health.interval", [], "15s",
    "How often the health checks run by themselves, beside whenever a report is asked for.",
    |s, text| s.health.interval = duration_within(text, SECOND, DAY)?;

    "profiling.enabled", [], "true", "Whether CPU profiles can be taken.",
    |s, text| s.profiling.enabled = boolean(text)?;

    "admin.enabled", [], "true", "Whether the admin listener runs.",
    |s, text| s.admin.enabled = boolean(text)?;

    "admin.address", [], "127.0.0.1",
    "The admin listener's IP address; one that others can reach needs a token.",
    |s, text| s.admin.address = parsed(text, "an IP address")?;

    "admin.port", ["METRICS_PORT", "PROMETHEUS_PORT"], "9464",
    "The admin listener's port; 0 takes any that is free.",
    |s, text| s.admin.port = parsed(text, "a port from 0 to 65535")?;

    "admin.token", [], "none",
    "The token that everything but metrics and health asks for.",
    |s, text| s.admin.token = Some(match text.trim() {
        token if token.len() >= 8 && token.bytes().all(|byte| byte.is_ascii_graphic()) => token.to_owned(),
        _ => return Err(String::from("at least 8 printable ASCII characters without spaces")),
    });

    "shutdown.deadline", [], "5s", "How long the shutdown may take to flush.",
    |s, text| s.shutdown_deadline = duration_within(text, Duration::ZERO, 600 * SECOND)?;
}
