//! No bytes make the decoder of chunks panic, and what it accepts has times that rise and can be loaded into a store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use obs_model::{Labels, Timestamp};
use obs_query::{SealedChunk, SeriesStore, StoreConfig};

fuzz_target!(|bytes: &[u8]| {
    let Ok(labels) = Labels::new([("__name__", "fuzzed")]) else { return };
    let at = Timestamp::EPOCH;
    let chunk = SealedChunk { labels, start: at, end: at, bytes: bytes.into() };
    let (Ok(samples), Ok(histograms)) = (chunk.samples(), chunk.histograms()) else { return };
    assert!(samples.is_empty() != histograms.is_empty());
    assert!(samples.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
    assert!(histograms.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
    let store = SeriesStore::new(StoreConfig { max_series: 1, ..StoreConfig::default() });
    let loaded = store.load(&chunk).unwrap_or(0);
    // Fewer are left of a chunk that spans more than the retention.
    assert!(store.stats().samples <= loaded);
    assert!(store.stats().samples > 0 || loaded == 0);
});
