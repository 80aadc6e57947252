//! What persistence records about itself.

use metrics::{Counter, Gauge, Histogram, Unit};

const LOG_BYTES: &str = "obskit_store_log_bytes";
const SEGMENT_BYTES: &str = "obskit_store_segment_bytes";
const SAVED_CHUNKS: &str = "obskit_store_saved_chunks_total";
const LOGGED_SAMPLES: &str = "obskit_store_logged_samples_total";
const CHECKPOINTS: &str = "obskit_store_checkpoints_total";
const UNSAVED: &str = "obskit_store_unsaved_chunks_total";
const FAILURES: &str = "obskit_store_save_failures_total";
const REPLAYED: &str = "obskit_store_replayed_samples_total";
const SKIPPED: &str = "obskit_store_replay_skipped_total";
const SAVE_SECONDS: &str = "obskit_store_save_duration_seconds";

/// Registers the help texts and units of the metrics of persistence with the installed recorder.
pub fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_gauge!(
        LOG_BYTES,
        Unit::Bytes,
        "Size of the log of samples that are not in a saved chunk."
    );
    describe_gauge!(SEGMENT_BYTES, Unit::Bytes, "Size of the saved chunks.");
    describe_counter!(SAVED_CHUNKS, Unit::Count, "Chunks that were saved.");
    describe_counter!(LOGGED_SAMPLES, Unit::Count, "Samples that were written to the log.");
    describe_counter!(
        CHECKPOINTS,
        Unit::Count,
        "Times that the log was written anew, without what it needs no more."
    );
    describe_counter!(
        UNSAVED,
        Unit::Count,
        "Chunks that were given up because too many waited for a disk that does not work."
    );
    describe_counter!(FAILURES, Unit::Count, "Attempts to save or log samples that failed.");
    describe_counter!(REPLAYED, Unit::Count, "Samples that were loaded at the start.");
    describe_counter!(SKIPPED, Unit::Count, "Pieces that could not be loaded at the start.");
    describe_histogram!(SAVE_SECONDS, Unit::Seconds, "Time of one saving, whatever its outcome.");
}

/// The handles, bound once.
pub(super) struct SelfMetrics {
    pub(super) log_bytes: Gauge,
    pub(super) segment_bytes: Gauge,
    pub(super) saved_chunks: Counter,
    pub(super) logged_samples: Counter,
    pub(super) checkpoints: Counter,
    pub(super) unsaved: Counter,
    pub(super) failures: Counter,
    pub(super) replayed: Counter,
    pub(super) skipped: Counter,
    pub(super) save_seconds: Histogram,
}

impl SelfMetrics {
    pub(super) fn bind() -> Self {
        Self {
            log_bytes: metrics::gauge!(LOG_BYTES),
            segment_bytes: metrics::gauge!(SEGMENT_BYTES),
            saved_chunks: metrics::counter!(SAVED_CHUNKS),
            logged_samples: metrics::counter!(LOGGED_SAMPLES),
            checkpoints: metrics::counter!(CHECKPOINTS),
            unsaved: metrics::counter!(UNSAVED),
            failures: metrics::counter!(FAILURES),
            replayed: metrics::counter!(REPLAYED),
            skipped: metrics::counter!(SKIPPED),
            save_seconds: metrics::histogram!(SAVE_SECONDS),
        }
    }
}
