//! The engine: rules in, alerts and notifications out.

mod book;
mod run;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{Accepted, AlertEvent, Clock, Sink, Timestamp};
use obs_query::SeriesStore;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use self::book::{Book, Due, Outcome};
use crate::notice::{Channel, test_events};
use crate::rule::RuleContext;
use crate::{AlertConfig, Error, Rule, self_metrics};

pub use self::book::{RuleHealth, RuleStatus};

/// Evaluates rules over a series store, keeps the alerts that they raise, and tells channels.
///
/// Every method may be called from any thread, also from a rule's closure, an action or a channel.
pub struct AlertEngine {
    config: AlertConfig,
    store: Arc<SeriesStore>,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    running: Mutex<Option<AbortHandle>>,
}

impl AlertEngine {
    /// An engine without rules and channels, which does nothing until it is told to.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with `config`; see there for what is accepted.
    pub fn new(
        config: AlertConfig,
        store: Arc<SeriesStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let problems = config.check();
        if !problems.is_empty() {
            return Err(Error::invalid(problems));
        }
        let book = Mutex::new(Book::new(&config));
        Ok(Self { config, store, clock, book, running: Mutex::new(None) })
    }

    /// How it evaluates and how much it keeps.
    #[must_use]
    pub fn config(&self) -> &AlertConfig {
        &self.config
    }

    /// Adds a channel under a name that rules can give.
    ///
    /// It hears of every alert of the rules that name it, or that name no channel: once when the alert
    /// fires and once when that alert is resolved.
    ///
    /// # Errors
    ///
    /// The name is empty or taken.
    pub fn add_channel(
        &self,
        name: impl Into<Arc<str>>,
        sink: Arc<dyn Sink<AlertEvent>>,
    ) -> Result<(), Error> {
        self.book.lock().add_channel(Channel { name: name.into(), sink })
    }

    /// The names of the channels, in order.
    #[must_use]
    pub fn channels(&self) -> Vec<Arc<str>> {
        self.book.lock().channel_names()
    }

    /// Sends a test alert to one channel: firing, and at once resolved, so that it leaves nothing open.
    ///
    /// The answer is what became of the first half that was not taken, if there is one. A channel that
    /// panics is reported as [`DropReason::Closed`](obs_model::DropReason::Closed).
    ///
    /// # Errors
    ///
    /// There is no such channel.
    pub fn send_test(&self, channel: &str) -> Result<Accepted, Error> {
        let found = self.book.lock().channel(channel);
        let Some(found) = found else { return Err(Error::unknown_channel(channel)) };
        for event in test_events(channel, self.clock.now()) {
            match found.offer(event) {
                Some(Accepted::Taken) => {}
                Some(dropped) => return Ok(dropped),
                None => return Ok(Accepted::Dropped(obs_model::DropReason::Closed)),
            }
        }
        Ok(Accepted::Taken)
    }

    /// Adds one rule, which is evaluated from the next evaluation on.
    ///
    /// # Errors
    ///
    /// As [`AlertEngine::add_rules`].
    pub fn add_rule(&self, rule: impl Into<Rule>) -> Result<(), Error> {
        self.add_rules([rule.into()])
    }

    /// Adds several rules, or none of them.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of them: an empty or overlong id or name, an id that is taken, a
    /// threshold that is NaN, a window shorter than two sample intervals or longer than the store's
    /// retention, a channel that was not added, more rules than
    /// [`max_rules`](AlertConfig::max_rules).
    pub fn add_rules(&self, rules: impl IntoIterator<Item = Rule>) -> Result<(), Error> {
        let rules: Vec<Rule> = rules.into_iter().collect();
        let mut problems = Vec::new();
        let mut ids = BTreeSet::new();
        let mut book = self.book.lock();
        for rule in &rules {
            let mut found = Vec::new();
            rule.check(self.store.config(), &mut found);
            if book.has_rule(rule.id()) || !ids.insert(rule.id()) {
                found.push("the id is taken: expected a new one".to_owned());
            }
            for channel in rule.channels().filter(|channel| book.channel(channel).is_none()) {
                found.push(format!("unknown channel {channel:?}: expected one that was added"));
            }
            problems.extend(found.into_iter().map(|text| format!("rule {:?}: {text}", rule.id())));
        }
        if book.rule_count() + rules.len() > self.config.max_rules {
            problems.push(format!(
                "{} rules and {} more are too many: expected at most max_rules, {}",
                book.rule_count(),
                rules.len(),
                self.config.max_rules
            ));
        }
        if !problems.is_empty() {
            return Err(Error::invalid(problems));
        }
        for rule in rules {
            book.add_rule(rule);
        }
        Ok(())
    }

    /// Removes a rule and resolves its alerts; the answer is the alerts that ended.
    ///
    /// # Errors
    ///
    /// There is no such rule.
    pub fn remove_rule(&self, id: &str) -> Result<Vec<AlertEvent>, Error> {
        let removed = self.book.lock().remove_rule(id, self.clock.now());
        self.after_change();
        // The rule itself is dropped here, without the lock, because what its closure owns may do anything.
        removed.map(|(_, ended)| ended).ok_or_else(|| Error::unknown_rule(id))
    }

    /// Stops evaluating a rule and resolves its alerts; the answer is the alerts that ended.
    ///
    /// # Errors
    ///
    /// There is no such rule.
    pub fn disable_rule(&self, id: &str) -> Result<Vec<AlertEvent>, Error> {
        let ended = self.book.lock().disable_rule(id, self.clock.now());
        self.after_change();
        ended.ok_or_else(|| Error::unknown_rule(id))
    }

    /// Evaluates a rule again that was disabled, from the next evaluation on.
    ///
    /// # Errors
    ///
    /// There is no such rule.
    pub fn enable_rule(&self, id: &str) -> Result<(), Error> {
        self.book.lock().enable_rule(id).ok_or_else(|| Error::unknown_rule(id))
    }

    /// The rules with their health, in the order in which they were added.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleStatus> {
        self.book.lock().statuses()
    }

    /// The pending and firing alerts, the worst first; of one severity, the longest active first.
    #[must_use]
    pub fn active(&self) -> Vec<AlertEvent> {
        self.book.lock().active()
    }

    /// The alerts that were firing at some time within the last `window`, also those that still are, the
    /// last to begin firing first. An alert stands here once, as it is now.
    #[must_use]
    pub fn history(&self, window: Duration) -> Vec<AlertEvent> {
        self.book.lock().history(self.clock.now().minus(window))
    }

    /// Evaluates every enabled rule for the time `now`, tells the channels what changed, and answers
    /// with the changes: alerts that became pending, firing or resolved.
    ///
    /// An alert that ends while pending is in the answer too, as resolved without `fired_at`; no channel
    /// is told of it. A rule that fails leaves its alerts as they were.
    ///
    /// It runs rules' closures and actions on this thread, and they may block.
    pub fn evaluate(&self, now: Timestamp) -> Vec<AlertEvent> {
        let due = self.book.lock().begin();
        let mut changes = Vec::new();
        for due in due {
            changes.extend(self.evaluate_rule(&due, now));
            self.deliver();
        }
        self.publish_counts();
        changes
    }

    fn evaluate_rule(&self, due: &Due, now: Timestamp) -> Vec<AlertEvent> {
        let started = Instant::now();
        let result = due.rule.evaluate(&RuleContext::new(&*self.store, now));
        let took = started.elapsed();
        self_metrics::evaluated(took);
        if result.is_err() {
            self_metrics::rule_failed(due.rule.id());
        }
        let Outcome { events, refused, log } = self.book.lock().settle(due, now, took, result);
        if refused > 0 {
            self_metrics::alerts_dropped(due.rule.id(), refused);
        }
        if let Some(log) = log {
            log.write(due.rule.id());
        }
        events
    }

    fn after_change(&self) {
        self.deliver();
        self.publish_counts();
    }

    /// Sends what waits to be sent, in the order in which the alerts changed.
    ///
    /// One thread at a time does so, without holding the lock; what another thread or a channel adds
    /// meanwhile is sent by the one that is at it. So a channel hears of firing before resolved, and may
    /// call the engine.
    fn deliver(&self) {
        loop {
            // OK because the lock is released at the end of this statement, before anything is sent.
            let next = self.book.lock().next_notice();
            let Some(notice) = next else { return };
            let _sending = Sending(&self.book);
            notice.send();
        }
    }

    fn publish_counts(&self) {
        let (counts, dropped) = {
            let mut book = self.book.lock();
            (book.counts(), book.take_history_dropped())
        };
        self_metrics::alerts(counts.pending, counts.firing);
        if dropped > 0 {
            self_metrics::history_dropped(dropped);
        }
    }
}

/// Says that a notice is being sent for as long as it lives, so that nothing that goes wrong meanwhile can
/// keep later notices back.
struct Sending<'a>(&'a Mutex<Book>);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.lock().notice_sent();
    }
}

impl fmt::Debug for AlertEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book.lock();
        f.debug_struct("AlertEngine")
            .field("config", &self.config)
            .field("rules", &book.rule_count())
            .field("channels", &book.channel_names())
            .finish_non_exhaustive()
    }
}
