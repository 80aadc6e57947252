//! The series that stores and queries are measured with, and what the process takes.

use std::error::Error;
use std::time::Duration;

use obs_model::{Labels, LabelsError};

const BOUNDS: [&str; 10] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf"];

/// Series and the numbers that they go on with; the same from run to run.
#[derive(Clone)]
pub(crate) struct Data {
    labels: Vec<Labels>,
    state: Vec<State>,
    random: u64,
}

#[derive(Clone, Copy)]
enum State {
    /// A counter that grows by up to so many.
    Counter { value: u64, most: u64 },
    /// A bucket, which gets a share of what its histogram gets: of a thousand.
    Bucket { value: u64, share: u64 },
    /// A reading with two decimals, which wanders.
    Gauge { hundredths: i64 },
}

impl Data {
    /// Half of the series are counters, one in a hundred is a gauge, all others are buckets.
    pub(crate) fn new(series: usize) -> Result<Self, LabelsError> {
        let (counters, gauges) = (series / 2, (series / 100).max(1));
        let (mut labels, mut state) = (Vec::with_capacity(series), Vec::with_capacity(series));
        // A hundred counters an instance: twenty routes with five statuses each.
        let instances = (counters / 100).max(1);
        for index in 0..counters {
            let (number, rest) = (index % instances, index / instances);
            labels.push(Labels::new([
                ("__name__", "http_requests_total"),
                ("job", "api"),
                ("instance", &instance(number)),
                ("route", &format!("/r{}", rest % 20)),
                ("method", ["GET", "POST"][rest % 2]),
                ("status", ["200", "201", "404", "500", "503"][rest / 20 % 5]),
            ])?);
            state.push(State::Counter { value: 0, most: 1 << (index % 9) });
        }
        for index in 0..gauges {
            labels.push(Labels::new([
                ("__name__", "process_load"),
                ("job", "api"),
                ("instance", &instance(index)),
            ])?);
            state.push(State::Gauge { hundredths: 5_000 });
        }
        for index in 0..series - counters - gauges {
            let (bound, rest) = (index % BOUNDS.len(), index / BOUNDS.len());
            labels.push(Labels::new([
                ("__name__", "http_request_duration_seconds_bucket"),
                ("job", "api"),
                ("instance", &instance(rest / 20)),
                ("route", &format!("/r{}", rest % 20)),
                ("le", BOUNDS[bound]),
            ])?);
            state.push(State::Bucket { value: 0, share: (bound as u64 + 1) * 100 });
        }
        Ok(Self { labels, state, random: 0x9e37_79b9_7f4a_7c15 })
    }

    pub(crate) fn labels(&self) -> &[Labels] {
        &self.labels
    }

    /// What the label sets take by themselves, in bytes.
    pub(crate) fn label_bytes(&self) -> usize {
        let text =
            |labels: &Labels| labels.iter().map(|(n, v)| n.len() + v.len() + 8).sum::<usize>();
        self.labels.iter().map(|labels| text(labels) + 64).sum()
    }

    /// The next value of every series.
    pub(crate) fn next(&mut self, values: &mut Vec<f64>) {
        values.clear();
        for state in &mut self.state {
            // Xorshift (Marsaglia, 2003).
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let random = self.random >> 20;
            values.push(match state {
                State::Counter { value, most } => {
                    *value += random % *most;
                    *value as f64
                }
                State::Bucket { value, share } => {
                    *value += (random % 100) * *share / 1_000;
                    *value as f64
                }
                State::Gauge { hundredths } => {
                    *hundredths += (random % 201).cast_signed() - 100;
                    *hundredths as f64 / 100.0
                }
            });
        }
    }
}

fn instance(number: usize) -> String {
    format!("10.0.{}.{}:9090", number / 250, number % 250)
}

/// What the process has in memory, in bytes.
pub(crate) fn resident() -> Result<usize, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line.ok_or("the kernel does not say how much memory is resident")?;
    Ok(text.trim().trim_end_matches(" kB").trim().parse::<usize>()? * 1_024)
}

/// The CPU time of this thread.
pub(crate) fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that lives as long as the call.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}
