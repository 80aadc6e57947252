//! The groups of Prometheus rule files, evaluated in this process: recording rules write series, alerting rules have
//! pending and firing alerts.

mod alerting;
mod group;
mod recording;
mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Timestamp};
use obs_query::SeriesStore;
use obs_query::promql::{Engine, EngineOptions};
use obs_query::rules::RuleFile;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinSet;

use self::group::Group;

pub use self::status::{
    AlertingStatus, GroupAlert, GroupRuleStatus, GroupStatus, RecordingStatus, RuleOutcome,
};

/// How rule groups are evaluated.
#[derive(Clone, Debug)]
pub struct RuleGroupsConfig {
    /// How often a group is evaluated that does not say; 1 minute by default, at least 1 ms.
    pub interval: Duration,
    /// How far before the time of an evaluation the queries of a group look that does not say; nothing by default.
    pub query_offset: Duration,
    /// How queries are evaluated, and how much each may use.
    pub engine: EngineOptions,
    /// How many alerts a rule may have at once; further ones are not created, and counted. 10,000 by default.
    pub max_alerts: usize,
}

impl Default for RuleGroupsConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            query_offset: Duration::ZERO,
            engine: EngineOptions::default(),
            max_alerts: 10_000,
        }
    }
}

/// Evaluates the groups of rule files over a store, as Prometheus' rule manager does.
///
/// The rules of a group are evaluated one after the other, each group at multiples of its own interval. A recording rule
/// writes what its expression gives; an alerting rule writes `ALERTS` and `ALERTS_FOR_STATE`. A series that a rule does
/// not give any more is ended with a stale marker.
///
/// ```
/// use obs_alerts::{RuleGroups, RuleGroupsConfig};
/// use obs_model::{Labels, ManualClock, Sample, Timestamp};
/// use obs_query::promql::ParseOptions;
/// use obs_query::rules::RuleFile;
/// use obs_query::{Selector, SeriesStore, StoreConfig};
/// use std::sync::Arc;
///
/// let file = "groups: [{name: g, rules: [{record: double, expr: 2 * depth}, {alert: Deep, expr: double > 9}]}]";
/// let file = RuleFile::parse(file, ParseOptions::default())?;
/// let store = Arc::new(SeriesStore::new(StoreConfig::default()));
/// let now = Timestamp::from_millis(60_000);
/// let groups = RuleGroups::new(
///     RuleGroupsConfig::default(),
///     [("rules.yml".to_owned(), file)],
///     Arc::clone(&store),
///     Arc::new(ManualClock::at(now)),
/// );
/// store.append(&Labels::new([("__name__", "depth")])?, Sample { timestamp: now, value: 5.0 })?;
/// groups.evaluate(now);
/// assert_eq!(store.latest(&Selector::metric("double"), now).sum(), Some(10.0));
/// let alerts = store.latest(&Selector::metric("ALERTS"), now);
/// assert_eq!(alerts.points[0].0.get("alertstate"), Some("firing"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RuleGroups {
    engine: Engine,
    store: Arc<SeriesStore>,
    clock: Arc<dyn Clock>,
    groups: Vec<Slot>,
}

/// A group, and how it stood after its last evaluation.
struct Slot {
    interval: Duration,
    group: Mutex<Group>,
    status: RwLock<Arc<GroupStatus>>,
}

impl RuleGroups {
    /// The groups of these files, each with its name; none of them has been evaluated.
    #[must_use]
    pub fn new(
        config: RuleGroupsConfig,
        files: impl IntoIterator<Item = (String, RuleFile)>,
        store: Arc<SeriesStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut groups = Vec::new();
        for (file, rules) in files {
            for group in rules.into_groups() {
                let group = Group::new(&file, group, &config);
                groups.push(Slot {
                    interval: group.interval(),
                    status: RwLock::new(Arc::new(group.status())),
                    group: Mutex::new(group),
                });
            }
        }
        Self { engine: Engine::new(config.engine), store, clock, groups }
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How each group stood after its last evaluation, in the order of the files. It never waits for an evaluation.
    #[must_use]
    pub fn statuses(&self) -> Vec<Arc<GroupStatus>> {
        self.groups.iter().map(|slot| Arc::clone(&slot.status.read())).collect()
    }

    /// Evaluates every group at `now`, whatever its interval.
    pub fn evaluate(&self, now: Timestamp) {
        for slot in &self.groups {
            self.evaluate_one(slot, now);
        }
    }

    fn evaluate_one(&self, slot: &Slot, now: Timestamp) {
        let mut group = slot.group.lock();
        group.evaluate(&self.engine, &self.store, now);
        *slot.status.write() = Arc::new(group.status());
    }

    /// Evaluates every group at each multiple of its interval, for ever; the caller spawns it, and aborts it to stop.
    ///
    /// Evaluations run where they may block. One that takes longer than the interval makes its group leave out the times
    /// that it missed.
    pub async fn run(self: Arc<Self>) {
        let mut loops = JoinSet::new();
        for index in 0..self.groups.len() {
            loops.spawn(Arc::clone(&self).run_one(index));
        }
        while loops.join_next().await.is_some() {}
    }

    async fn run_one(self: Arc<Self>, index: usize) {
        let interval = self.groups[index].interval;
        loop {
            let now = self.clock.now();
            let next = now.align_down(interval).plus(interval);
            tokio::time::sleep(next.since(now)).await;
            let groups = Arc::clone(&self);
            let evaluation = tokio::task::spawn_blocking(move || {
                groups.evaluate_one(&groups.groups[index], next);
            });
            match evaluation.await {
                Ok(()) => {}
                // The runtime is shutting down.
                Err(error) if error.is_cancelled() => return,
                Err(error) => {
                    tracing::warn!(target: "obskit::alerts", %error, "an evaluation of a rule group panicked");
                }
            }
        }
    }
}

impl fmt::Debug for RuleGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleGroups").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
