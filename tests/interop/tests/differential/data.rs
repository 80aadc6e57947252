//! The series that both servers get: counters with resets and gaps, gauges, flags, histograms, and what is no number.

use fastrand::Rng;
use interop::Point;

/// The time of the first sample; its fraction of a second is no evaluation's.
pub(crate) const BASE: i64 = 1_700_000_000_123;
/// The distance of two samples, in milliseconds.
pub(crate) const INTERVAL: i64 = 15_000;
/// How many samples a series has.
pub(crate) const TICKS: usize = 960;

pub(crate) struct Series {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) points: Vec<Point>,
}

/// Every series, the same ones each time.
pub(crate) fn series() -> Vec<Series> {
    let mut rng = Rng::with_seed(7);
    let mut all = Vec::new();
    for job in ["api", "db"] {
        for instance in ["0", "1", "2"] {
            let of = |name: &str, more: Option<(&'static str, &str)>| {
                let mut labels = vec![
                    ("__name__", name.to_owned()),
                    ("job", job.to_owned()),
                    ("instance", instance.to_owned()),
                ];
                labels.extend(more.map(|(name, value)| (name, value.to_owned())));
                labels
            };
            for code in ["200", "404", "500"] {
                let points = counter(&mut rng);
                all.push(Series { labels: of("requests_total", Some(("code", code))), points });
            }
            let mut value = 50.0;
            let walk = |_| {
                value += rng.f64() * 20.0 - 10.0;
                Some(value)
            };
            all.push(Series { labels: of("temperature", None), points: points(walk) });
            let zone = if instance == "0" { "eu" } else { "us" };
            let flag = |_| Some(f64::from(rng.u8(0..2)));
            all.push(Series { labels: of("flag", Some(("zone", zone))), points: points(flag) });
            let buckets = histogram(&mut rng);
            for (index, bound) in BOUNDS.iter().enumerate() {
                let cumulative = points(|tick| Some(buckets[tick][index]));
                let labels = of("seconds_bucket", Some(("le", bound)));
                all.push(Series { labels, points: cumulative });
            }
            let count = points(|tick| Some(buckets[tick][BOUNDS.len() - 1]));
            all.push(Series { labels: of("seconds_count", None), points: count });
        }
        let labels = |name: &str| vec![("__name__", name.to_owned()), ("job", job.to_owned())];
        let mut info = labels("job_info");
        info.push(("version", format!("v{job}")));
        all.push(Series { labels: info, points: points(|_| Some(1.0)) });
        let odd = |tick: usize| {
            Some(match tick {
                _ if tick.is_multiple_of(7) => f64::NAN,
                _ if tick.is_multiple_of(11) => f64::INFINITY,
                _ => tick as f64,
            })
        };
        all.push(Series { labels: labels("odd"), points: points(odd) });
    }
    all
}

/// The upper bounds of the histogram's buckets.
const BOUNDS: [&str; 5] = ["0.1", "0.5", "1", "5", "+Inf"];

fn points(mut value: impl FnMut(usize) -> Option<f64>) -> Vec<Point> {
    (0..TICKS).filter_map(|tick| Some((BASE + tick as i64 * INTERVAL, value(tick)?))).collect()
}

/// A counter that starts again now and then, and that may have gaps.
fn counter(rng: &mut Rng) -> Vec<Point> {
    let (has_gaps, phase) = (rng.u8(0..3) == 0, rng.usize(0..100));
    let mut value = 0.0;
    points(|tick| {
        value += f64::from(rng.u8(0..20));
        if rng.u16(0..400) == 0 {
            value = f64::from(rng.u8(0..5));
        }
        (!has_gaps || (tick + phase) % 100 >= 7).then_some(value)
    })
}

/// The cumulative counts of each bucket at each tick.
fn histogram(rng: &mut Rng) -> Vec<[f64; BOUNDS.len()]> {
    let mut counts = [0.0; BOUNDS.len()];
    let step = |_| {
        for _ in 0..rng.u8(0..8) {
            let bucket = rng.usize(0..BOUNDS.len());
            counts[bucket..].iter_mut().for_each(|count| *count += 1.0);
        }
        counts
    };
    (0..TICKS).map(step).collect()
}
