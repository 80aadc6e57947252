//! Each thread's own handles by key, so that a macro call takes no lock and touches no memory that other threads
//! write.
//!
//! A handle in here has a reference count of its own, which only this thread changes as long as the handle is not
//! moved to another one. The cache is bounded per thread and over all threads; what has no place in it is found in
//! the registry's shared lookup.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Key;

use super::handle::{Handle, Handled, Lent};
use super::lookup::mix;

const WAYS: usize = 4;

const FIRST_LENGTH: usize = 16;

/// How many handles one thread keeps: some 100 KiB of them.
const MAX_LENGTH: usize = 512;

/// How many handles all threads keep together: some 40 MiB of them.
const MAX_LENGTH_IN_ALL: usize = 256 * 1_024;

/// When a place is taken, one in so many new keys gets it. More keys than places would otherwise push each other out
/// at every call.
const TURNS: u32 = 16;

static LENGTH_IN_ALL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CACHE: RefCell<Cache> = const { RefCell::new(Cache::new(&LENGTH_IN_ALL)) };
}

/// The calling thread's handle for `key`. `stamp` says which registry is meant and which state of it: entries with
/// another stamp do not count.
#[inline]
pub(super) fn get<H: Handled>(stamp: u64, key: &Key) -> Option<H> {
    CACHE
        .try_with(|cache| {
            let cache = cache.try_borrow().ok()?;
            H::from_handle(&cache.find(stamp, key)?.handle).cloned()
        })
        .ok()
        .flatten()
}

/// Keeps a handle that `make` makes, if there is a place for it.
pub(super) fn keep<H: Handled>(
    stamp: u64,
    key: &Key,
    make: impl FnOnce() -> Option<(H, Arc<dyn Lent>)>,
) -> Option<H> {
    CACHE
        .try_with(|cache| {
            let mut cache = cache.try_borrow_mut().ok()?;
            let place = cache.place_for(stamp, key)?;
            let (handle, lent) = make()?;
            let entry = Entry {
                stamp,
                key: key.to_retained(),
                handle: handle.clone().into_handle()?,
                lent,
            };
            let before = cache.put(place, entry);
            drop(cache);
            // The old handle may be the last one of its series, and what that sets off must not find the cache
            // borrowed.
            drop(before);
            Some(handle)
        })
        .ok()
        .flatten()
}

struct Cache {
    /// What tells entries apart at a glance, in sets that share a cache line; zero where there is none.
    tags: Vec<[u64; WAYS]>,
    /// A power of two of places, or none; a key can be at any place of its set.
    entries: Vec<Option<Entry>>,
    turn: u32,
    length_in_all: &'static AtomicUsize,
}

struct Entry {
    stamp: u64,
    key: Key,
    handle: Handle,
    /// The same handle again: it is told when it leaves the cache.
    lent: Arc<dyn Lent>,
}

impl Cache {
    const fn new(length_in_all: &'static AtomicUsize) -> Self {
        Self { tags: Vec::new(), entries: Vec::new(), turn: 0, length_in_all }
    }

    #[inline]
    fn find(&self, stamp: u64, key: &Key) -> Option<&Entry> {
        let (set, tag) = (self.set_of(key), tag(stamp, key));
        let tags = self.tags.get(set)?;
        for (way, known) in tags.iter().enumerate() {
            if *known == tag
                && let Some(Some(entry)) = self.entries.get(set * WAYS + way)
                && entry.stamp == stamp
                && same(&entry.key, key)
            {
                return Some(entry);
            }
        }
        None
    }

    #[inline]
    fn set_of(&self, key: &Key) -> usize {
        // OK because only low bits of what is left are used, whatever the width of `usize`.
        (mix(key.get_hash()) >> 20) as usize & self.tags.len().wrapping_sub(1)
    }

    /// The place for a key that was not found.
    fn place_for(&mut self, stamp: u64, key: &Key) -> Option<usize> {
        loop {
            let first = self.set_of(key) * WAYS;
            let set = self.entries.get(first..first + WAYS).unwrap_or_default();
            // What belongs to an earlier state of the same registry is of no more use.
            let outdated = |entry: &Entry| {
                (entry.stamp != stamp && entry.stamp >> 32 == stamp >> 32) || entry.key == *key
            };
            if let Some(way) = set.iter().position(|entry| entry.as_ref().is_none_or(outdated)) {
                return Some(first + way);
            }
            if !self.grow() {
                self.turn = self.turn.wrapping_add(1);
                let has_turn = !self.entries.is_empty() && self.turn.is_multiple_of(TURNS);
                return has_turn.then_some(first + (self.turn / TURNS) as usize % WAYS);
            }
        }
    }

    /// Puts an entry at a place and returns what was there.
    fn put(&mut self, place: usize, entry: Entry) -> Option<Entry> {
        if let Some(tags) = self.tags.get_mut(place / WAYS) {
            tags[place % WAYS] = tag(entry.stamp, &entry.key);
        }
        self.entries.get_mut(place)?.replace(entry)
    }

    fn grow(&mut self) -> bool {
        let length = (self.entries.len() * 2).max(FIRST_LENGTH);
        let more = length - self.entries.len();
        let in_all = self.length_in_all.load(Ordering::Relaxed);
        if length > MAX_LENGTH || in_all + more > MAX_LENGTH_IN_ALL {
            return false;
        }
        self.length_in_all.fetch_add(more, Ordering::Relaxed);
        let before = std::mem::take(&mut self.entries);
        self.entries.resize_with(length, || None);
        self.tags = vec![[0; WAYS]; length / WAYS];
        for entry in before.into_iter().flatten() {
            let first = self.set_of(&entry.key) * WAYS;
            // OK because the entries of one set are spread over two.
            let place = (first..first + WAYS).find(|place| self.entries[*place].is_none());
            self.put(place.unwrap_or(first), entry);
        }
        true
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.length_in_all.fetch_sub(self.entries.len(), Ordering::Relaxed);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.lent.leave_cache();
    }
}

#[inline]
fn tag(stamp: u64, key: &Key) -> u64 {
    // OK because a tag only saves comparisons: two keys of one tag are still told apart.
    (mix(key.get_hash()) ^ stamp) | 1
}

/// Whether two keys are equal. Where texts are is looked at before what they are, because names and most labels are
/// literals.
#[inline]
fn same(known: &Key, key: &Key) -> bool {
    if known.get_hash() != key.get_hash() || !same_text(known.name(), key.name()) {
        return false;
    }
    let (known_labels, labels) = (known.labels().as_slice(), key.labels().as_slice());
    // OK because the known key is alive: whatever else is at the same address with the same length is the same.
    if std::ptr::eq(known_labels, labels) {
        return true;
    }
    let in_order = known_labels.len() == labels.len()
        && known_labels.iter().zip(labels).all(|(known, label)| {
            same_text(known.key(), label.key()) && same_text(known.value(), label.value())
        });
    // Keys are also equal when only the order of their labels differs.
    in_order || known == key
}

#[inline]
fn same_text(known: &str, text: &str) -> bool {
    std::ptr::eq(known, text) || (known.len() == text.len() && same_bytes(known, text))
}

/// Whether texts of one length are equal. Most label values are short, and calling `memcmp` for them costs more than
/// comparing them here.
#[inline]
fn same_bytes(known: &str, text: &str) -> bool {
    let (known, text) = (known.as_bytes(), text.as_bytes());
    match known.len() {
        8..=16 => {
            known.first_chunk::<8>() == text.first_chunk()
                && known.last_chunk::<8>() == text.last_chunk()
        }
        4..8 => {
            known.first_chunk::<4>() == text.first_chunk()
                && known.last_chunk::<4>() == text.last_chunk()
        }
        2..4 => {
            known.first_chunk::<2>() == text.first_chunk()
                && known.last_chunk::<2>() == text.last_chunk()
        }
        _ => known == text,
    }
}

#[cfg(test)]
mod tests {
    use metrics::Counter;

    use super::*;

    #[test]
    fn texts_of_every_length_are_equal_only_to_themselves() {
        for length in 0..40 {
            let text: String = ('a'..='z').cycle().take(length).collect();
            assert!(same_text(&text, &text.clone()), "{text}");
            assert!(!same_text(&text, &format!("{text}a")));
            for at in 0..length {
                let mut other = text.clone().into_bytes();
                other[at] = b'_';
                assert!(!same_text(&text, &String::from_utf8(other).unwrap()), "{text} at {at}");
            }
        }
    }

    struct Unlent;

    impl Lent for Unlent {
        fn leave_cache(&self) {}

        fn is_cached(&self) -> bool {
            true
        }
    }

    fn insert(cache: &mut Cache, stamp: u64, key: &Key) -> bool {
        let Some(place) = cache.place_for(stamp, key) else { return false };
        let handle = Handle::Counter(Counter::noop());
        let entry = Entry { stamp, key: key.to_retained(), handle, lent: Arc::new(Unlent) };
        cache.put(place, entry);
        true
    }

    fn key(id: usize) -> Key {
        Key::from_parts("requests_total", &[("id", id.to_string())])
    }

    #[test]
    fn a_key_is_found_under_its_stamp_and_by_its_text_wherever_that_is() {
        static IN_ALL: AtomicUsize = AtomicUsize::new(0);
        let mut cache = Cache::new(&IN_ALL);
        assert!(cache.find(1 << 32, &key(1)).is_none());
        assert!(insert(&mut cache, 1 << 32, &key(1)));
        assert!(cache.find(1 << 32, &key(1)).is_some());
        assert!(cache.find(1 << 32, &key(2)).is_none());
        assert!(cache.find(2 << 32, &key(1)).is_none());
        assert!(cache.find((1 << 32) + 1, &key(1)).is_none());
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_cap_and_old_keys_give_way_to_new_ones() {
        static IN_ALL: AtomicUsize = AtomicUsize::new(0);
        let mut cache = Cache::new(&IN_ALL);
        for id in 0..20_000 {
            insert(&mut cache, 1 << 32, &key(id));
        }
        assert_eq!((cache.entries.len(), IN_ALL.load(Ordering::Relaxed)), (MAX_LENGTH, MAX_LENGTH));
        let late = (10_000..20_000).filter(|id| cache.find(1 << 32, &key(*id)).is_some()).count();
        assert!(late > 100, "{late}");
        drop(cache);
        assert_eq!(IN_ALL.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn growing_keeps_every_entry() {
        static IN_ALL: AtomicUsize = AtomicUsize::new(0);
        let mut cache = Cache::new(&IN_ALL);
        for id in 0..100 {
            assert!(insert(&mut cache, 1 << 32, &key(id)), "{id}");
            for known in 0..=id {
                assert!(cache.find(1 << 32, &key(known)).is_some(), "{known} after {id}");
            }
        }
    }

    #[test]
    fn beyond_the_cap_of_all_threads_a_new_thread_keeps_nothing() {
        static IN_ALL: AtomicUsize = AtomicUsize::new(MAX_LENGTH_IN_ALL);
        let mut cache = Cache::new(&IN_ALL);
        for id in 0..100 {
            assert!(!insert(&mut cache, 1 << 32, &key(id)));
        }
        assert!(cache.entries.is_empty());
    }
}
