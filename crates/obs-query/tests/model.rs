//! The store against the simplest store there could be, over random sequences of everything that can be done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use obs_model::{
    Gather, Labels, MetricFamily, MetricKind, MetricPoint, MetricValue, Sample, Timestamp,
};
use obs_query::{
    LOOK_BACK, Queryable, STALE, Selector, SeriesStore, StoreConfig, TimeRange, is_stale,
};
use proptest::prelude::*;

const RETENTION_MS: i64 = 1_000_000;
const MAX_SERIES: usize = 6;

/// Every sample that was accepted, by series, and nothing else.
#[derive(Default)]
struct Model {
    series: BTreeMap<Labels, Vec<(i64, f64)>>,
    newest: Option<i64>,
    /// What the last gathering stored, if it is still there.
    shown: BTreeSet<Labels>,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Stored,
    OutOfOrder,
    Duplicate,
    TooOld,
    SeriesLimit,
}

impl Model {
    fn floor(&self) -> i64 {
        self.newest.map_or(i64::MIN, |newest| newest - RETENTION_MS)
    }

    fn append(&mut self, labels: &Labels, at: i64, value: f64) -> Outcome {
        let last = self.series.get(labels).and_then(|samples| samples.last());
        if let Some((last, _)) = last {
            if at == *last {
                let same = self.series[labels]
                    .last()
                    .is_some_and(|(_, known)| known.to_bits() == value.to_bits());
                return if same { Outcome::Stored } else { Outcome::Duplicate };
            }
            if at < *last {
                return Outcome::OutOfOrder;
            }
        }
        if at <= self.floor() {
            return Outcome::TooOld;
        }
        if last.is_none() && self.series.len() >= MAX_SERIES {
            return Outcome::SeriesLimit;
        }
        self.series.entry(labels.clone()).or_default().push((at, value));
        self.advance(at);
        Outcome::Stored
    }

    /// Forgets series that have ended before the retention. Single samples may be kept: reading leaves them out.
    fn advance(&mut self, at: i64) {
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        let floor = self.floor();
        self.series.retain(|_, samples| samples.last().is_some_and(|(last, _)| *last > floor));
        self.shown.retain(|labels| self.series.contains_key(labels));
    }

    fn ingest(&mut self, at: i64, shown: &[(Labels, f64)]) {
        self.advance(at);
        let mut now = BTreeSet::new();
        for (labels, value) in shown {
            self.append(labels, at, *value);
            // A series that there was no room for is not this source's, whoever makes it later.
            if self.series.contains_key(labels) {
                now.insert(labels.clone());
            }
        }
        for gone in self.shown.difference(&now).cloned().collect::<Vec<_>>() {
            if self.series.contains_key(&gone) {
                self.append(&gone, at, STALE);
            }
        }
        self.shown = now;
    }

    fn read(&self, selector: &Selector, range: TimeRange) -> Vec<(Labels, Vec<(i64, u64)>)> {
        let floor = self.floor();
        self.series
            .iter()
            .filter(|(labels, _)| selector.matches(labels))
            .map(|(labels, samples)| {
                let samples = samples
                    .iter()
                    .filter(|(at, _)| *at > floor && range.contains(Timestamp::from_millis(*at)))
                    .map(|(at, value)| (*at, value.to_bits()));
                (labels.clone(), samples.collect::<Vec<_>>())
            })
            .filter(|(_, samples)| !samples.is_empty())
            .collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append { series: usize, after_ms: i64, value: f64 },
    Ingest { after_ms: i64, shown: u16, value: f64 },
    Select { selector: usize, end_before_ms: i64, window_ms: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![Just(0.0), Just(1.0), any::<f64>()];
    let ahead = prop_oneof![
        6 => Just(5_000_i64),
        2 => -20_000_i64..20_000,
        1 => Just(0),
        1 => 0..RETENTION_MS * 2 / 3,
    ];
    prop_oneof![
        3 => (0..10_usize, ahead.clone(), value.clone())
            .prop_map(|(series, after_ms, value)| Step::Append { series, after_ms, value }),
        4 => (ahead, any::<u16>(), value)
            .prop_map(|(after_ms, shown, value)| Step::Ingest { after_ms, shown, value }),
        2 => (0..SELECTORS.len(), -10_000..RETENTION_MS, 0..2_000_000_u64).prop_map(
            |(selector, end_before_ms, window_ms)| Step::Select { selector, end_before_ms, window_ms }
        ),
    ]
}

const SELECTORS: [&str; 8] = [
    r#"{__name__=~".+"}"#,
    "a",
    r#"a{l="1"}"#,
    r#"b{l!="2"}"#,
    r#"{l=~"1|3"}"#,
    r#"a{l!~"1|2"}"#,
    r#"a{l=""}"#,
    r#"{__name__=~"a|b",l!="",m=""}"#,
];

/// Ten series of two metrics; some lack the labels that the selectors ask for.
fn universe() -> Vec<Labels> {
    ["a", "b"]
        .into_iter()
        .flat_map(|name| {
            ["", "1", "2", "3", "4"].map(|value| match value {
                "" => Labels::new([("__name__", name)]).unwrap(),
                "4" => Labels::new([("__name__", name), ("l", "4"), ("m", "x")]).unwrap(),
                _ => Labels::new([("__name__", name), ("l", value)]).unwrap(),
            })
        })
        .collect()
}

struct Shown(Vec<(Labels, f64)>);

impl Gather for Shown {
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        for name in ["a", "b"] {
            let points = self
                .0
                .iter()
                .filter(|(labels, _)| labels.metric_name() == Some(name))
                .map(|(labels, value)| MetricPoint {
                    labels: labels.without("__name__"),
                    value: MetricValue::Gauge(*value),
                })
                .collect();
            visit(&MetricFamily {
                name: name.into(),
                help: "".into(),
                kind: MetricKind::Gauge,
                points,
            });
        }
    }
}

fn outcome(result: Result<(), obs_query::Error>) -> Outcome {
    match result {
        Ok(()) => Outcome::Stored,
        Err(error) if error.is_out_of_order() => Outcome::OutOfOrder,
        Err(error) if error.is_duplicate() => Outcome::Duplicate,
        Err(error) if error.is_too_old() => Outcome::TooOld,
        Err(error) if error.is_series_limit() => Outcome::SeriesLimit,
        Err(other) => panic!("unexpected: {other}"),
    }
}

fn check_selection(store: &SeriesStore, model: &Model, selector: &Selector, range: TimeRange) {
    let found: Vec<_> = store
        .read(selector, range)
        .into_iter()
        .map(|series| {
            let bits = |sample: &Sample| (sample.timestamp.as_millis(), sample.value.to_bits());
            (series.labels, series.samples.iter().map(bits).collect::<Vec<_>>())
        })
        .collect();
    let expected = model.read(selector, range);
    assert_eq!(found, expected, "{selector} {range:?}");
    let labels: Vec<_> = expected.iter().map(|(labels, _)| labels.clone()).collect();
    assert_eq!(store.series(selector, range), labels);

    let live = |samples: &[(i64, u64)]| {
        samples.iter().copied().filter(|(_, bits)| !is_stale(f64::from_bits(*bits))).collect()
    };
    let selected: Vec<(Labels, Vec<(i64, u64)>)> = expected
        .iter()
        .map(|(labels, samples)| (labels.clone(), live(samples)))
        .filter(|(_, samples): &(Labels, Vec<(i64, u64)>)| !samples.is_empty())
        .collect();
    let counts: Vec<_> =
        selected.iter().map(|(labels, samples)| (labels.clone(), samples.len())).collect();
    let got: Vec<_> =
        store.select(selector, range).into_iter().map(|s| (s.labels, s.samples.len())).collect();
    assert_eq!(got, counts);

    let instant: Vec<_> = model
        .read(selector, TimeRange::last(range.end, LOOK_BACK))
        .into_iter()
        .filter_map(|(labels, samples)| Some((labels, *samples.last()?)))
        .filter(|(_, (_, bits))| !is_stale(f64::from_bits(*bits)))
        .collect();
    let got: Vec<_> = store
        .latest(selector, range.end)
        .points
        .into_iter()
        .map(|(labels, sample)| (labels, (sample.timestamp.as_millis(), sample.value.to_bits())))
        .collect();
    assert_eq!(got, instant, "{selector} at {}", range.end);
}

fn replay(
    config: StoreConfig,
    steps: &[Step],
    mut check: impl FnMut(&SeriesStore, &Model, &Step, i64),
) {
    let (store, mut model) = (SeriesStore::new(config), Model::default());
    let universe = universe();
    let mut now = 0;
    for step in steps {
        match *step {
            Step::Append { series, after_ms, value } => {
                let sample = Sample { timestamp: Timestamp::from_millis(now + after_ms), value };
                let got = outcome(store.append(&universe[series], sample));
                assert_eq!(got, model.append(&universe[series], now + after_ms, value));
                now = now.max(now + after_ms);
            }
            Step::Ingest { after_ms, shown, value } => {
                let value = if is_stale(value) { 0.0 } else { value };
                let shown: Vec<_> = universe
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| shown & (1 << index) != 0)
                    .map(|(index, labels)| (labels.clone(), value + index as f64))
                    .collect();
                store.ingest(Timestamp::from_millis(now + after_ms), &Shown(shown.clone()));
                model.ingest(now + after_ms, &shown);
                now = now.max(now + after_ms);
            }
            Step::Select { .. } => {}
        }
        check(&store, &model, step, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_store_behaves_as_a_list_of_samples_does(
        steps in proptest::collection::vec(any_step(), 1..400),
    ) {
        let config = StoreConfig {
            retention: Duration::from_millis(RETENTION_MS.unsigned_abs()),
            max_series: MAX_SERIES,
            ..StoreConfig::default()
        };
        let selectors: Vec<Selector> = SELECTORS.iter().map(|text| text.parse().unwrap()).collect();
        replay(config, &steps, |store, model, step, now| {
            assert_eq!(store.stats().series, model.series.len());
            if let Step::Select { selector, end_before_ms, window_ms } = *step {
                let end = Timestamp::from_millis(now - end_before_ms);
                let range = TimeRange::last(end, Duration::from_millis(window_ms));
                check_selection(store, model, &selectors[selector], range);
            }
        });
    }

    #[test]
    fn above_the_sample_limit_every_series_keeps_its_newest_samples(
        values in proptest::collection::vec((0..4_usize, any::<f64>()), 1..1_500),
        limit in 1..800_usize,
    ) {
        let store = SeriesStore::new(StoreConfig { max_samples: limit, ..StoreConfig::default() });
        let universe = universe();
        let mut given: BTreeMap<Labels, Vec<u64>> = BTreeMap::new();
        for (tick, (series, value)) in (0..).zip(&values) {
            let sample = Sample { timestamp: Timestamp::from_millis(tick * 5_000), value: *value };
            store.append(&universe[*series], sample).unwrap();
            given.entry(universe[*series].clone()).or_default().push(value.to_bits());
            prop_assert!(store.stats().samples <= limit);
        }
        let kept = store.read(&SELECTORS[0].parse().unwrap(), TimeRange::all());
        prop_assert_eq!(kept.iter().map(|series| series.samples.len()).sum::<usize>(), store.stats().samples);
        // A block of 120 goes at a time, so at most that many are missing below the limit.
        prop_assert!(store.stats().samples + 120 >= limit.min(values.len()));
        for series in kept {
            let bits: Vec<_> = series.samples.iter().map(|sample| sample.value.to_bits()).collect();
            prop_assert!(given[&series.labels].ends_with(&bits));
        }
    }
}

#[test]
fn an_emptied_store_has_no_labels_left() {
    let store = SeriesStore::new(StoreConfig {
        retention: Duration::from_secs(60),
        ..StoreConfig::default()
    });
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
    for labels in universe() {
        store.append(&labels, Sample { timestamp: at(0), value: 1.0 }).unwrap();
    }
    assert_eq!(store.label_names(), ["__name__", "l", "m"]);
    assert_eq!(store.label_values("l"), ["1", "2", "3", "4"]);
    store.ingest(at(61), &Shown(Vec::new()));
    let stats = store.stats();
    assert_eq!((stats.series, stats.samples), (0, 0));
    assert_eq!(store.label_names(), Vec::<String>::new());
}

#[test]
fn a_label_with_an_empty_value_is_no_label() {
    let store = SeriesStore::new(StoreConfig::default());
    let with = Labels::new([("__name__", "a"), ("l", "")]).unwrap();
    let without = Labels::new([("__name__", "a")]).unwrap();
    let sample = |at| Sample { timestamp: Timestamp::from_millis(at), value: at as f64 };
    store.append(&with, sample(1)).unwrap();
    store.append(&without, sample(2)).unwrap();
    let other = Sample { value: 7.0, ..sample(2) };
    assert!(store.append(&with, other).unwrap_err().is_duplicate());
    assert_eq!(store.stats().series, 1);
    assert_eq!(store.resolve(&with).unwrap(), store.resolve(&without).unwrap());
    let unnamed = Labels::new([("l", "1")]).unwrap();
    assert!(store.append(&unnamed, sample(1)).unwrap_err().is_unnamed());
}
