//! What a store records about itself.

use std::path::Path;

use metrics::{Counter, Gauge, Histogram, Unit};

const BYTES: &str = "obskit_state_bytes";
const TRANSACTIONS: &str = "obskit_state_transactions_total";
const COMMIT_SECONDS: &str = "obskit_state_commit_duration_seconds";
const EVICTED: &str = "obskit_state_evicted_total";
const ERRORS: &str = "obskit_state_errors_total";
const OPENINGS: &str = "obskit_state_openings_total";

/// Registers the help texts and units of the `obskit_state_…` metrics with the installed recorder.
pub fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_gauge!(
        BYTES,
        Unit::Bytes,
        "Size of a state file: disk, what it takes of the disk; limit, what it may take; used, what its tables count."
    );
    describe_counter!(
        TRANSACTIONS,
        Unit::Count,
        "Transactions that were committed, by durability."
    );
    describe_histogram!(
        COMMIT_SECONDS,
        Unit::Seconds,
        "Time of one commit, with its flush if it had one."
    );
    describe_counter!(
        EVICTED,
        Unit::Count,
        "Items that were dropped to stay within a size cap, by the kind of table."
    );
    describe_counter!(ERRORS, Unit::Count, "Operations that failed, by the kind of failure.");
    describe_counter!(OPENINGS, Unit::Count, "Openings of a state file, by what was found.");
}

/// The handles of one store, bound once.
pub(crate) struct SelfMetrics {
    store: String,
    pub(crate) disk_bytes: Gauge,
    pub(crate) limit_bytes: Gauge,
    pub(crate) used_bytes: Gauge,
    pub(crate) immediate: Counter,
    pub(crate) eventual: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) evicted_queue: Counter,
    pub(crate) evicted_chunks: Counter,
}

impl SelfMetrics {
    pub(crate) fn bind(path: &Path) -> Self {
        let store =
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let bytes = |of: &'static str| metrics::gauge!(BYTES, "store" => store.clone(), "of" => of);
        let evicted = |kind: &'static str| metrics::counter!(EVICTED, "store" => store.clone(), "kind" => kind);
        let transactions = |durability: &'static str| metrics::counter!(TRANSACTIONS, "store" => store.clone(), "durability" => durability);
        Self {
            disk_bytes: bytes("disk"),
            limit_bytes: bytes("limit"),
            used_bytes: bytes("used"),
            immediate: transactions("immediate"),
            eventual: transactions("eventual"),
            commit_seconds: metrics::histogram!(COMMIT_SECONDS, "store" => store.clone()),
            evicted_queue: evicted("queue"),
            evicted_chunks: evicted("chunks"),
            store,
        }
    }

    pub(crate) fn error(&self, kind: &'static str) {
        metrics::counter!(ERRORS, "store" => self.store.clone(), "kind" => kind).increment(1);
    }

    pub(crate) fn opened(&self, found: &'static str) {
        metrics::counter!(OPENINGS, "store" => self.store.clone(), "found" => found).increment(1);
    }
}
