//! Ten thousand messages a second against a server that does everything wrong, in real time.
//!
//! For longer or shorter than two minutes set `OBSKIT_SOAK_SECONDS`:
//!
//! ```text
//! cargo test --release -p obs-delivery --test soak -- --ignored --nocapture
//! ```
#![cfg(feature = "http")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use obs_delivery::{
    BatchConfig, BreakerConfig, Delivery, DeliveryConfig, DeliveryReport, Framing, HttpConfig,
    HttpTransport, Message, Overflow, RetryPolicy, SpoolConfig,
};
use support::bad_server::{BadServer, Received};
use support::spools::durable;

const PER_SECOND: u64 = 10_000;
const CAPACITY: usize = 50_000;
const MAX_BYTES: usize = 8 << 20;

fn config() -> DeliveryConfig {
    DeliveryConfig {
        capacity: CAPACITY,
        max_bytes: MAX_BYTES,
        max_message_bytes: 64 << 10,
        overflow: Overflow::DropOldest,
        batch: BatchConfig {
            max_items: 2_000,
            max_bytes: 1 << 20,
            max_age: Duration::from_millis(200),
        },
        timeout: Duration::from_secs(1),
        retry: RetryPolicy {
            base_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            ..RetryPolicy::patient(Duration::from_secs(3_600))
        },
        breaker: Some(BreakerConfig {
            failures: 3,
            open_for: Duration::from_millis(500),
            max_open_for: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(1),
        }),
        spool: SpoolConfig { max_bytes: 1 << 30, ..SpoolConfig::default() },
        ..DeliveryConfig::named("soak")
    }
}

/// What the calls took, in nanoseconds, each in the bucket of its upper bits.
struct Latencies {
    buckets: Vec<u64>,
    longest: u64,
}

impl Latencies {
    fn new() -> Self {
        Self { buckets: vec![0; 64 * 16], longest: 0 }
    }

    fn record(&mut self, nanos: u64) {
        let bits = (u64::BITS - nanos.leading_zeros()).max(5);
        let bucket = u64::from(bits) * 16 + ((nanos >> (bits - 5)) & 15);
        self.buckets[usize::try_from(bucket).unwrap()] += 1;
        self.longest = self.longest.max(nanos);
    }

    /// The upper end of the bucket below which this part of the calls is.
    fn quantile(&self, part: f64) -> u64 {
        let total: u64 = self.buckets.iter().sum();
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen as f64 >= total as f64 * part {
                let (bits, sub) = ((bucket / 16) as u32, (bucket % 16) as u64);
                return ((16 | sub) + 1) << (bits - 5);
            }
        }
        self.longest
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quantiles = [0.5, 0.99, 0.999].map(|part| self.quantile(part));
        let [half, p99, p999] = quantiles;
        write!(f, "p50 ≤ {half} ns, p99 ≤ {p99} ns, p99.9 ≤ {p999} ns, max {} ns", self.longest)
    }
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4
}

/// Offers numbers at an even rate. The answer is what the calls took, the next number, and the largest memory.
fn offer(delivery: &Delivery, first: u64, run_for: Duration) -> (Latencies, u64, u64) {
    let begun = Instant::now();
    let mut latencies = Latencies::new();
    let (mut number, mut largest) = (first, 0);
    while begun.elapsed() < run_for {
        let due = first + begun.elapsed().as_millis() as u64 * PER_SECOND / 1_000;
        while number < due {
            let message = Message::new(format!("{number:010} {:-<90}", "a line of a log "));
            let before = Instant::now();
            let _ = delivery.offer(message);
            latencies.record(before.elapsed().as_nanos() as u64);
            number += 1;
        }
        if number.is_multiple_of(100) {
            largest = largest.max(resident_kib());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (latencies, number, largest)
}

fn check(report: &DeliveryReport, received: &Received) {
    assert_eq!(
        report.offered,
        report.delivered + report.dropped.total() + report.undelivered + report.spooled
    );
    assert!(received.is_ordered, "a batch overtook another");
    assert_eq!(report.delivered, received.items, "delivered by both accounts");
    assert_eq!(report.undelivered, 0);
}

fn soak(name: &str, with_spool: bool) {
    let seconds = std::env::var("OBSKIT_SOAK_SECONDS").map_or(120, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let server = BadServer::start();
    let delivery = runtime.block_on(async {
        let transport = HttpTransport::new(HttpConfig::new(server.url())).unwrap();
        let builder = Delivery::builder(config()).encoder(Framing::lines());
        let builder = builder.endpoint("bad", transport);
        let builder = if with_spool { builder.spool(durable(folder.path())) } else { builder };
        builder.start().unwrap()
    });
    server.behave_well();
    let (good, next, before) = offer(&delivery, 0, Duration::from_secs(10));
    server.misbehave();
    let (bad, end, largest) = offer(&delivery, next, Duration::from_secs(seconds));
    let status = delivery.status();
    assert!(status.queued <= CAPACITY && status.queued_bytes <= MAX_BYTES);
    server.behave_well();
    let report = runtime.block_on(delivery.shutdown(Duration::from_secs(60)));
    let received = server.received();
    assert_eq!(report.offered, end);
    let answers: Vec<String> = {
        let answers: &Arc<Mutex<Vec<(&'static str, u64)>>> = &server.answers;
        answers.lock().unwrap().iter().map(|(name, count)| format!("{name} {count}")).collect()
    };
    let lines = [
        format!("{name}: {seconds} s at {PER_SECOND} messages a second, 101 bytes each"),
        format!("  server        {}", answers.join(", ")),
        format!("  offer, well   {good}"),
        format!("  offer, badly  {bad}"),
        format!("  memory        {before} KiB before, {largest} KiB at most"),
        format!("  account       {report:?}, {} requests tried again", status.retries),
        format!("  received      {received:?}"),
    ];
    std::io::stderr().write_all(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
    check(&report, &received);
}

#[test]
#[ignore = "takes minutes of real time"]
fn a_server_that_does_everything_wrong_costs_the_caller_nothing_and_the_account_is_exact() {
    soak("in memory", false);
}

#[test]
#[ignore = "takes minutes of real time"]
fn with_a_spool_nothing_is_dropped_either() {
    soak("with a spool", true);
}

#[test]
fn quantiles_are_within_their_bucket() {
    let mut latencies = Latencies::new();
    for nanos in 1..=1_000 {
        latencies.record(nanos);
    }
    assert!((500..=544).contains(&latencies.quantile(0.5)), "{}", latencies.quantile(0.5));
    assert!((990..=1_056).contains(&latencies.quantile(0.99)), "{}", latencies.quantile(0.99));
}
