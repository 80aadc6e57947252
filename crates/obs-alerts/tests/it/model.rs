//! Random sequences of what can happen to a rule, against a model that says what an alert is without
//! keeping a state: it reads the whole past anew each time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Bench, Memory, labels};
use obs_alerts::{Finding, Rule};
use obs_model::{AlertEvent, AlertState, Clock, Severity, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

const THINGS: [&str; 3] = ["of=a", "of=b", "of=c"];

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, in seconds.
    Pass(u8),
    /// From now on the condition holds for the things whose bits are set.
    Hold(u8),
    /// From now on the rule fails.
    Fail,
    Evaluate,
    Disable,
    Enable,
    /// The rule is removed and one with the same id is added.
    Replace,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..20_u8).prop_map(Step::Pass),
        3 => (0..8_u8).prop_map(Step::Hold),
        1 => Just(Step::Fail),
        8 => Just(Step::Evaluate),
        1 => Just(Step::Disable),
        2 => Just(Step::Enable),
        1 => Just(Step::Replace),
    ]
}

/// What the model remembers of the past of one thing.
#[derive(Clone, Copy, Debug)]
enum Past {
    /// At this time the condition was seen to hold, or not to.
    Seen(Timestamp, Presence),
    /// At this time the rule was disabled or removed.
    Cut(Timestamp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Holds,
    Clear,
}

/// One alert from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Episode {
    active: Timestamp,
    fired: Option<Timestamp>,
    ended: Option<Timestamp>,
}

/// All alerts of one thing, by definition: an alert begins when the condition is first seen to hold and
/// fires when it has held for `hold` at every look; it ends at a cut, before it fires at the first look at
/// which the condition is clear, and after that when it has been clear for `keep` at every look.
fn episodes(past: &[Past], hold: Duration, keep: Duration) -> Vec<Episode> {
    let mut found = Vec::new();
    let mut rest = past;
    while let Some(begin) =
        rest.iter().position(|past| matches!(past, Past::Seen(_, Presence::Holds)))
    {
        rest = &rest[begin..];
        let Past::Seen(active, _) = rest[0] else { unreachable!("the position of a look") };
        let fires = |past: &Past| matches!(past, Past::Seen(at, Presence::Holds) if at.since(active) >= hold);
        let holding = rest
            .iter()
            .take_while(|past| matches!(past, Past::Seen(_, Presence::Holds)))
            .collect::<Vec<_>>();
        let fired = holding.iter().position(|past| fires(past));
        let from = fired.unwrap_or(0);
        let end = (from..rest.len()).find(|&index| match rest[index] {
            Past::Cut(_) => true,
            Past::Seen(_, Presence::Holds) => false,
            Past::Seen(at, Presence::Clear) => {
                let clear_since = rest[..=index]
                    .iter()
                    .rev()
                    .map_while(|past| match past {
                        Past::Seen(at, Presence::Clear) => Some(*at),
                        _ => None,
                    })
                    .last()
                    .unwrap_or(at);
                fired.is_none() || at.since(clear_since) >= keep
            }
        });
        let time = |index: usize| match rest[index] {
            Past::Seen(at, _) | Past::Cut(at) => at,
        };
        found.push(Episode { active, fired: fired.map(time), ended: end.map(time) });
        let Some(end) = end else { break };
        rest = &rest[end + 1..];
    }
    found
}

/// Puts the changes together again by id, checking that each is told once and in order.
fn assembled(changes: &[AlertEvent]) -> Vec<(String, Episode)> {
    let mut by_id: BTreeMap<Uuid, Vec<&AlertEvent>> = BTreeMap::new();
    for change in changes {
        by_id.entry(change.id).or_default().push(change);
    }
    let mut found = Vec::new();
    for changes in by_id.values() {
        let states: Vec<AlertState> = changes.iter().map(|change| change.state).collect();
        use AlertState::{Firing, Pending, Resolved};
        let known: [&[AlertState]; 6] = [
            &[Pending],
            &[Firing],
            &[Pending, Firing],
            &[Pending, Resolved],
            &[Firing, Resolved],
            &[Pending, Firing, Resolved],
        ];
        assert!(known.contains(&&states[..]), "an alert went through {states:?}");
        let last = changes[changes.len() - 1];
        found.push((
            last.labels.to_string(),
            Episode { active: last.active_at, fired: last.fired_at, ended: last.resolved_at },
        ));
    }
    found.sort();
    found
}

struct World {
    bench: Bench,
    memory: Arc<Memory>,
    holding: Arc<AtomicU8>,
    hold: Duration,
    keep: Duration,
    past: [Vec<Past>; 3],
    enabled: bool,
    failing: bool,
    changes: Vec<AlertEvent>,
}

/// Set in the shared byte when the rule is to fail.
const FAILING: u8 = 0x80;

impl World {
    fn new(hold: u8, keep: u8) -> Self {
        let (bench, memory) = Bench::with_channel();
        let world = Self {
            bench,
            memory,
            holding: Arc::new(AtomicU8::new(0)),
            hold: Duration::from_secs(hold.into()),
            keep: Duration::from_secs(keep.into()),
            past: Default::default(),
            enabled: true,
            failing: false,
            changes: Vec::new(),
        };
        world.add_rule();
        world
    }

    fn add_rule(&self) {
        let holding = Arc::clone(&self.holding);
        let rule = Rule::closure("rule", "Rule", Severity::High, move |_| {
            let holding = holding.load(Ordering::SeqCst);
            if holding & FAILING != 0 {
                return Err("told to fail".into());
            }
            Ok(THINGS
                .iter()
                .enumerate()
                .filter(|(bit, _)| holding >> bit & 1 == 1)
                .map(|(_, thing)| Finding::default().with_labels(labels(thing)))
                .collect::<Vec<_>>())
        });
        self.bench
            .engine
            .add_rule(rule.holding_for(self.hold).keeping_firing_for(self.keep))
            .expect("a valid rule");
    }

    fn cut(&mut self) {
        let now = self.bench.clock.now();
        for past in &mut self.past {
            past.push(Past::Cut(now));
        }
    }

    fn take(&mut self, step: &Step) {
        let engine = Arc::clone(&self.bench.engine);
        match step {
            Step::Pass(seconds) => self.bench.seconds((*seconds).into()),
            Step::Hold(bits) => {
                self.holding.store(*bits, Ordering::SeqCst);
                self.failing = false;
            }
            Step::Fail => {
                self.holding.fetch_or(FAILING, Ordering::SeqCst);
                self.failing = true;
            }
            Step::Evaluate => {
                let changes = self.bench.evaluate();
                self.changes.extend(changes);
                if self.enabled && !self.failing {
                    self.look();
                }
            }
            Step::Disable => {
                self.changes.extend(engine.disable_rule("rule").expect("it is there"));
                self.enabled = false;
                self.cut();
            }
            Step::Enable => {
                engine.enable_rule("rule").expect("it is there");
                self.enabled = true;
            }
            Step::Replace => {
                self.changes.extend(engine.remove_rule("rule").expect("it is there"));
                self.add_rule();
                self.enabled = true;
                self.cut();
            }
        }
    }

    fn look(&mut self) {
        let (now, holding) = (self.bench.clock.now(), self.holding.load(Ordering::SeqCst));
        for (bit, past) in self.past.iter_mut().enumerate() {
            let presence = if holding >> bit & 1 == 1 { Presence::Holds } else { Presence::Clear };
            past.push(Past::Seen(now, presence));
        }
    }

    fn expected(&self) -> Vec<(String, Episode)> {
        let mut all: Vec<(String, Episode)> = THINGS
            .iter()
            .zip(&self.past)
            .flat_map(|(thing, past)| {
                let name = labels(thing).to_string();
                episodes(past, self.hold, self.keep)
                    .into_iter()
                    .map(move |episode| (name.clone(), episode))
            })
            .collect();
        all.sort();
        all
    }

    fn compare(&self) {
        let expected = self.expected();
        assert_eq!(assembled(&self.changes), expected);

        let count = |keep: &dyn Fn(&Episode) -> bool| {
            expected.iter().filter(|(_, episode)| keep(episode)).count()
        };
        let active = self.bench.engine.active();
        assert_eq!(active.len(), count(&|episode| episode.ended.is_none()));

        // The channel hears of what fired and of nothing else.
        let told: Vec<AlertEvent> =
            self.changes.iter().filter(|change| change.fired_at.is_some()).cloned().collect();
        assert_eq!(self.memory.events(), told);

        let window = Duration::from_secs(30);
        let start = self.bench.clock.now().minus(window);
        let history = self.bench.engine.history(window);
        assert!(history.is_sorted_by_key(|alert| std::cmp::Reverse(alert.fired_at)));
        let recent = |episode: &Episode| {
            episode.fired.is_some() && episode.ended.is_none_or(|ended| ended > start)
        };
        assert_eq!(history.len(), count(&recent));
    }
}

proptest! {
    #[test]
    fn alerts_are_what_the_whole_past_says(
        hold in prop_oneof![Just(0_u8), 1..40_u8],
        keep in prop_oneof![Just(0_u8), 1..40_u8],
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(hold, keep);
        for step in &steps {
            world.take(step);
            world.compare();
        }
    }
}

#[test]
fn the_model_itself_knows_a_simple_life() {
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
    let past = Mutex::new(Vec::new());
    let see = |seconds, presence| past.lock().unwrap().push(Past::Seen(at(seconds), presence));
    see(0, Presence::Clear);
    see(10, Presence::Holds);
    see(20, Presence::Holds);
    see(30, Presence::Clear);
    see(40, Presence::Clear);
    let ten = Duration::from_secs(10);
    let life = |fired, ended| vec![Episode { active: at(10), fired, ended }];
    let past = past.into_inner().unwrap();
    assert_eq!(episodes(&past, ten, Duration::ZERO), life(Some(at(20)), Some(at(30))));
    assert_eq!(episodes(&past, ten, ten), life(Some(at(20)), Some(at(40))));
    assert_eq!(episodes(&past, ten * 2, ten), life(None, Some(at(30))));
    assert_eq!(episodes(&past, ten, ten * 2), life(Some(at(20)), None));
}
