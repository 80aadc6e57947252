//! The service's own figures in the health report, read from the series store.

use std::collections::BTreeSet;
use std::time::Duration;

use obs_model::{Sample, ServiceFigures, Timestamp};
use obs_query::{MatchOp, Matcher, Selector, SeriesStore, TimeRange, window};

/// Requests are counted over the last minute.
const REQUESTS_WINDOW: Duration = Duration::from_secs(60);
/// Response times and users over the last five.
const RECENT_WINDOW: Duration = Duration::from_secs(300);

/// Reads the figures; one that nothing measures is absent.
pub(super) fn read(store: &SeriesStore, now: Timestamp, uptime: Duration) -> ServiceFigures {
    let minute = TimeRange::last(now, REQUESTS_WINDOW);
    let recent = TimeRange::last(now, RECENT_WINDOW);
    let requests = increase(store, "api_requests_total", minute);
    let total_ms = increase(store, "api_request_duration_ms_sum", recent);
    let count =
        increase(store, "api_request_duration_ms_count", recent).filter(|count| *count > 0.0);
    let average = total_ms.zip(count).map(|(total, count)| total / count / 1_000.0);
    ServiceFigures {
        uptime,
        requests_per_minute: requests,
        average_response_time: average
            .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
        active_users: active_users(store, recent),
    }
}

/// How much all series of a counter grew together; nothing when none has two samples in the window.
fn increase(store: &SeriesStore, name: &str, range: TimeRange) -> Option<f64> {
    store
        .select(&Selector::metric(name), range)
        .iter()
        .filter_map(|series| window::increase(&series.samples, &range))
        .reduce(|total, more| total + more)
}

/// How many values the label `user_id` has among the counters that were counted up.
fn active_users(store: &SeriesStore, range: TimeRange) -> Option<u64> {
    let totals = Matcher::new("__name__", MatchOp::Regex, ".+_total").ok()?;
    let selector = Selector::new([Matcher::not_equal("user_id", ""), totals]).ok()?;
    let series = store.select(&selector, range);
    if series.is_empty() {
        return None;
    }
    let appeared_after = range.start.plus(store.config().sample_interval * 2);
    let users: BTreeSet<&str> = series
        .iter()
        .filter(|series| is_active(&series.samples, appeared_after))
        .filter_map(|series| series.labels.get("user_id"))
        .collect();
    Some(users.len() as u64)
}

/// Whether a counter was counted up: from one sample to another, or by appearing within the window.
fn is_active(samples: &[Sample], appeared_after: Timestamp) -> bool {
    let Some(first) = samples.first() else { return false };
    let appeared = first.timestamp > appeared_after && first.value > 0.0;
    appeared || samples.iter().any(|sample| sample.value > first.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use obs_model::Labels;
    use obs_query::StoreConfig;

    fn fill(store: &SeriesStore, labels: &[(&str, &str)], from_s: i64, values: &[f64]) {
        let labels = Labels::new(labels.iter().copied()).unwrap();
        for (tick, value) in (0..).zip(values) {
            let timestamp = Timestamp::from_millis((from_s + tick * 5) * 1_000);
            store.append(&labels, Sample { timestamp, value: *value }).unwrap();
        }
    }

    #[test]
    fn figures_are_absent_until_something_measures_them() {
        let store = SeriesStore::new(StoreConfig::default());
        let figures = read(&store, Timestamp::from_millis(1_000_000), Duration::from_secs(7));
        let expected =
            ServiceFigures { uptime: Duration::from_secs(7), ..ServiceFigures::default() };
        assert_eq!(figures, expected);
    }

    #[test]
    fn figures_come_from_what_the_last_minutes_counted() {
        let store = SeriesStore::new(StoreConfig::default());
        let growing: Vec<f64> = (0..61).map(|tick| f64::from(tick) * 5.0).collect();
        let times: Vec<f64> = growing.iter().map(|count| count * 20.0).collect();
        fill(&store, &[("__name__", "api_requests_total"), ("status", "200")], 700, &growing);
        fill(&store, &[("__name__", "api_request_duration_ms_count")], 700, &growing);
        fill(&store, &[("__name__", "api_request_duration_ms_sum")], 700, &times);
        fill(&store, &[("__name__", "runs_total"), ("user_id", "busy")], 700, &growing);
        fill(&store, &[("__name__", "runs_total"), ("user_id", "idle")], 690, &[3.0; 63]);
        fill(&store, &[("__name__", "runs_total"), ("user_id", "new")], 900, &[1.0; 21]);
        let figures = read(&store, Timestamp::from_millis(1_000_000), Duration::ZERO);
        assert_eq!(figures.requests_per_minute.map(f64::round), Some(60.0));
        assert_eq!(figures.average_response_time, Some(Duration::from_millis(20)));
        assert_eq!(figures.active_users, Some(2));
    }
}
