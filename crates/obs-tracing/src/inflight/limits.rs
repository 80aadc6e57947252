//! From when on what happens in a span is too much, by its name.

use std::collections::HashMap;

use super::config::InFlightConfig;
use crate::duration::nanoseconds;

/// The settings as they are looked up, in nanoseconds.
pub(super) struct Limits {
    pub(super) stuck_after: u64,
    pub(super) blocking_after: u64,
    by_name: HashMap<String, NameLimits>,
}

#[derive(Clone, Copy, Default)]
struct NameLimits {
    longest: Option<u64>,
    waits: bool,
    may_block: bool,
}

impl Limits {
    pub(super) fn new(config: &InFlightConfig) -> Self {
        let mut by_name: HashMap<String, NameLimits> = HashMap::new();
        for (name, longest) in &config.longest {
            by_name.entry(name.clone()).or_default().longest = Some(nanoseconds(*longest));
        }
        for name in &config.waiting {
            by_name.entry(name.clone()).or_default().waits = true;
        }
        for name in &config.may_block {
            by_name.entry(name.clone()).or_default().may_block = true;
        }
        Self {
            stuck_after: nanoseconds(config.stuck_after),
            blocking_after: nanoseconds(config.blocking_after),
            by_name,
        }
    }

    /// Whether a span is stuck that is this old, and in which, or below which, something happens or not.
    pub(super) fn is_stuck(&self, name: &str, age: u64, is_alive: bool) -> bool {
        let own = self.of(name);
        own.longest.is_some_and(|longest| age >= longest) || !is_alive && !own.waits
    }

    /// Whether spans of this name may hold their thread.
    pub(super) fn may_block(&self, name: &str) -> bool {
        self.of(name).may_block
    }

    fn of(&self, name: &str) -> NameLimits {
        match self.by_name.is_empty() {
            true => NameLimits::default(),
            false => self.by_name.get(name).copied().unwrap_or_default(),
        }
    }
}
