//! Buckets of minutes and of hours, within caps.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use obs_model::Timestamp;

use super::BusinessConfig;
use super::records::{Analysis, AnalysisKind, Chart, Query};
use super::summary::{Ended, KindSummary, NamedCounts};

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What records are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    Organization,
    ChartType,
    DataSource,
    Complexity,
    User,
}

impl Dimension {
    pub(super) const COUNT: usize = 5;

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::ChartType => "chart_type",
            Self::DataSource => "data_source",
            Self::Complexity => "complexity",
            Self::User => "user",
        }
    }

    /// The label of metrics that has the same values.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Organization => "organization_id",
            Self::ChartType => "chart_type",
            Self::DataSource => "data_source_type",
            Self::Complexity => "complexity",
            Self::User => "user_id",
        }
    }
}

/// What does not depend on names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) kinds: [KindSummary; AnalysisKind::ALL.len()],
    pub(super) charts: Ended,
    pub(super) points: u64,
    pub(super) queries: Ended,
    pub(super) rows: u64,
    pub(super) sessions: u64,
    pub(super) conversations: u64,
    pub(super) messages: u64,
}

impl Totals {
    pub(super) fn of_analysis(analysis: &Analysis<'_>) -> Self {
        let mut totals = Self::default();
        totals.kinds[analysis.kind as usize] = KindSummary {
            analyses: Ended::one(analysis.success, analysis.duration),
            tokens: analysis.tokens,
            queries: analysis.queries,
            charts: analysis.charts,
        };
        totals
    }

    pub(super) fn of_chart(chart: &Chart<'_>) -> Self {
        let charts = Ended::one(chart.success, chart.duration);
        Self { charts, points: chart.points, ..Self::default() }
    }

    pub(super) fn of_query(query: &Query<'_>) -> Self {
        let queries = Ended::one(query.success, query.duration);
        Self { queries, rows: query.rows, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (kind, more) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.add(more);
        }
        self.charts.add(&other.charts);
        self.queries.add(&other.queries);
        for (total, more) in [
            (&mut self.points, other.points),
            (&mut self.rows, other.rows),
            (&mut self.sessions, other.sessions),
            (&mut self.conversations, other.conversations),
            (&mut self.messages, other.messages),
        ] {
            *total = total.saturating_add(more);
        }
    }
}

pub(super) type Names = [HashMap<Arc<str>, NamedCounts>; Dimension::COUNT];

/// One minute or one hour.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) start_ms: i64,
    pub(super) totals: Totals,
    pub(super) names: Names,
    /// What had no room among the names.
    pub(super) others: [NamedCounts; Dimension::COUNT],
}

/// The buckets of one width, oldest first.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) width_ms: i64,
    pub(super) keep: i64,
    pub(super) buckets: VecDeque<Bucket>,
}

/// All that is kept.
#[derive(Debug)]
pub(super) struct Rollups {
    pub(super) began_ms: i64,
    pub(super) minutes: Tier,
    pub(super) hours: Tier,
    kept: Kept,
}

/// How many names are kept, and may be.
#[derive(Debug)]
struct Kept {
    users: usize,
    others: usize,
    max_each: usize,
    max_per_bucket: usize,
}

impl Rollups {
    pub(super) fn new(config: &BusinessConfig, now: Timestamp) -> Self {
        let count = |kept: Duration, width_ms: i64, most: i64| {
            let kept_ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
            (kept_ms / width_ms).clamp(1, most)
        };
        let minutes = count(config.minutes, MINUTE_MS, 7 * 24 * 60);
        let hours = count(config.hours, HOUR_MS, 366 * 24).max((minutes + 59) / 60);
        Self {
            began_ms: now.as_millis(),
            minutes: Tier::new(MINUTE_MS, minutes),
            hours: Tier::new(HOUR_MS, hours),
            kept: Kept {
                users: 0,
                others: 0,
                max_each: config.max_names / 2,
                max_per_bucket: config.max_names_per_bucket,
            },
        }
    }

    /// Adds a record; says for each name whether there was no room for it in one of the buckets.
    pub(super) fn add(
        &mut self,
        at: Timestamp,
        totals: &Totals,
        names: &[(Dimension, Cow<'_, str>, NamedCounts); 3],
        folded: &mut [bool; 3],
    ) {
        for tier in [&mut self.minutes, &mut self.hours] {
            let Some(bucket) = tier.bucket_mut(at.as_millis(), &mut self.kept) else { continue };
            bucket.totals.add(totals);
            for ((dimension, name, counts), folded) in names.iter().zip(folded.iter_mut()) {
                if !name.is_empty() {
                    *folded |= !bucket.count(*dimension, name, counts, &mut self.kept);
                }
            }
        }
    }
}

impl Tier {
    fn new(width_ms: i64, keep: i64) -> Self {
        Self { width_ms, keep, buckets: VecDeque::new() }
    }

    /// Where the bucket of a time begins.
    pub(super) fn start_of(&self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.width_ms).saturating_mul(self.width_ms)
    }

    /// Where the oldest bucket begins that is kept at a time.
    pub(super) fn oldest(&self, now_ms: i64) -> i64 {
        self.start_of(now_ms).saturating_sub((self.keep - 1) * self.width_ms)
    }

    /// The bucket of a time, made now if need be; nothing when it is too long ago, after the clock was set back.
    fn bucket_mut(&mut self, at_ms: i64, kept: &mut Kept) -> Option<&mut Bucket> {
        let start_ms = self.start_of(at_ms);
        let latest = self.buckets.back().map_or(start_ms, |last| last.start_ms.max(start_ms));
        let oldest = self.oldest(latest);
        while let Some(gone) = self.buckets.pop_front_if(|first| first.start_ms < oldest) {
            kept.forget(&gone);
        }
        if start_ms < oldest {
            return None;
        }
        let at = self.buckets.partition_point(|bucket| bucket.start_ms < start_ms);
        if self.buckets.get(at).is_none_or(|bucket| bucket.start_ms != start_ms) {
            self.buckets.insert(at, Bucket { start_ms, ..Bucket::default() });
        }
        self.buckets.get_mut(at)
    }

    /// The buckets that begin from `from_ms` to before `to_ms`.
    pub(super) fn between(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Bucket> {
        let first = self.buckets.partition_point(|bucket| bucket.start_ms < from_ms);
        self.buckets.iter().skip(first).take_while(move |bucket| bucket.start_ms < to_ms)
    }
}

impl Bucket {
    /// Counts under a name, or under the others; whether the name had room.
    fn count(
        &mut self,
        dimension: Dimension,
        name: &str,
        counts: &NamedCounts,
        kept: &mut Kept,
    ) -> bool {
        let names = &mut self.names[dimension as usize];
        if let Some(known) = names.get_mut(name) {
            known.add(counts);
            return true;
        }
        if names.len() >= kept.max_per_bucket || !kept.take(dimension) {
            self.others[dimension as usize].add(counts);
            return false;
        }
        names.insert(Arc::from(name), *counts);
        true
    }
}

impl Kept {
    fn of(&mut self, dimension: Dimension) -> &mut usize {
        match dimension {
            Dimension::User => &mut self.users,
            _ => &mut self.others,
        }
    }

    fn take(&mut self, dimension: Dimension) -> bool {
        let max = self.max_each;
        let count = self.of(dimension);
        let has_room = *count < max;
        *count += usize::from(has_room);
        has_room
    }

    fn forget(&mut self, bucket: &Bucket) {
        let users = bucket.names[Dimension::User as usize].len();
        self.users -= users;
        self.others -= bucket.names.iter().map(HashMap::len).sum::<usize>() - users;
    }
}
