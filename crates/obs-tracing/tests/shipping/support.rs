//! Pipelines that ship, and numbered lines to tell whether each arrived.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use obs_delivery::{BatchConfig, BreakerConfig, DeliveryConfig, RetryPolicy, StoreSpool};
use obs_model::Resource;
use obs_store::{Store, StoreOptions};
use obs_tracing::sink::{IntoSink, LogSink};
use obs_tracing::{LogConfig, LogOutput, TracingHandle};
use tracing::Dispatch;

use crate::server::{Peer, Server};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often each number arrived.
pub(crate) type Numbers = BTreeMap<u64, u32>;

/// A pipeline with one sink.
pub(crate) struct Pipeline {
    pub(crate) dispatch: Dispatch,
    pub(crate) handle: TracingHandle,
}

impl Pipeline {
    pub(crate) fn new(kind: impl IntoSink + 'static) -> Self {
        Self::with(LogSink::new("remote", kind).with_delivery(quick()), |_| {})
    }

    pub(crate) fn with(sink: LogSink, change: impl FnOnce(&mut LogConfig)) -> Self {
        let mut config = LogConfig::new(Resource::new("checkout").with_version("1.4.2"));
        config.output = LogOutput::None;
        config.filter = "trace".into();
        config.sinks.push(sink);
        change(&mut config);
        let (dispatch, handle) = obs_tracing::build(config).expect("the configuration is right");
        Self { dispatch, handle }
    }

    pub(crate) fn log(&self, work: impl FnOnce()) {
        tracing::dispatcher::with_default(&self.dispatch, work);
    }

    /// Logs these numbers, one a line.
    pub(crate) fn number(&self, numbers: std::ops::Range<u64>) {
        self.log(|| {
            for number in numbers {
                tracing::info!(target: "shop", number, "numbered");
            }
        });
    }

    pub(crate) fn flush(&self) {
        self.handle.flush_blocking(PATIENCE).expect("everything is sent");
    }
}

/// Sends soon, and tries again soon.
pub(crate) fn quick() -> DeliveryConfig {
    DeliveryConfig {
        capacity: 16_384,
        batch: BatchConfig { max_age: Duration::from_millis(20), ..BatchConfig::default() },
        retry: RetryPolicy {
            base_backoff: Duration::from_millis(10),
            max_backoff: Duration::from_millis(50),
            ..RetryPolicy::patient(Duration::from_secs(3_600))
        },
        breaker: None,
        ..DeliveryConfig::default()
    }
}

/// Each of the numbers below `end`, and nothing else, arrived; how many more than once is the answer.
#[track_caller]
pub(crate) fn assert_all(numbers: &Numbers, end: u64) -> u64 {
    let missing: Vec<u64> = (0..end).filter(|number| !numbers.contains_key(number)).collect();
    assert!(missing.is_empty(), "{} of {end} are missing, first {:?}", missing.len(), missing[0]);
    assert_eq!(numbers.len() as u64, end);
    numbers.values().map(|times| u64::from(times - 1)).sum()
}

/// How long the other side is away in the test of an outage: 5 s, or as `OBSKIT_INTEROP_OUTAGE_SECONDS` says.
fn outage() -> Duration {
    let seconds = std::env::var("OBSKIT_INTEROP_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(5, |text| text.parse().expect("whole seconds")))
}

/// Lines are written while the other side is away, and the process is replaced by another meanwhile. Afterwards every
/// line is there; how many came twice is the answer.
pub(crate) fn outlast_an_outage<P: Peer, S: IntoSink + 'static>(
    server: &Server<P>,
    sink: impl Fn() -> S,
    numbers: impl Fn(&P) -> Numbers,
) -> u64 {
    /// How many lines are written at a time, and how often.
    const LINES: u64 = 50;
    const PAUSE: Duration = Duration::from_millis(250);
    let outage = outage();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = quick();
    config.batch = BatchConfig::default();
    config.breaker = Some(BreakerConfig {
        open_for: outage / 20,
        max_open_for: outage / 5,
        ..BreakerConfig::default()
    });
    let start = || spooling(folder.path(), sink(), config.clone());

    let mut written = 500;
    let (pipeline, store) = start();
    pipeline.number(0..written);
    pipeline.flush();
    server.leave();
    let left = Instant::now();
    let write_until = |pipeline: &Pipeline, end: Duration, written: &mut u64| {
        while left.elapsed() < end {
            pipeline.number(*written..*written + LINES);
            *written += LINES;
            std::thread::sleep(PAUSE);
        }
    };
    write_until(&pipeline, outage / 2, &mut written);
    // What is not sent stays on the disk, for the next process.
    let _ = pipeline.handle.shutdown_blocking(Duration::from_millis(200));
    drop(pipeline);
    store.close().expect("the file is written");

    let (pipeline, _store) = start();
    write_until(&pipeline, outage, &mut written);
    server.come_back();
    pipeline.number(written..written + LINES);
    written += LINES;
    let deadline = Instant::now() + PATIENCE + outage;
    while server.look(|peer| (numbers(peer).len() as u64) < written) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    let repeated = server.look(|peer| assert_all(&numbers(peer), written));
    pipeline.handle.shutdown_blocking(PATIENCE).expect("everything is sent");
    repeated
}

fn spooling(
    folder: &Path,
    kind: impl IntoSink + 'static,
    config: DeliveryConfig,
) -> (Pipeline, Store) {
    let (store, _) =
        Store::open(folder.join("state.redb"), StoreOptions::default()).expect("a file");
    let spool = StoreSpool::open(&store, "delivery/logs", 256 << 20).expect("a spool");
    let sink = LogSink::new("remote", kind).with_delivery(config);
    (Pipeline::with(sink.with_spool(std::sync::Arc::new(spool)), |_| {}), store)
}
