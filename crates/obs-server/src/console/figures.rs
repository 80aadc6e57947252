//! From series to the console's charts.
//!
//! Each chart is evaluated at evenly spaced times over the last fifteen minutes. Rates are per second over
//! the minute before each time, with the meaning that PromQL's `rate` has.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::html;
use obs_model::{Labels, METRIC_NAME_LABEL, Timestamp};
use obs_query::window::{self, HistogramBucket};
use obs_query::{MatchOp, Matcher, Queryable, Selector, Series, TimeRange};

use super::chart::{Chart, Line, Tone};
use super::format::Unit;

/// How much time a chart covers.
const SPAN: Duration = Duration::from_secs(15 * 60);
/// How far its points are apart.
const STEP: Duration = Duration::from_secs(15);
/// Over how much time a rate is taken.
const WINDOW: Duration = Duration::from_secs(60);
/// How many series one chart looks at: enough for any sensible service, and it keeps a page quick.
const MAX_SERIES: usize = 3_000;

/// The charts of the first page and the figures above them.
pub(super) struct Figures {
    pub(super) charts: Vec<Chart>,
    pub(super) request_rate: Option<f64>,
    pub(super) error_percent: Option<f64>,
    pub(super) latency_p95: Option<f64>,
    pub(super) memory: Option<f64>,
}

/// Reads everything that the first page draws.
pub(super) fn figures(store: &dyn Queryable, now: Timestamp, sample_interval: Duration) -> Figures {
    let view = View::new(store, now, sample_interval);
    let (requests, request_rate) = view.requests();
    let (errors, error_percent) = view.errors();
    let (latency, latency_p95) = view.latency();
    let (memory, in_use) = view.memory();
    let mut charts = vec![requests, errors, latency, memory];
    charts.extend(view.workflows());
    charts.extend(view.cpu());
    Figures { charts, request_rate, error_percent, latency_p95, memory: in_use }
}

/// Values at each of a chart's times.
type Values = Vec<Option<f64>>;

struct View<'a> {
    store: &'a dyn Queryable,
    times: Vec<Timestamp>,
}

/// What a selection came to.
struct Selected {
    series: Vec<Series>,
    note: Option<String>,
}

impl<'a> View<'a> {
    fn new(store: &'a dyn Queryable, now: Timestamp, sample_interval: Duration) -> Self {
        // Up to the last tick that is surely complete, so that the newest point does not flicker.
        let end = now.minus(Duration::from_secs(1)).align_down(sample_interval);
        let points = u32::try_from(SPAN.as_secs() / STEP.as_secs()).unwrap_or(u32::MAX);
        let times = (0..=points).rev().map(|back| end.minus(STEP * back)).collect();
        Self { store, times }
    }

    fn select(&self, selector: &Selector) -> Selected {
        let (first, last) = (self.times[0], self.times[self.times.len() - 1]);
        let range = TimeRange { start: first.minus(WINDOW), end: last };
        let mut series = self.store.select(selector, range);
        let note = (series.len() > MAX_SERIES).then(|| {
            format!("Partial: made from {MAX_SERIES} of {} series that match.", series.len())
        });
        series.truncate(MAX_SERIES);
        Selected { series, note }
    }

    /// The sum of rates at each time, by group; a group appears when a series of it has a rate.
    fn rates<K: Ord>(
        &self,
        series: &[Series],
        group: impl Fn(&Labels) -> Option<K>,
    ) -> BTreeMap<K, Values> {
        let mut groups = BTreeMap::new();
        for series in series {
            let Some(key) = group(&series.labels) else { continue };
            let sums: &mut Values =
                groups.entry(key).or_insert_with(|| vec![None; self.times.len()]);
            for (sum, at) in sums.iter_mut().zip(&self.times) {
                let range = TimeRange::last(*at, WINDOW);
                if let Some(rate) = window::rate(&series.samples, &range) {
                    *sum = Some(sum.unwrap_or(0.0) + rate);
                }
            }
        }
        groups.retain(|_, values| values.iter().any(Option::is_some));
        groups
    }

    fn total_rate(&self, series: &[Series]) -> Option<Values> {
        self.rates(series, |_| Some(())).remove(&())
    }

    /// The last value before each time, by the value of one label.
    fn levels(&self, series: &[Series], label: &str) -> BTreeMap<String, Values> {
        let mut levels = BTreeMap::new();
        for series in series {
            let key = series.labels.get(label).unwrap_or_default().to_owned();
            let values = self
                .times
                .iter()
                .map(|at| window::last(&series.samples, &TimeRange::last(*at, WINDOW)));
            levels.insert(key, values.collect());
        }
        levels
    }

    fn chart(&self, title: &'static str, unit: Unit, filled_by: maud::Markup) -> Chart {
        Chart { title, unit, times: self.times.clone(), lines: Vec::new(), filled_by, note: None }
    }

    fn requests(&self) -> (Chart, Option<f64>) {
        let mut chart = self.chart(
            "Request rate",
            Unit::PerSecond,
            html! { "Requests through obskit's HTTP layer, as " code { "api_requests_total" } "." },
        );
        let selected = self.select(&Selector::metric("api_requests_total"));
        let classes = self.rates(&selected.series, |labels| {
            labels.get("status").and_then(|status| status.bytes().next()).map(char::from)
        });
        let tones = [
            ('2', "2xx", Tone::Main),
            ('3', "3xx", Tone::Soft),
            ('4', "4xx", Tone::Warn),
            ('5', "5xx", Tone::Bad),
        ];
        chart.lines = tones
            .into_iter()
            .filter_map(|(class, name, tone)| {
                let values = classes.get(&class)?.clone();
                Some(Line { name: name.to_owned(), tone, values })
            })
            .collect();
        chart.note = selected.note;
        let now = self.total_rate(&selected.series).and_then(|values| last(&values));
        (chart, now)
    }

    fn errors(&self) -> (Chart, Option<f64>) {
        let mut chart = self.chart(
            "Error rate",
            Unit::Percent,
            html! {
                "Requests; the share of them in " code { "api_errors_total" } " is drawn here."
            },
        );
        let requests = self.select(&Selector::metric("api_requests_total"));
        let errors = self.select(&Selector::metric("api_errors_total"));
        let Some(all) = self.total_rate(&requests.series) else { return (chart, None) };
        // Nothing has failed as long as no error was ever counted.
        let failed = self.total_rate(&errors.series).unwrap_or_else(|| vec![None; all.len()]);
        let values: Values = all
            .iter()
            .zip(failed)
            .map(|(all, failed)| {
                let all = all.filter(|all| *all > 0.0)?;
                Some((100.0 * failed.unwrap_or(0.0) / all).min(100.0))
            })
            .collect();
        let now = last(&values);
        chart.lines.push(Line { name: String::from("failed"), tone: Tone::Bad, values });
        chart.note = requests.note.or(errors.note);
        (chart, now)
    }

    fn latency(&self) -> (Chart, Option<f64>) {
        let mut chart = self.chart(
            "Response time",
            Unit::Milliseconds,
            html! { "Requests, timed as " code { "api_request_duration_ms" } "." },
        );
        let sums = self.select(&Selector::metric("api_request_duration_ms_sum"));
        let counts = self.select(&Selector::metric("api_request_duration_ms_count"));
        let buckets = self.select(&Selector::metric("api_request_duration_ms_bucket"));
        let p95 = self.quantile(0.95, &buckets.series);
        let average = self.average(&sums.series, &counts.series);
        let now = p95.as_deref().and_then(last);
        let lines = [("p95", Tone::Main, p95), ("average", Tone::Third, average)];
        chart.lines = lines
            .into_iter()
            .filter_map(|(name, tone, values)| {
                Some(Line { name: name.to_owned(), tone, values: values? })
            })
            .collect();
        chart.note = buckets.note.or(sums.note);
        (chart, now)
    }

    fn average(&self, sums: &[Series], counts: &[Series]) -> Option<Values> {
        let (sums, counts) = (self.total_rate(sums)?, self.total_rate(counts)?);
        let average = sums.iter().zip(counts).map(|(sum, count)| {
            let count = count.filter(|count| *count > 0.0)?;
            Some((*sum)? / count)
        });
        Some(average.collect())
    }

    fn memory(&self) -> (Chart, Option<f64>) {
        let mut chart = self.chart(
            "Memory",
            Unit::Bytes,
            html! { "The process collector, as " code { "memory_usage_bytes" } "." },
        );
        let selected = self.select(&Selector::metric("memory_usage_bytes"));
        let mut levels = self.levels(&selected.series, "type");
        let resident = levels.remove("rss");
        let now = resident.as_deref().and_then(last);
        let tones = [Tone::Third, Tone::Soft, Tone::Warn];
        // A virtual size is hundreds of times larger than what is in use and would flatten the rest.
        levels.retain(|kind, _| !kind.contains("virtual") && !kind.contains("limit"));
        chart.lines = resident
            .map(|values| Line { name: String::from("rss"), tone: Tone::Main, values })
            .into_iter()
            .chain(levels.into_iter().zip(tones).map(|((kind, values), tone)| Line {
                name: kind.replace('_', " "),
                tone,
                values,
            }))
            .collect();
        (chart, now)
    }

    fn cpu(&self) -> Option<Chart> {
        let selected = self.select(&Selector::metric("process_cpu_seconds_total"));
        let values = self.total_rate(&selected.series)?;
        let mut chart = self.chart("Processor", Unit::Percent, html! {});
        let values = values.into_iter().map(|rate| rate.map(|rate| rate * 100.0)).collect();
        chart.lines.push(Line { name: String::from("of one core"), tone: Tone::Main, values });
        Some(chart)
    }

    /// Workflows under whatever namespace the service gave them.
    fn workflows(&self) -> Option<Chart> {
        let name =
            Matcher::new(METRIC_NAME_LABEL, MatchOp::Regex, ".+_workflow_executions_total").ok()?;
        let selected = self.select(&Selector::new([name]).ok()?);
        let statuses =
            self.rates(&selected.series, |labels| labels.get("status").map(str::to_owned));
        if statuses.is_empty() {
            return None;
        }
        let mut chart = self.chart("Workflows", Unit::PerSecond, html! {});
        let mut spare = [Tone::Third, Tone::Soft, Tone::Warn].into_iter().cycle();
        chart.lines = statuses
            .into_iter()
            .take(5)
            .map(|(name, values)| {
                let tone = match name.as_str() {
                    "success" | "completed" | "ok" => Tone::Main,
                    "error" | "failed" | "failure" => Tone::Bad,
                    _ => spare.next().unwrap_or(Tone::Soft),
                };
                Line { name, tone, values }
            })
            .collect();
        // What went well stands first in the legend; the rest stays in the order of its names.
        chart.lines.sort_by_key(|line| line.tone != Tone::Main);
        chart.note = selected.note;
        Some(chart)
    }

    /// The quantile of all buckets together at each time.
    fn quantile(&self, quantile: f64, buckets: &[Series]) -> Option<Values> {
        let by_bound = self.rates(buckets, |labels| {
            let bound: f64 = labels.get("le")?.parse().ok()?;
            Some(Bound(bound))
        });
        if by_bound.is_empty() {
            return None;
        }
        let at = |index: usize| {
            let buckets: Vec<HistogramBucket> = by_bound
                .iter()
                .filter_map(|(bound, rates)| {
                    Some(HistogramBucket { upper_bound: bound.0, cumulative: rates[index]? })
                })
                .collect();
            Some(window::histogram_quantile(quantile, &buckets)).filter(|value| value.is_finite())
        };
        Some((0..self.times.len()).map(at).collect())
    }
}

/// The upper bound of a bucket; never NaN, so that it has an order.
#[derive(Clone, Copy, PartialEq)]
struct Bound(f64);

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

fn last(values: &[Option<f64>]) -> Option<f64> {
    values.last().copied().flatten()
}
