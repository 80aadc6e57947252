//! Where notifications go: the log and webhooks. Anything else that is a `Sink<AlertEvent>` will do too.

mod log;
mod payload;
mod webhook;

pub use self::log::LogChannel;
pub use self::webhook::{WebhookChannel, WebhookConfig};
