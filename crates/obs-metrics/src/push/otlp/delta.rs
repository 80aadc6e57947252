//! From totals to differences: what delta temporality sends of a series, and what it remembers of it for that.
//!
//! A point begins where the one before it ended, so that the points of a series cover the time without gap or overlap. A
//! series to which nothing was added has no point, as the specification asks; its next one then covers that time too. So
//! a gap tells a receiver what it should: that points were lost, or that the series began anew. (The specification of SDKs
//! begins every point at the last round, which leaves gaps that by the data model are lost points.)
//!
//! - <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#temporality>
//! - <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#resets-and-gaps>

use std::sync::Arc;
use std::time::Duration;

use obs_model::{Exemplar, NativeBuckets, Timestamp};

use crate::push::source::Row;
use crate::registry::Value;

/// What was sent of a series, as the totals that it had then.
#[derive(Debug)]
pub(super) struct Sent {
    /// When the series began, if that is known.
    created: Option<Timestamp>,
    /// Where the next point begins: where the last one ended or, before there is one, where the series began.
    until: Timestamp,
    totals: Totals,
    /// When the newest exemplar that was sent was observed.
    newest_exemplar: Option<Timestamp>,
}

#[derive(Debug)]
enum Totals {
    Whole(u64),
    Float(f64),
    Fixed(Box<Fixed>),
    Native(Box<Native>),
}

/// A histogram with fixed buckets.
#[derive(Debug)]
struct Fixed {
    bounds: Arc<[f64]>,
    counts: Vec<u64>,
    sum: f64,
}

/// A histogram with exponential buckets.
#[derive(Debug)]
struct Native {
    buckets: NativeBuckets,
    sum: f64,
}

/// What was added to a series; the counts of a histogram are in the room.
#[derive(Clone, Copy, Debug)]
enum Added {
    Whole(u64),
    Float(f64),
    Fixed { sum: f64 },
    Native { sum: f64 },
}

/// Where the difference of one series is put together; one is enough for all of them.
#[derive(Debug, Default)]
pub(super) struct Room {
    counts: Vec<u64>,
    native: NativeBuckets,
    exemplars: Vec<Option<Exemplar>>,
    /// The bounds that came last: as long as they stay the same, they are kept once.
    bounds: Arc<[f64]>,
}

impl Sent {
    /// Nothing was sent of this series, which began at `start`.
    pub(super) fn nothing(row: &Row<'_>, start: Timestamp, room: &mut Room) -> Self {
        let totals = Totals::nothing(row, room);
        Self { created: row.created, until: start, totals, newest_exemplar: None }
    }

    /// Where the point of the time `at` begins and what was added until then, and remembers that as sent; nothing if
    /// nothing was added.
    pub(super) fn advance<'a>(
        &mut self,
        row: &Row<'_>,
        at: Timestamp,
        room: &'a mut Room,
    ) -> Option<(Timestamp, Value<'a>)> {
        if matches!(row.value, Value::FloatCounter(total) if total.is_nan()) {
            // A source that lost its total for a moment says nothing.
            return None;
        }
        if self.created != row.created {
            // Another series of the same name. What the one before it counted after its last point nobody knows.
            let start = row.created.map_or(self.until, |created| created.max(self.until));
            *self = Self::nothing(row, start, room);
        }
        let mut added = self.totals.difference(&row.value, row.bounds, room);
        if added.is_none() {
            // It fell: at some time since its last point it began again at zero.
            self.totals = Totals::nothing(row, room);
            added = self.totals.difference(&row.value, row.bounds, room);
        }
        let added = added.filter(|added| !added.is_nothing(room))?;
        // An interval is neither empty nor turned round, not even that of a series that began in the moment of the round
        // or of a round after which the clock was set back.
        let start = self.until.min(at.minus(Duration::from_millis(1)));
        self.until = at;
        self.totals.set(&row.value);
        self.take_exemplars(&row.value, room);
        Some((start, added.value(room)))
    }

    /// Puts the exemplars into the room that were not sent yet.
    fn take_exemplars(&mut self, value: &Value<'_>, room: &mut Room) {
        room.exemplars.clear();
        let Value::Histogram { exemplars, .. } = value else { return };
        // They are compared with each other, because the time of a point is that of a tick, after which it was read.
        let sent = self.newest_exemplar;
        let is_new = |exemplar: &&Exemplar| sent.is_none_or(|sent| exemplar.timestamp > sent);
        room.exemplars.extend(exemplars.iter().flatten().filter(is_new).cloned().map(Some));
        let newest = room.exemplars.iter().flatten().map(|exemplar| exemplar.timestamp).max();
        self.newest_exemplar = newest.max(sent);
    }
}

impl Totals {
    /// What a series begins with.
    fn nothing(row: &Row<'_>, room: &mut Room) -> Self {
        match row.value {
            Value::Counter(_) => Self::Whole(0),
            // OK because gauges have no differences, so that none of them comes here.
            Value::FloatCounter(_) | Value::Gauge(_) => Self::Float(0.0),
            Value::Histogram { native: Some(now), .. } => {
                let NativeBuckets { schema, zero_threshold, .. } = *now;
                let buckets = NativeBuckets { schema, zero_threshold, ..NativeBuckets::default() };
                Self::Native(Box::new(Native { buckets, sum: 0.0 }))
            }
            Value::Histogram { counts, native: None, .. } => {
                if *room.bounds != *row.bounds {
                    room.bounds = Arc::from(row.bounds);
                }
                let (bounds, counts) = (Arc::clone(&room.bounds), vec![0; counts.len()]);
                Self::Fixed(Box::new(Fixed { bounds, counts, sum: 0.0 }))
            }
        }
    }

    /// What was added to these totals; nothing if they cannot have become the new ones by adding.
    fn difference(&self, now: &Value<'_>, bounds: &[f64], room: &mut Room) -> Option<Added> {
        match (self, now) {
            (Self::Whole(before), Value::Counter(now)) => {
                now.checked_sub(*before).map(Added::Whole)
            }
            // Equal totals come first, because infinite ones have no difference.
            (Self::Float(before), Value::FloatCounter(now)) if now == before => {
                Some(Added::Float(0.0))
            }
            (Self::Float(before), Value::FloatCounter(now)) => {
                (now > before).then(|| Added::Float(now - before))
            }
            (Self::Fixed(before), Value::Histogram { counts, sum, native: None, .. }) => {
                if *before.bounds != *bounds || before.counts.len() != counts.len() {
                    return None;
                }
                room.counts.clear();
                for (now, before) in counts.iter().zip(&before.counts) {
                    room.counts.push(now.checked_sub(*before)?);
                }
                Some(Added::Fixed { sum: sum - before.sum })
            }
            (Self::Native(before), Value::Histogram { sum, native: Some(now), .. }) => {
                subtract(now, &before.buckets, &mut room.native)?;
                let counts = room.native.positive.iter().chain(&room.native.negative);
                let count = room.native.zero_count + counts.map(|(_, count)| count).sum::<u64>();
                room.counts.clear();
                room.counts.push(count);
                Some(Added::Native { sum: sum - before.sum })
            }
            _ => None,
        }
    }

    /// Makes these totals those of a value of the same sort.
    fn set(&mut self, now: &Value<'_>) {
        match (self, now) {
            (Self::Whole(total), Value::Counter(now)) => *total = *now,
            (Self::Float(total), Value::FloatCounter(now)) => *total = *now,
            (Self::Fixed(kept), Value::Histogram { counts, sum, native: None, .. }) => {
                kept.counts.clear();
                kept.counts.extend_from_slice(counts);
                kept.sum = *sum;
            }
            (Self::Native(kept), Value::Histogram { sum, native: Some(now), .. }) => {
                kept.buckets.clone_from(now);
                kept.sum = *sum;
            }
            // OK because a difference was found, which values of different sorts do not have.
            _ => {}
        }
    }
}

impl Added {
    fn is_nothing(&self, room: &Room) -> bool {
        match *self {
            Self::Whole(more) => more == 0,
            Self::Float(more) => more == 0.0,
            // A sum without observations is of one that is being counted: it goes with its count.
            Self::Fixed { .. } | Self::Native { .. } => room.counts.iter().all(|count| *count == 0),
        }
    }

    /// As a series has it whose whole total this is.
    fn value(self, room: &Room) -> Value<'_> {
        let (counts, exemplars) = (&room.counts, &room.exemplars);
        match self {
            Self::Whole(more) => Value::Counter(more),
            Self::Float(more) => Value::FloatCounter(more),
            Self::Fixed { sum } => Value::Histogram { counts, sum, exemplars, native: None },
            Self::Native { sum } => {
                Value::Histogram { counts, sum, exemplars, native: Some(&room.native) }
            }
        }
    }
}

/// Sets `more` to what `now` counts beyond `before`, which is brought to the schema and the zero threshold of `now` for
/// that. Nothing if `before` cannot have become `now` by observations, by the rules that Prometheus has for counter resets:
/// the schema only falls and the threshold only rises, up to a bound of `before`, and no count falls.
///
/// <https://prometheus.io/docs/specs/native_histograms/#counter-reset-considerations>
fn subtract(now: &NativeBuckets, before: &NativeBuckets, more: &mut NativeBuckets) -> Option<()> {
    if now.schema > before.schema || now.zero_threshold < before.zero_threshold {
        return None;
    }
    more.clone_from(now);
    more.zero_count = now.zero_count.checked_sub(before.zero_count)?;
    let grown = (now.zero_threshold > before.zero_threshold).then_some(now.zero_threshold);
    // OK because a schema is from -4 to 8.
    let lowered_by = (before.schema - now.schema) as u32;
    let sides = [(&before.positive, &mut more.positive), (&before.negative, &mut more.negative)];
    for (before_side, more_side) in sides {
        for (index, count) in before_side.iter().filter(|(_, count)| *count > 0) {
            if let Some(threshold) = grown.filter(|at| bound(index - 1, before.schema) < *at) {
                // Within the zero bucket of now, or partly: which of its observations are, nobody knows.
                if bound(*index, before.schema) > threshold {
                    return None;
                }
                more.zero_count = more.zero_count.checked_sub(*count)?;
                continue;
            }
            // A bucket ends at its index, so the one that holds it after each step is half its index, rounded up.
            let index = (*index + ((1 << lowered_by) - 1)) >> lowered_by;
            let at = more_side.binary_search_by_key(&index, |(index, _)| *index).ok()?;
            more_side[at].1 = more_side[at].1.checked_sub(*count)?;
        }
        more_side.retain(|(_, count)| *count > 0);
    }
    Some(())
}

/// Where bucket `index` ends.
fn bound(index: i32, schema: i32) -> f64 {
    (f64::from(index) * f64::from(-schema).exp2()).exp2()
}

#[cfg(test)]
mod tests;
