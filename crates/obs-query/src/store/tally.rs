//! What became of samples, counted: for reports and for the store's own metrics.

use super::series::Taken;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

const DROPPED: &str = "obskit_store_dropped_total";
const EVICTED: &str = "obskit_store_evicted_total";
const MISSED_TICKS: &str = "obskit_store_missed_ticks_total";
const FAILED_TICKS: &str = "obskit_store_failed_ticks_total";
pub(super) const SERIES: &str = "obskit_store_series";
pub(super) const SAMPLES: &str = "obskit_store_samples";
const EXEMPLARS_DROPPED: &str = "obskit_store_exemplars_dropped_total";
pub(super) const EXEMPLARS: &str = "obskit_store_exemplars";
pub(super) const BYTES: &str = "obskit_store_bytes";
pub(super) const INGEST_DURATION: &str = "obskit_store_ingest_duration_seconds";

/// Why a sample was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    OutOfOrder,
    Duplicate,
    TooOld,
    SeriesLimit,
    Unnamed,
    InvalidLabels,
    UnknownSeries,
    InvalidChunk,
}

impl Refused {
    const ALL: [(Self, &'static str); 8] = [
        (Self::OutOfOrder, "out_of_order"),
        (Self::Duplicate, "duplicate"),
        (Self::TooOld, "too_old"),
        (Self::SeriesLimit, "series_limit"),
        (Self::Unnamed, "unnamed"),
        (Self::InvalidLabels, "invalid_labels"),
        (Self::UnknownSeries, "unknown_series"),
        (Self::InvalidChunk, "invalid_chunk"),
    ];
}

/// Why stored samples were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evicted {
    Retention,
    SampleLimit,
    ByteLimit,
}

impl Evicted {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Retention, "retention"),
        (Self::SampleLimit, "sample_limit"),
        (Self::ByteLimit, "byte_limit"),
    ];
}

/// Why an exemplar is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExemplarLoss {
    UnknownSeries,
    OutOfOrder,
    TooOld,
    TooLong,
    /// It was the oldest and made room, or went with its time or its series.
    Evicted,
}

impl ExemplarLoss {
    const fn reason(self) -> &'static str {
        match self {
            Self::UnknownSeries => "unknown_series",
            Self::OutOfOrder => "out_of_order",
            Self::TooOld => "too_old",
            Self::TooLong => "labels_too_long",
            Self::Evicted => "evicted",
        }
    }

    /// What is wrong, for an error that says of which exemplar.
    pub(super) const fn problem(self) -> &'static str {
        match self {
            Self::UnknownSeries => "there is no such series: expected one that has samples",
            Self::OutOfOrder => "it is before the series' last one: expected a later time",
            Self::TooOld => "it is too old: expected a time within the retention",
            Self::TooLong => "its labels are too long: expected at most 128 characters together",
            Self::Evicted => "there is no room",
        }
    }
}

/// Counts exemplars that are not there.
pub(super) fn count_exemplars(loss: ExemplarLoss, exemplars: usize) {
    count(EXEMPLARS_DROPPED, loss.reason(), exemplars);
}

/// What became of the samples of one call.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) appended: usize,
    /// Samples that were the same as the last one of their series.
    pub(super) repeated: usize,
    refused: [usize; Refused::ALL.len()],
    evicted: [usize; Evicted::ALL.len()],
}

impl Tally {
    pub(super) fn refuse(&mut self, why: Refused) {
        self.refused[why as usize] += 1;
    }

    pub(super) fn evict(&mut self, why: Evicted, samples: usize) {
        self.evicted[why as usize] += samples;
    }

    /// Counts samples that were taken.
    pub(super) fn take(&mut self, taken: Taken) {
        match taken {
            Taken::Stored => self.appended += 1,
            Taken::Repeated => self.repeated += 1,
        }
    }

    /// How many samples were refused.
    pub(super) fn dropped(&self) -> usize {
        self.refused.iter().sum()
    }

    /// Counts in the metrics. Not to be called with the store's lock held: the recorder may be busy being gathered.
    pub(super) fn record(&self) {
        for (why, reason) in Refused::ALL {
            count(DROPPED, reason, self.refused[why as usize]);
        }
        for (why, reason) in Evicted::ALL {
            count(EVICTED, reason, self.evicted[why as usize]);
        }
    }
}

fn count(name: &'static str, reason: &'static str, samples: usize) {
    if samples > 0 {
        counter!(name, "reason" => reason).increment(samples as u64);
    }
}

/// Counts grid times that passed without a gathering.
pub(crate) fn count_missed_ticks(ticks: u64) {
    if ticks > 0 {
        counter!(MISSED_TICKS).increment(ticks);
    }
}

/// Counts a gathering that panicked.
pub(crate) fn count_failed_tick() {
    counter!(FAILED_TICKS).increment(1);
}

/// Tells the installed `metrics` recorder what the store's own metrics mean.
///
/// Call it once, after the recorder is installed.
pub fn describe_metrics() {
    describe_gauge!(SERIES, "Series in the in-process store.");
    describe_gauge!(SAMPLES, "Samples in the in-process store.");
    describe_gauge!(
        BYTES,
        Unit::Bytes,
        "Memory of the in-process store, labels and index included."
    );
    describe_gauge!(EXEMPLARS, "Exemplars in the in-process store.");
    describe_counter!(
        EXEMPLARS_DROPPED,
        "Exemplars that the in-process store refused or removed, by reason."
    );
    describe_counter!(DROPPED, "Samples that the in-process store refused, by reason.");
    describe_counter!(EVICTED, "Samples that the in-process store removed, by reason.");
    describe_counter!(MISSED_TICKS, "Grid times at which nothing was gathered.");
    describe_counter!(FAILED_TICKS, "Gatherings that panicked.");
    describe_histogram!(INGEST_DURATION, Unit::Seconds, "Time to gather and store one tick.");
}
