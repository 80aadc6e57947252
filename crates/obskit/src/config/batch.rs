//! How many spans or log lines go together, and how many wait.

use std::time::Duration;

/// How spans or log lines are gathered into requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchSettings {
    /// The most of one request.
    pub items: usize,
    /// The most that wait to be sent; what is beyond that is dropped and counted.
    pub queue: usize,
    /// How long the first of a request waits for others.
    pub wait: Duration,
}

impl BatchSettings {
    /// 512 spans in a request, 8,192 waiting, for 5 s.
    pub(super) const SPANS: Self = Self { items: 512, queue: 8_192, wait: Duration::from_secs(5) };

    /// 1,000 lines in a request, 16,384 waiting, for 1 s.
    pub(super) const LINES: Self =
        Self { items: 1_000, queue: 16_384, wait: Duration::from_secs(1) };

    /// Why these cannot be, if they cannot; `of` is what the settings are called.
    pub(super) fn problem(&self, of: &str) -> Option<String> {
        let fits = self.items <= self.queue;
        (!fits).then(|| {
            let Self { items, queue, .. } = self;
            format!("otlp.{of}_batch is {items} and otlp.{of}_queue is {queue}: expected a queue that holds a batch")
        })
    }
}
