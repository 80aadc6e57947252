//! From the key of a macro call to its handle: a sharded map that is read far more than it is written.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Key;
use parking_lot::RwLock;

use super::handle::Handle;

const SHARDS: usize = 64;

/// One shard on cache lines of its own, because even a reader writes to its lock.
#[repr(align(128))]
#[derive(Default)]
struct Shard(RwLock<HashMap<Key, Handle, BuildHasherDefault<KeyHasher>>>);

/// Handles by key. Only keys whose series has a place of its own are in it, so the registry's cap bounds it;
/// a cap of its own bounds the keys that mean the same series, such as those that repeat a label.
pub(crate) struct Lookup {
    shards: Box<[Shard]>,
    entries: AtomicUsize,
    max_entries: usize,
}

impl Lookup {
    pub(crate) fn new(max_entries: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, entries: AtomicUsize::new(0), max_entries }
    }

    /// Looks at the handle of `key` under its shard's shared lock.
    #[inline]
    pub(crate) fn with<R>(&self, key: &Key, look: impl FnOnce(&Handle) -> R) -> Option<R> {
        self.shard(key).0.read().get(key).map(look)
    }

    pub(crate) fn insert(&self, key: &Key, handle: Handle) {
        if self.entries.load(Ordering::Relaxed) >= self.max_entries {
            return;
        }
        if self.shard(key).0.write().insert(key.to_retained(), handle).is_none() {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, key: &Key) -> &Shard {
        // OK because bits from the middle are used neither for the map's slot nor for its tag.
        let middle = mix(key.get_hash()) >> 32;
        &self.shards[middle as usize % SHARDS]
    }
}

/// Spreads a key's own hash, whose last mixing step the facade leaves out, over all bits.
const fn mix(hash: u64) -> u64 {
    let mixed = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

/// Takes the hash that a [`Key`] was made with instead of hashing its text again.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = mix(hash);
    }

    fn write(&mut self, bytes: &[u8]) {
        // A key writes its hash as one u64; this keeps the hasher right should that ever change.
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics::Counter;

    use super::*;

    #[test]
    fn no_more_keys_are_remembered_than_the_cap_and_a_known_key_counts_once() {
        let lookup = Lookup::new(10);
        for round in 0..3 {
            for id in 0..8 + round * 20 {
                let key = Key::from_parts("x", &[("id", id.to_string())]);
                lookup.insert(&key, Handle::Counter(Counter::noop()));
            }
        }
        let remembered: usize = lookup.shards.iter().map(|shard| shard.0.read().len()).sum();
        assert_eq!(remembered, 10);
        assert!(lookup.with(&Key::from_parts("x", &[("id", "7")]), |_| ()).is_some());
        assert!(lookup.with(&Key::from_parts("x", &[("id", "47")]), |_| ()).is_none());
    }

    #[test]
    fn keys_that_differ_in_one_label_spread_over_all_shards() {
        let lookup = Lookup::new(usize::MAX);
        for id in 0..6_400 {
            let key = Key::from_parts("requests_total", &[("id", id.to_string())]);
            lookup.insert(&key, Handle::Counter(Counter::noop()));
        }
        for shard in &lookup.shards {
            let held = shard.0.read().len();
            assert!((40..=180).contains(&held), "{held}");
        }
    }
}
