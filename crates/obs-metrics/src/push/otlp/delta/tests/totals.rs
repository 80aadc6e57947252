//! Whatever happens, a receiver that adds up all points has the totals.

use std::collections::BTreeMap;

use obs_model::Clock;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use proptest::prelude::*;

use super::*;
use crate::NativeHistogram;

/// What happens to one of four series: a counter, one of fractions, a histogram and a native one.
#[derive(Clone, Debug)]
enum Event {
    /// Something is recorded: so many eighths, shifted left by so much.
    Record(usize, i32, u32),
    /// The series goes, with what was not sent of it; the next recording makes it anew.
    Remove(usize),
    Pass(u64),
    /// A round whose time is so many milliseconds ago.
    Round(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..4_usize, -40..40_i32, 0..30_u32).prop_map(|(of, size, by)| Event::Record(of, size, by)),
        1 => (0..4_usize).prop_map(Event::Remove),
        1 => (1..5_000_u64).prop_map(Event::Pass),
        2 => (0..4_u64).prop_map(Event::Round),
    ]
}

/// What a receiver has of one series when it adds up all points, as numbers that stand for what they count.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sum {
    total: f64,
    count: u64,
    /// Zero, positive and negative buckets, or those of a histogram with bounds; exponential ones are of schema -4.
    buckets: BTreeMap<(i8, i32), u64>,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.count += other.count;
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
    }

    fn bucket(&mut self, sign: i8, index: i32, count: u64) {
        if count > 0 {
            *self.buckets.entry((sign, index)).or_default() += count;
        }
    }

    fn exponential(&mut self, sign: i8, buckets: Option<&Buckets>, scale: i32) {
        let Some(buckets) = buckets else { return };
        for (at, count) in (buckets.offset..).zip(&buckets.bucket_counts) {
            // Down to scale -4, and to the indexes of Prometheus, which are one higher.
            self.bucket(sign, (at >> (scale + 4)) + 1, *count);
        }
    }
}

const NAMES: [&str; 4] = ["jobs_total", "busy_total", "wait", "size"];
const BOUNDS: [f64; 3] = [-2.0, 1.0, 64.0];

/// Where the point of a series begins and ends, and what it adds.
fn received(all: &[Metric], of: usize) -> Option<(u64, u64, Sum)> {
    let name = NAMES[of];
    let mut sum = Sum::default();
    let (start, end) = match of {
        0 | 1 => {
            let point = number(all, name)?;
            assert_eq!(point.flags, 0);
            sum.total = match point.value.unwrap() {
                Number::AsInt(total) => total as f64,
                Number::AsDouble(total) => total,
            };
            (point.start_time_unix_nano, point.time_unix_nano)
        }
        2 => {
            let point = fixed(all, name)?;
            (sum.total, sum.count) = (point.sum.unwrap(), point.count);
            for (at, count) in (0..).zip(&point.bucket_counts) {
                sum.bucket(0, at, *count);
            }
            (point.start_time_unix_nano, point.time_unix_nano)
        }
        _ => {
            let point = native(all, name)?;
            (sum.total, sum.count) = (point.sum.unwrap(), point.count);
            sum.bucket(0, 0, point.zero_count);
            sum.exponential(1, point.positive.as_ref(), point.scale);
            sum.exponential(-1, point.negative.as_ref(), point.scale);
            (point.start_time_unix_nano, point.time_unix_nano)
        }
    };
    Some((start / 1_000_000, end / 1_000_000, sum))
}

/// Records a value and says what that adds.
fn record(registry: &Registry, of: usize, size: i32, by: u32) -> Sum {
    // Sums of these are exact, whatever their order.
    let value = f64::from(size) / 8.0 * f64::from(1_u32 << by);
    let mut sum = Sum { total: value, count: 1, ..Sum::default() };
    match of {
        0 => {
            let more = u64::from(size.unsigned_abs()) << by;
            registry.counter(NAMES[0], &[]).increment(more);
            // OK because so few of them stay below 2^53.
            sum = Sum { total: more as f64, ..Sum::default() };
        }
        1 => {
            registry.float_counter(NAMES[1], &[]).increment(value.abs());
            sum = Sum { total: value.abs(), ..Sum::default() };
        }
        2 => {
            registry.histogram(NAMES[2], &[]).record(value);
            let bucket = BOUNDS.iter().take_while(|bound| value > **bound).count();
            sum.bucket(0, bucket as i32, 1);
        }
        _ => {
            registry.histogram(NAMES[3], &[]).record(value);
            let index = (value.abs().log2() / 16.0).ceil() as i32;
            let sign = i8::from(value > 0.0) - i8::from(value < 0.0);
            sum.bucket(sign, if value == 0.0 { 0 } else { index }, 1);
        }
    }
    sum
}

proptest! {
    #[test]
    fn all_differences_together_are_the_totals(events in prop::collection::vec(event(), 0..120)) {
        let (registry, clock) = registry(RegistryConfig::default());
        registry.set_buckets(NAMES[2], &BOUNDS).unwrap();
        let coarsened = NativeHistogram { schema: 4, max_buckets: 10, ..Default::default() };
        registry.set_native_buckets(NAMES[3], coarsened).unwrap();
        let mut encoder = deltas(&registry);
        let mut last_round = 0;
        // Of each series: what should have arrived, what will with the next round, what has, and where its points end.
        let mut due = [(); 4].map(|()| Sum::default());
        let mut unsent = due.clone();
        let mut arrived = due.clone();
        let mut ends = [0_u64; 4];
        let mut is_new = [true; 4];
        for event in events.into_iter().chain([Event::Round(0)]) {
            match event {
                Event::Record(of, size, by) => unsent[of].add(&record(&registry, of, size, by)),
                Event::Remove(of) => {
                    clock.advance(Duration::from_millis(1));
                    if registry.remove(NAMES[of], &[]) {
                        (unsent[of], is_new[of]) = (Sum::default(), true);
                    }
                }
                Event::Pass(millis) => clock.advance(Duration::from_millis(millis)),
                Event::Round(ago) => {
                    clock.advance(Duration::from_millis(1));
                    let now = clock.now().as_millis();
                    let at = (now - ago as i64).max(last_round + 1);
                    last_round = at;
                    let all = metrics(&mut encoder, at);
                    for of in 0..4 {
                        due[of].add(&std::mem::take(&mut unsent[of]));
                        let Some((start, end, sum)) = received(&all, of) else { continue };
                        prop_assert!(start < end && end == at as u64);
                        if is_new[of] {
                            prop_assert!(start >= ends[of], "{start} after {}", ends[of]);
                        } else {
                            prop_assert_eq!(start, ends[of]);
                        }
                        (ends[of], is_new[of]) = (end, false);
                        arrived[of].add(&sum);
                    }
                }
            }
        }
        prop_assert_eq!(arrived, due);
    }
}
