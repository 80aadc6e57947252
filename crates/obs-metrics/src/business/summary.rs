//! Adding buckets up.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use obs_model::Timestamp;

use super::records::AnalysisKind;
use super::rollup::{Bucket, Dimension, HOUR_MS, MINUTE_MS, Names, Rollups, Totals};

/// How many pieces of work ended, how, and how long they took together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ended {
    /// All of them.
    pub total: u64,
    /// Those that succeeded.
    pub successful: u64,
    /// The time of all of them, in seconds.
    pub seconds: f64,
}

impl Ended {
    pub(super) fn one(success: bool, duration: Duration) -> Self {
        Self { total: 1, successful: u64::from(success), seconds: duration.as_secs_f64() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.successful += other.successful;
        self.seconds += other.seconds;
    }

    /// The share that succeeded, 0 to 1; nothing when there were none.
    #[must_use]
    pub fn success_ratio(&self) -> Option<f64> {
        (self.total > 0).then(|| self.successful as f64 / self.total as f64)
    }

    /// How long one took on average, in seconds; nothing when there were none.
    #[must_use]
    pub fn average_seconds(&self) -> Option<f64> {
        (self.total > 0).then(|| self.seconds / self.total as f64)
    }
}

/// The analyses of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KindSummary {
    /// How many there were.
    pub analyses: Ended,
    /// Tokens that they used.
    pub tokens: u64,
    /// Queries that they ran, as the analyses say.
    pub queries: u64,
    /// Charts that they made, as the analyses say.
    pub charts: u64,
}

impl KindSummary {
    pub(super) fn add(&mut self, other: &Self) {
        self.analyses.add(&other.analyses);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.queries = self.queries.saturating_add(other.queries);
        self.charts = self.charts.saturating_add(other.charts);
    }
}

/// What was recorded under one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamedCounts {
    /// Analyses, whether they succeeded or not.
    pub analyses: u64,
    /// Charts, likewise.
    pub charts: u64,
    /// Queries, likewise.
    pub queries: u64,
    /// Sessions.
    pub sessions: u64,
    /// Tokens.
    pub tokens: u64,
}

impl NamedCounts {
    pub(super) fn add(&mut self, other: &Self) {
        self.analyses += other.analyses;
        self.charts += other.charts;
        self.queries += other.queries;
        self.sessions += other.sessions;
        self.tokens = self.tokens.saturating_add(other.tokens);
    }
}

/// A name and what was recorded under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: Arc<str>,
    /// What was recorded under it.
    pub counts: NamedCounts,
}

/// What was recorded under names that had no room; see the [module](super).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherCounts {
    /// Of organizations.
    pub organizations: NamedCounts,
    /// Of chart types.
    pub chart_types: NamedCounts,
    /// Of types of data sources.
    pub data_sources: NamedCounts,
    /// Of complexities.
    pub complexities: NamedCounts,
    /// Of users.
    pub users: NamedCounts,
}

/// What the service did for its users in a window; see the [module](super) for how exact it is.
#[derive(Clone, Debug, PartialEq)]
pub struct BusinessSummary {
    /// Where the time begins that this is about: not after the time that was asked for, unless nothing as old is kept
    /// or the recorder began later.
    pub from: Timestamp,
    /// Where it ends: not before the time that was asked for.
    pub to: Timestamp,
    /// Analyses of all kinds.
    pub analyses: Ended,
    /// Tokens that they used.
    pub tokens: u64,
    /// Charts.
    pub charts: Ended,
    /// Points that they show.
    pub points: u64,
    /// Queries.
    pub queries: Ended,
    /// Rows that they returned.
    pub rows: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// Conversations whose length was recorded.
    pub conversations: u64,
    /// Messages in them.
    pub messages: u64,
    /// What had no room under its name. Where it is all zero, rankings are exact.
    pub other: OtherCounts,
    kinds: [KindSummary; AnalysisKind::ALL.len()],
    names: Names,
}

impl BusinessSummary {
    /// The analyses of one kind.
    #[must_use]
    pub fn kind(&self, kind: AnalysisKind) -> &KindSummary {
        &self.kinds[kind as usize]
    }

    /// The organizations that had most analyses; of those with as many, the ones with most charts, queries and
    /// sessions, then by name.
    #[must_use]
    pub fn top_organizations(&self, most: usize) -> Vec<Named> {
        self.ranked(Dimension::Organization, most, |of| {
            (of.analyses, of.charts + of.queries + of.sessions)
        })
    }

    /// The chart types of which most charts were recorded.
    #[must_use]
    pub fn popular_chart_types(&self, most: usize) -> Vec<Named> {
        self.ranked(Dimension::ChartType, most, |of| (of.charts, 0))
    }

    /// The types of data sources with most analyses and queries.
    #[must_use]
    pub fn top_data_sources(&self, most: usize) -> Vec<Named> {
        self.ranked(Dimension::DataSource, most, |of| (of.analyses + of.queries, 0))
    }

    /// The complexities of queries, the most frequent first.
    #[must_use]
    pub fn query_complexities(&self, most: usize) -> Vec<Named> {
        self.ranked(Dimension::Complexity, most, |of| (of.queries, 0))
    }

    /// How many different users had analyses or sessions; at least so many if [`other`](Self::other) counts users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.names[Dimension::User as usize].len()
    }

    /// How many different organizations did anything; at least so many if [`other`](Self::other) counts any.
    #[must_use]
    pub fn organizations(&self) -> usize {
        self.names[Dimension::Organization as usize].len()
    }

    fn ranked(
        &self,
        dimension: Dimension,
        most: usize,
        rank: impl Fn(&NamedCounts) -> (u64, u64),
    ) -> Vec<Named> {
        let names = &self.names[dimension as usize];
        let mut all: Vec<_> = names.iter().filter(|(_, counts)| rank(counts) > (0, 0)).collect();
        all.sort_by_key(|(name, counts)| (Reverse(rank(counts)), Arc::clone(name)));
        all.truncate(most);
        all.into_iter()
            .map(|(name, counts)| Named { name: Arc::clone(name), counts: *counts })
            .collect()
    }
}

/// A window as what is kept can answer it: hours in the middle, minutes at the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cover {
    from: i64,
    /// The hours are from here …
    hours_from: i64,
    /// … to before here; not before `hours_from`.
    hours_to: i64,
    to: i64,
}

impl Cover {
    /// Covers a window whose minutes are kept from `minutes_from` on and whose hours from `hours_from` on.
    fn of(from: i64, to: i64, minutes_from: i64, hours_from: i64) -> Self {
        let down = |at: i64, width: i64| at.div_euclid(width).saturating_mul(width);
        let up = |at: i64, width: i64| down(at.saturating_add(width - 1), width);
        // Where minutes are gone, an edge goes out to its whole hour.
        let edge = |at: i64, outward: &dyn Fn(i64, i64) -> i64| {
            let minute = outward(at, MINUTE_MS);
            if down(minute, HOUR_MS) >= minutes_from || minute % HOUR_MS == 0 {
                minute
            } else {
                outward(at, HOUR_MS)
            }
        };
        let from = edge(from.max(hours_from), &down);
        let to = edge(to, &up).max(from);
        let first = up(from, HOUR_MS);
        let last = down(to, HOUR_MS);
        if first > last {
            // The window is within one hour.
            return Self { from, hours_from: to, hours_to: to, to };
        }
        Self { from, hours_from: first, hours_to: last, to }
    }
}

impl Rollups {
    pub(super) fn summary(
        &self,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> BusinessSummary {
        // The clock may have been set back since the newest bucket.
        let newest = self.minutes.buckets.back().map_or(i64::MIN, |bucket| bucket.start_ms);
        let now_ms = now.as_millis().max(newest);
        let cover = Cover::of(
            from.as_millis(),
            to.as_millis(),
            self.minutes.oldest(now_ms),
            self.hours.oldest(now_ms),
        );
        let buckets = self
            .minutes
            .between(cover.from, cover.hours_from)
            .chain(self.hours.between(cover.hours_from, cover.hours_to))
            .chain(self.minutes.between(cover.hours_to, cover.to));
        let mut sum = Bucket::default();
        for bucket in buckets {
            sum.totals.add(&bucket.totals);
            for (names, more) in sum.names.iter_mut().zip(&bucket.names) {
                add_names(names, more);
            }
            for (other, more) in sum.others.iter_mut().zip(&bucket.others) {
                other.add(more);
            }
        }
        let began = self.minutes.start_of(self.began_ms).min(cover.to);
        let from = Timestamp::from_millis(cover.from.max(began));
        summary_of(from, Timestamp::from_millis(cover.to), sum)
    }
}

fn add_names(names: &mut HashMap<Arc<str>, NamedCounts>, more: &HashMap<Arc<str>, NamedCounts>) {
    for (name, counts) in more {
        match names.get_mut(name) {
            Some(known) => known.add(counts),
            None => {
                names.insert(Arc::clone(name), *counts);
            }
        }
    }
}

fn summary_of(from: Timestamp, to: Timestamp, sum: Bucket) -> BusinessSummary {
    let Totals { kinds, charts, points, queries, rows, sessions, conversations, messages } =
        sum.totals;
    let mut all = KindSummary::default();
    for kind in &kinds {
        all.add(kind);
    }
    let other = |dimension: Dimension| sum.others[dimension as usize];
    BusinessSummary {
        from,
        to,
        analyses: all.analyses,
        tokens: all.tokens,
        charts,
        points,
        queries,
        rows,
        sessions,
        conversations,
        messages,
        other: OtherCounts {
            organizations: other(Dimension::Organization),
            chart_types: other(Dimension::ChartType),
            data_sources: other(Dimension::DataSource),
            complexities: other(Dimension::Complexity),
            users: other(Dimension::User),
        },
        kinds,
        names: sum.names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_covered_by_minutes_at_its_edges_and_goes_out_to_hours_where_they_are_gone() {
        const H: i64 = HOUR_MS;
        const M: i64 = MINUTE_MS;
        // Minutes are kept from hour 10 on, hours from hour 2 on.
        for ((from, to), (expected_from, hours_from, hours_to, expected_to)) in [
            ((11 * H, 13 * H), (11 * H, 11 * H, 13 * H, 13 * H)),
            ((11 * H + 1, 13 * H + 1), (11 * H, 11 * H, 13 * H, 13 * H + M)),
            ((10 * H + 30 * M, 12 * H + 5 * M), (10 * H + 30 * M, 11 * H, 12 * H, 12 * H + 5 * M)),
            (
                (11 * H + 5 * M, 11 * H + 9 * M),
                (11 * H + 5 * M, 11 * H + 9 * M, 11 * H + 9 * M, 11 * H + 9 * M),
            ),
            ((5 * H + 30 * M, 11 * H + 7 * M), (5 * H, 5 * H, 11 * H, 11 * H + 7 * M)),
            ((5 * H + 30 * M, 6 * H + 7 * M), (5 * H, 5 * H, 7 * H, 7 * H)),
            ((5 * H + 7 * M, 5 * H + 9 * M), (5 * H, 5 * H, 6 * H, 6 * H)),
            ((0, 4 * H), (2 * H, 2 * H, 4 * H, 4 * H)),
            ((13 * H, 12 * H), (13 * H, 13 * H, 13 * H, 13 * H)),
        ] {
            let expected = Cover { from: expected_from, hours_from, hours_to, to: expected_to };
            assert_eq!(Cover::of(from, to, 10 * H, 2 * H), expected, "{from} {to}");
        }
    }
}
