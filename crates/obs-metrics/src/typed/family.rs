//! A metric with typed labels, whose handles each thread remembers.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram};
use parking_lot::{Mutex, RwLock};

use super::LabelSet;
use crate::registry::{Handled, Registry};

/// How many handles a family remembers for all threads.
const MAX_SHARED: usize = 4_096;

/// How many of them one thread remembers for itself.
const MAX_LOCAL: usize = 256;

/// How many families one thread remembers handles of.
const MAX_FAMILIES: usize = 1_024;

/// A family of counters.
pub type CounterFamily<L> = Family<L, Counter>;
/// A family of gauges.
pub type GaugeFamily<L> = Family<L, Gauge>;
/// A family of histograms.
pub type HistogramFamily<L> = Family<L, Histogram>;

/// A metric with labels of type `L`; a clone is another handle on the same family.
///
/// A family holds handles on the series that it has used, the first 4,096 of them: those do not expire while the
/// family lives.
pub struct Family<L, H>(Arc<Inner<L, H>>);

struct Inner<L, H> {
    registry: Registry,
    name: Box<str>,
    place: Place,
    known: RwLock<HashMap<L, H>>,
}

impl Registry {
    /// A family of counters of this registry; nothing is shown of it before its first use.
    #[must_use]
    pub fn counter_family<L: LabelSet>(&self, name: &str) -> CounterFamily<L> {
        Family::new(self, name)
    }

    /// A family of gauges of this registry.
    #[must_use]
    pub fn gauge_family<L: LabelSet>(&self, name: &str) -> GaugeFamily<L> {
        Family::new(self, name)
    }

    /// A family of histograms of this registry.
    #[must_use]
    pub fn histogram_family<L: LabelSet>(&self, name: &str) -> HistogramFamily<L> {
        Family::new(self, name)
    }
}

#[expect(private_bounds, reason = "only the three kinds of handles of the facade can be used")]
impl<L: LabelSet, H: Handled + 'static> Family<L, H> {
    fn new(registry: &Registry, name: &str) -> Self {
        let known = RwLock::default();
        Self(Arc::new(Inner {
            registry: registry.clone(),
            name: name.into(),
            place: Place::take(),
            known,
        }))
    }

    /// Runs `record` with the handle of these labels. This is the fast way: no reference is counted and nothing is
    /// allocated when the calling thread has used the labels before.
    #[inline]
    pub fn with(&self, labels: &L, record: impl FnOnce(&H)) {
        let mut record = Some(record);
        // OK because a thread that ends has no memory of its own any more; the handle is then found as a new one is.
        let _ = LOCAL.try_with(|local| {
            let local = local.try_borrow().ok()?;
            let handle = local.find::<L, H>(&self.0.place, labels)?;
            record.take().map(|record| record(handle))
        });
        if let Some(record) = record {
            record(&self.get(labels));
        }
    }

    /// A handle to keep.
    #[must_use]
    pub fn get(&self, labels: &L) -> H {
        let known = self.0.known.read().get(labels).cloned();
        let (handle, may_keep) = match known {
            Some(handle) => (handle, true),
            None => self.find(labels),
        };
        if may_keep {
            // OK because a thread that ends, or records from inside its allocator, merely does not remember.
            let _ = LOCAL.try_with(|local| {
                let mut local = local.try_borrow_mut().ok()?;
                local.keep(&self.0.place, labels.clone(), handle.clone());
                Some(())
            });
        }
        handle
    }

    fn find(&self, labels: &L) -> (H, bool) {
        let mut values: Vec<String> = Vec::with_capacity(L::NAMES.len());
        labels.values(&mut |value| values.push(value.to_owned()));
        let pairs = L::NAMES.iter().copied().zip(values.iter().map(String::as_str));
        let (handle, own_place) = self.0.registry.handle_and_place::<H>(&self.0.name, pairs);
        let mut known = self.0.known.write();
        // A handle that folds is looked up each time, because room for a series of its own may come.
        if own_place && known.len() < MAX_SHARED {
            known.insert(labels.clone(), handle.clone());
        }
        (handle, own_place)
    }
}

impl<L, H> Clone for Family<L, H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L, H> fmt::Debug for Family<L, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// Where a family's handles are in the memory of each thread. The index is given out again when the family is gone;
/// the number never is.
struct Place {
    index: usize,
    number: u64,
}

struct Places {
    free: Vec<usize>,
    next_index: usize,
    next_number: u64,
}

static PLACES: Mutex<Places> =
    Mutex::new(Places { free: Vec::new(), next_index: 0, next_number: 1 });

impl Place {
    fn take() -> Self {
        let mut places = PLACES.lock();
        let number = places.next_number;
        places.next_number += 1;
        let index = places.free.pop().unwrap_or_else(|| {
            places.next_index += 1;
            places.next_index - 1
        });
        Self { index, number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES.lock().free.push(self.index);
    }
}

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local(Vec::new())) };
}

/// The handles that a thread remembers, by the index of their family.
struct Local(Vec<Option<Remembered>>);

struct Remembered {
    number: u64,
    handles: Box<dyn Any>,
}

type Handles<L, H> = HashMap<L, H, BuildHasherDefault<QuickHasher>>;

impl Local {
    #[inline]
    fn find<L: LabelSet, H: 'static>(&self, place: &Place, labels: &L) -> Option<&H> {
        let remembered = self.0.get(place.index)?.as_ref()?;
        if remembered.number != place.number {
            return None;
        }
        remembered.handles.downcast_ref::<Handles<L, H>>()?.get(labels)
    }

    fn keep<L: LabelSet, H: 'static>(&mut self, place: &Place, labels: L, handle: H) {
        if place.index >= MAX_FAMILIES {
            return;
        }
        if self.0.len() <= place.index {
            self.0.resize_with(place.index + 1, || None);
        }
        let slot = &mut self.0[place.index];
        if slot.as_ref().is_none_or(|known| known.number != place.number) {
            let handles: Box<dyn Any> = Box::new(Handles::<L, H>::default());
            *slot = Some(Remembered { number: place.number, handles });
        }
        let handles = slot.as_mut().and_then(|known| known.handles.downcast_mut::<Handles<L, H>>());
        if let Some(handles) = handles
            && handles.len() < MAX_LOCAL
        {
            handles.insert(labels, handle);
        }
    }
}

/// A quick hash for maps that hold so little that nobody gains from making their keys collide.
#[derive(Default)]
struct QuickHasher(u64);

impl QuickHasher {
    #[inline]
    const fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for QuickHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let (halves, rest) = rest.as_chunks::<4>();
        for half in halves {
            self.mix(u64::from(u32::from_le_bytes(*half)));
        }
        for byte in rest {
            self.mix(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    crate::label_set! {
        struct Id {
            kind: &'static str,
            id: u32,
        }
    }

    #[test]
    fn what_a_family_remembers_is_bounded_and_everything_is_counted() {
        let registry = Registry::default();
        let family = registry.counter_family::<Id>("ids_total");
        let count = MAX_SHARED as u32 + 100;
        for _ in 0..2 {
            for id in 0..count {
                family.with(&Id { kind: "a", id }, |counter| counter.increment(1));
            }
        }
        assert_eq!(family.0.known.read().len(), MAX_SHARED);
        for id in [0, count - 1] {
            let labels = [("kind", "a"), ("id", &*id.to_string())];
            assert_eq!(registry.value("ids_total", &labels), Some(2.0));
        }
    }

    #[test]
    fn families_that_come_and_go_on_one_thread_never_see_each_others_handles() {
        for round in 0..100_u32 {
            let registry = Registry::default();
            let counters = registry.counter_family::<Id>("x_total");
            let sizes = registry.histogram_family::<()>("x_bytes");
            counters.with(&Id { kind: "a", id: 1 }, |counter| counter.increment(u64::from(round)));
            sizes.with(&(), |size| size.record(1.0));
            sizes.with(&(), |size| size.record(1.0));
            assert_eq!(
                registry.value("x_total", &[("kind", "a"), ("id", "1")]),
                Some(f64::from(round))
            );
            assert_eq!(registry.value("x_bytes_count", &[]), Some(2.0));
        }
    }

    #[test]
    fn many_threads_share_the_series_of_a_family() {
        let registry = Registry::default();
        let family = registry.gauge_family::<Id>("depth");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for id in 0..300 {
                        family.with(&Id { kind: "a", id }, |gauge| gauge.increment(1.0));
                    }
                });
            }
        });
        for id in 0..300 {
            let labels = [("kind", "a"), ("id", &*id.to_string())];
            assert_eq!(registry.value("depth", &labels), Some(8.0));
        }
    }

    #[test]
    fn a_recording_inside_a_recording_is_counted() {
        let registry = Registry::default();
        let family = registry.counter_family::<Id>("x_total");
        for _ in 0..2 {
            family.with(&Id { kind: "outer", id: 0 }, |outer| {
                family.with(&Id { kind: "inner", id: 0 }, |inner| inner.increment(1));
                outer.increment(1);
            });
        }
        for kind in ["outer", "inner"] {
            assert_eq!(registry.value("x_total", &[("kind", kind), ("id", "0")]), Some(2.0));
        }
    }
}
