//! What the registry says of itself: how full it is, what it folded, what it refused.

use std::sync::Arc;

use metrics::Gauge;
use obs_model::{Labels, MetricKind, Timestamp};

use super::family::{Family, Series};
use super::handle::{Cell, Handled};
use crate::cells::{CounterCell, GaugeCell, Refused};

pub(crate) const DROPPED: &str = "obskit_metrics_dropped_total";
pub(crate) const FOLDED: &str = "obskit_metrics_overflow_total";
pub(crate) const SERIES: &str = "obskit_metrics_series";

const HELP: [(&str, &str); 3] = [
    (DROPPED, "Recordings that the metrics registry refused, by reason."),
    (FOLDED, "Recordings that went into a metric's overflow series because a cap was reached."),
    (SERIES, "Series that the metrics registry holds, its own left out."),
];

/// Why a recording is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    LabelLimits,
    NameTooLong,
    KindConflict,
    TooManyMetrics,
    InvalidValue,
}

impl Refusal {
    const ALL: [Self; 5] = [
        Self::LabelLimits,
        Self::NameTooLong,
        Self::KindConflict,
        Self::TooManyMetrics,
        Self::InvalidValue,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::LabelLimits => "label_limits",
            Self::NameTooLong => "name_too_long",
            Self::KindConflict => "kind_conflict",
            Self::TooManyMetrics => "too_many_metrics",
            Self::InvalidValue => "invalid_value",
        }
    }
}

/// The registry's own metrics. They are outside its caps, and present from the start so that a rate over them
/// sees the first drop.
pub(crate) struct OwnMetrics {
    refused: [Arc<Refused>; Refusal::ALL.len()],
    pub(crate) folded: Arc<Family>,
    pub(crate) series: Gauge,
    families: Vec<Arc<Family>>,
}

impl OwnMetrics {
    pub(crate) fn new(now: Timestamp) -> Self {
        let dropped = Arc::new(Family::new(DROPPED, MetricKind::Counter, Arc::default()));
        let folded = Arc::new(Family::new(FOLDED, MetricKind::Counter, Arc::default()));
        let series = Arc::new(Family::new(SERIES, MetricKind::Gauge, Arc::default()));

        let refused = Refusal::ALL
            .map(|reason| Arc::new(Refused(own_counter(&dropped, "reason", reason.as_str(), now))));
        let cell = Cell::Gauge(Arc::new(GaugeCell::default()));
        // OK because the cell was made a gauge in the line above.
        let gauge = Gauge::on(&cell).unwrap_or(Gauge::noop());
        series.find_or_insert(Labels::empty(), |labels| Series::new(labels, cell, now));

        let families = vec![dropped, Arc::clone(&folded), series];
        Self { refused, folded, series: gauge, families }
    }

    pub(crate) fn families(&self) -> &[Arc<Family>] {
        &self.families
    }

    pub(crate) fn help() -> impl Iterator<Item = (&'static str, &'static str)> {
        HELP.into_iter()
    }

    pub(crate) fn refused(&self, reason: Refusal) -> &Arc<Refused> {
        &self.refused[reason as usize]
    }

    /// The counter of what `metric` folded.
    pub(crate) fn folded_by(&self, metric: &str, now: Timestamp) -> Arc<CounterCell> {
        own_counter(&self.folded, "metric", metric, now)
    }
}

fn own_counter(family: &Family, label: &str, value: &str, now: Timestamp) -> Arc<CounterCell> {
    // OK because the names are ours and values are reasons or names of metrics, within the default limits.
    let labels = Labels::new([(label, value)]).unwrap_or_default();
    let series = family
        .find_or_insert(labels, |labels| Series::new(labels, Cell::Counter(Arc::default()), now));
    match &series.cell {
        Cell::Counter(cell) => Arc::clone(cell),
        // Only a user's float counter under one of our names comes here; its count is then not shown.
        _ => Arc::new(CounterCell::default()),
    }
}
