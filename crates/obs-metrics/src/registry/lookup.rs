//! From the key of a macro call to its series: a sharded map for what is not in the calling thread's cache.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Key;
use parking_lot::RwLock;

use super::Series;

const SHARDS: usize = 64;

/// One shard on cache lines of its own, because even a reader writes to its lock.
#[repr(align(128))]
#[derive(Default)]
struct Shard(RwLock<HashMap<Key, Arc<Series>, BuildHasherDefault<KeyHasher>>>);

/// Series by key. Only keys whose series has a place of its own are in it, so the registry's cap bounds it;
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

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Series>> {
        self.shard(key).0.read().get(key).cloned()
    }

    /// Forgets the keys of every series that `stays` does not want.
    pub(crate) fn retain(&self, mut stays: impl FnMut(&Series) -> bool) {
        for shard in &self.shards {
            let mut gone = Vec::new();
            shard.0.write().retain(|key, series| {
                let stay = stays(series);
                if !stay {
                    gone.push((key.clone(), Arc::clone(series)));
                }
                stay
            });
            self.entries.fetch_sub(gone.len(), Ordering::Relaxed);
        }
    }

    pub(crate) fn insert(&self, key: &Key, series: Arc<Series>) {
        if self.entries.load(Ordering::Relaxed) >= self.max_entries {
            return;
        }
        if self.shard(key).0.write().insert(key.to_retained(), series).is_none() {
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
pub(crate) const fn mix(hash: u64) -> u64 {
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
    use obs_model::{Labels, Timestamp};

    use super::*;
    use crate::registry::Cell;

    fn series() -> Arc<Series> {
        let cell = Cell::Gauge(Arc::default());
        Arc::new(Series::new(Labels::empty(), cell, Timestamp::EPOCH))
    }

    #[test]
    fn no_more_keys_are_remembered_than_the_cap_and_a_known_key_counts_once() {
        let lookup = Lookup::new(10);
        for round in 0..3 {
            for id in 0..8 + round * 20 {
                let key = Key::from_parts("x", &[("id", id.to_string())]);
                lookup.insert(&key, series());
            }
        }
        let remembered: usize = lookup.shards.iter().map(|shard| shard.0.read().len()).sum();
        assert_eq!(remembered, 10);
        assert!(lookup.get(&Key::from_parts("x", &[("id", "7")])).is_some());
        assert!(lookup.get(&Key::from_parts("x", &[("id", "47")])).is_none());
    }

    #[test]
    fn keys_that_differ_in_one_label_spread_over_all_shards() {
        let lookup = Lookup::new(usize::MAX);
        for id in 0..6_400 {
            let key = Key::from_parts("requests_total", &[("id", id.to_string())]);
            lookup.insert(&key, series());
        }
        for shard in &lookup.shards {
            let held = shard.0.read().len();
            assert!((40..=180).contains(&held), "{held}");
        }
    }
}
