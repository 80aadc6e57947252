//! The places in the code that records come from: each is described once, for as long as the process lives, so that
//! filters, limits and names of fields are worked out once for each as they are for events of `tracing`.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{LazyLock, OnceLock};

use obs_model::Level;
use parking_lot::Mutex;
use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Kind, Metadata};

use super::pairs::Pairs;

/// The most places that are described, some hundred bytes each: far more than large services have. Records of others
/// share a place for each level.
const MAX_PLACES: usize = 16 * 1024;

/// The longest target, and the longest names of pairs together, that a place of its own may have.
const MAX_TARGET: usize = 256;
const MAX_NAMES: usize = 1024;

/// How many places each thread remembers.
const SLOTS: usize = 256;

/// What tells places apart.
pub(super) struct Origin<'a, 'v> {
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) file: Option<&'static str>,
    pub(super) line: Option<u32>,
    pub(super) module: Option<&'static str>,
    pub(super) pairs: &'a Pairs<'v>,
}

/// A place in the code.
pub(super) struct Place {
    /// What the subscribers said about it.
    interest: AtomicU8,
    metadata: OnceLock<Metadata<'static>>,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

impl Place {
    /// Describes a place for ever.
    fn leak(
        origin: &Origin<'_, '_>,
        names: Vec<&'static str>,
        target: &'static str,
    ) -> &'static Self {
        let place: &'static Self = Box::leak(Box::new(Self {
            interest: AtomicU8::new(SOMETIMES),
            metadata: OnceLock::new(),
        }));
        let fields = FieldSet::new(Vec::leak(names), Identifier(place));
        let Origin { level, file, line, module, .. } = *origin;
        place.metadata.get_or_init(|| {
            let level = level_of(level);
            Metadata::new("log record", target, level, file, line, module, fields, Kind::EVENT)
        });
        place
    }

    pub(super) fn metadata(&self) -> &Metadata<'static> {
        self.metadata.get().expect("it is set where the place is made")
    }

    pub(super) fn is_enabled(&'static self, dispatch: &Dispatch) -> bool {
        match self.interest.load(Ordering::Relaxed) {
            NEVER => false,
            ALWAYS => true,
            _ => dispatch.enabled(self.metadata()),
        }
    }

    fn is_of(&self, origin: &Origin<'_, '_>) -> bool {
        let place = self.metadata();
        let names = || origin.pairs.0.iter().map(|pair| pair.name());
        place.line() == origin.line
            && *place.level() == level_of(origin.level)
            && place.target() == origin.target
            && place.file() == origin.file
            && place.fields().len() == origin.pairs.0.len() + 1
            && place.fields().iter().zip(names()).all(|(field, name)| field.name() == name)
    }
}

impl Callsite for Place {
    fn set_interest(&self, interest: Interest) {
        let interest = match interest {
            _ if interest.is_never() => NEVER,
            _ if interest.is_always() => ALWAYS,
            _ => SOMETIMES,
        };
        self.interest.store(interest, Ordering::Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata()
    }
}

const fn level_of(level: Level) -> tracing_core::Level {
    match level {
        Level::Trace => tracing_core::Level::TRACE,
        Level::Debug => tracing_core::Level::DEBUG,
        Level::Info => tracing_core::Level::INFO,
        Level::Warn => tracing_core::Level::WARN,
        Level::Error => tracing_core::Level::ERROR,
    }
}

thread_local! {
    static REMEMBERED: [Cell<Option<&'static Place>>; SLOTS] =
        const { [const { Cell::new(None) }; SLOTS] };
}

/// All places, by a hash of what they are.
static PLACES: LazyLock<Places> = LazyLock::new(|| Places::new(MAX_PLACES));

/// The place that a record comes from; `None` where it has none of its own.
pub(super) fn of(origin: &Origin<'_, '_>) -> Option<&'static Place> {
    let line = origin.line.unwrap_or_default() as usize;
    let address = origin.target.as_ptr().addr() >> 3;
    let slot = (address ^ line.wrapping_mul(31) ^ origin.level as usize) % SLOTS;
    let remembered = REMEMBERED.try_with(|places| places[slot].get()).ok().flatten();
    if let Some(place) = remembered.filter(|place| place.is_of(origin)) {
        return Some(place);
    }
    let place = PLACES.find_or_add(origin)?;
    // OK because a thread that is ending looks it up again.
    let _ = REMEMBERED.try_with(|places| places[slot].set(Some(place)));
    Some(place)
}

struct Places {
    by_hash: Mutex<HashMap<u64, &'static Place>>,
    hasher: RandomState,
    most: usize,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { by_hash: Mutex::default(), hasher: RandomState::new(), most }
    }

    fn find_or_add(&self, origin: &Origin<'_, '_>) -> Option<&'static Place> {
        let names = || origin.pairs.0.iter().map(|pair| pair.name());
        let mut hash = self.hasher.hash_one((origin.level, origin.target, origin.line));
        for name in names() {
            hash = self.hasher.hash_one((hash, name));
        }
        let mut by_hash = self.by_hash.lock();
        // Places whose hashes are the same stand at the next ones.
        while let Some(place) = by_hash.get(&hash) {
            if place.is_of(origin) {
                return Some(place);
            }
            hash = hash.wrapping_add(1);
        }
        if by_hash.len() >= self.most
            || origin.target.len() > MAX_TARGET
            || names().map(str::len).sum::<usize>() > MAX_NAMES
        {
            return None;
        }
        let own = |text: &str| -> &'static str { Box::leak(Box::from(text)) };
        let names = names().map(own).chain(["message"]).collect();
        let place = Place::leak(origin, names, own(origin.target));
        by_hash.insert(hash, place);
        drop(by_hash);
        // OK because the lock is free again: this asks every subscriber. Until then the place is looked at each time.
        callsite::register(place);
        Some(place)
    }
}

/// The place of all records of a level that have none of their own: their targets and pairs are values.
pub(super) fn shared(level: Level) -> &'static Place {
    static SHARED: OnceLock<[&'static Place; Level::ALL.len()]> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        Level::ALL.map(|level| {
            let (file, line, module) = (None, None, None);
            let pairs = &Pairs::none();
            let origin = Origin { level, target: "log", file, line, module, pairs };
            Place::leak(&origin, vec!["log.target", "metadata", "message"], "log")
        })
    });
    shared[level as usize]
}

/// Whether records of a target are wanted, wherever they come from.
pub(super) fn would_enable(dispatch: &Dispatch, level: Level, target: &str) -> bool {
    let shared = shared(level).metadata();
    let fields = FieldSet::new(&["message"], shared.callsite());
    let (name, level) = (shared.name(), *shared.level());
    dispatch.enabled(&Metadata::new(name, target, level, None, None, None, fields, Kind::EVENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin<'a, 'v>(target: &'a str, line: u32, pairs: &'a Pairs<'v>) -> Origin<'a, 'v> {
        let (level, file, line) = (Level::Info, Some("db.rs"), Some(line));
        Origin { level, target, file, line, module: None, pairs }
    }

    #[test]
    fn a_place_is_described_once_and_no_more_than_so_many_are() {
        let places = Places::new(2);
        let (none, two) = (Pairs::none(), [("message", 1), ("rows", 2)]);
        let two = Pairs::of(&two);
        let first = places.find_or_add(&origin("db", 1, &none)).unwrap();
        let second = places.find_or_add(&origin("db", 1, &two)).unwrap();
        let names: Vec<_> = second.metadata().fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["log.message", "rows", "message"]);
        let again = places.find_or_add(&origin(&String::from("db"), 1, &none)).unwrap();
        assert!(std::ptr::eq(first, again) && !std::ptr::eq(first, second));
        assert!(places.find_or_add(&origin("db", 2, &none)).is_none());
        assert!(Places::new(2).find_or_add(&origin(&"t".repeat(257), 1, &none)).is_none());
    }
}
