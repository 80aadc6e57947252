//! The channel that writes to the log.

use obs_model::{Accepted, AlertEvent, AlertState, Sink};

/// A channel that writes one line per change through `tracing`, with the target `obskit::alerts`: a
/// warning when an alert fires, a line at INFO when it is resolved.
///
/// Firing is not an ERROR line, because those become error events, and an alert is no error of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogChannel;

impl Sink<AlertEvent> for LogChannel {
    fn accept(&self, event: AlertEvent) -> Accepted {
        /// Both levels carry the same fields, but `tracing` wants the level at compile time.
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    target: "obskit::alerts",
                    alert_id = %event.id,
                    rule = &*event.rule_id,
                    alert_name = &*event.rule_name,
                    state = event.state.as_str(),
                    severity = event.severity.as_str(),
                    labels = %event.labels,
                    value = event.value,
                    active_at = %event.active_at,
                    description = event.message,
                    $text
                )
            };
        }
        match event.state {
            AlertState::Firing => line!(warn, "alert is firing"),
            AlertState::Resolved => line!(info, "alert is resolved"),
            AlertState::Pending => line!(info, "alert is pending"),
        }
        Accepted::Taken
    }
}
