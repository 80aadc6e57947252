//! A JSON line with five fields in a span, by way of `tracing`.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use obs_model::Resource;
use obs_tracing::sink::{FileConfig, LogSink, RotationPeriod};
use obs_tracing::{LogConfig, LogOutput};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Task;

/// How long a flush may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lines that every contender of `tracing` writes.
fn log(times: u64) {
    let span = tracing::info_span!("request", method = "GET", route = "/orders/{id}");
    let _entered = span.enter();
    for order in 0..times {
        tracing::info!(order, user = "u-17", total = 9.5, cached = true, attempt = 2, "order paid");
    }
}

fn log_disabled(times: u64) {
    for order in 0..times {
        tracing::debug!(order, user = "u-17", total = 9.5, cached = true, attempt = 2, "skipped");
    }
}

/// A file that tells how many lines are in it.
struct Counted<F> {
    file: F,
    lines: Arc<AtomicU64>,
}

impl<F: Write> Write for Counted<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.lines.fetch_add(lines as u64, Ordering::Release);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A file for lines, and the task that fills it with `log` and waits for it.
pub(crate) fn to_a_file(
    log: impl Fn(u64) + Send + Sync + 'static,
    keep: impl Send + Sync + 'static,
    lines: Arc<AtomicU64>,
) -> Task {
    let sent = Arc::new(AtomicU64::new(0));
    let expected = Arc::clone(&sent);
    Task {
        work: Box::new(move |times| {
            log(times);
            sent.fetch_add(times, Ordering::Release);
        }),
        settle: Box::new(move || {
            let _kept = &keep;
            while lines.load(Ordering::Acquire) < expected.load(Ordering::Acquire) {
                thread::sleep(Duration::from_micros(500));
            }
        }),
    }
}

/// A file that is gone when the process is, with the count of its lines.
pub(crate) fn file() -> Result<(impl Write + Send + 'static, Arc<AtomicU64>), Box<dyn Error>> {
    let lines = Arc::new(AtomicU64::new(0));
    Ok((Counted { file: tempfile::tempfile()?, lines: Arc::clone(&lines) }, lines))
}

fn install(output: Box<dyn Write + Send>) -> Result<obs_tracing::TracingHandle, Box<dyn Error>> {
    let mut config = LogConfig::new(Resource::new("bench"));
    config.output = LogOutput::Writer(output);
    Ok(obs_tracing::install(config)?)
}

fn obskit(output: Box<dyn Write + Send>, work: fn(u64)) -> Result<Task, Box<dyn Error>> {
    let handle = install(output)?;
    Ok(Task {
        work: Box::new(work),
        settle: Box::new(move || {
            handle.flush_blocking(PATIENCE).expect("a sink takes every line");
        }),
    })
}

pub(crate) fn obskit_to_a_sink() -> Result<Task, Box<dyn Error>> {
    obskit(Box::new(std::io::sink()), log)
}

pub(crate) fn obskit_disabled() -> Result<Task, Box<dyn Error>> {
    obskit(Box::new(std::io::sink()), log_disabled)
}

pub(crate) fn obskit_to_a_file() -> Result<Task, Box<dyn Error>> {
    let (file, lines) = file()?;
    Ok(to_a_file(log, install(Box::new(file))?, lines))
}

/// By way of a sink, which rotates the file.
pub(crate) fn obskit_to_a_rotated_file() -> Result<Task, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut file = FileConfig::new(folder.path().join("bench.log"));
    file.rotation.every = Some(RotationPeriod::Day);
    let mut config = LogConfig::new(Resource::new("bench"));
    config.output = LogOutput::None;
    config.sinks.push(LogSink::new("file", file));
    let handle = obs_tracing::install(config)?;
    Ok(Task {
        work: Box::new(log),
        settle: Box::new(move || {
            let _kept = &folder;
            handle.flush_blocking(PATIENCE).expect("a file takes every line");
        }),
    })
}

fn subscriber(
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Result<(), Box<dyn Error>> {
    let lines = tracing_subscriber::fmt::layer().json().with_writer(writer);
    tracing_subscriber::registry()
        .with(tracing_subscriber::filter::LevelFilter::INFO)
        .with(lines)
        .try_init()?;
    Ok(())
}

pub(crate) fn subscriber_to_a_sink() -> Result<Task, Box<dyn Error>> {
    subscriber(std::io::sink)?;
    Ok(Task { work: Box::new(log), settle: Box::new(|| {}) })
}

pub(crate) fn subscriber_disabled() -> Result<Task, Box<dyn Error>> {
    subscriber(std::io::sink)?;
    Ok(Task { work: Box::new(log_disabled), settle: Box::new(|| {}) })
}

pub(crate) fn flat_subscriber_to_a_sink() -> Result<Task, Box<dyn Error>> {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(std::io::sink);
    tracing_subscriber::registry()
        .with(tracing_subscriber::filter::LevelFilter::INFO)
        .with(lines)
        .try_init()?;
    Ok(Task { work: Box::new(log), settle: Box::new(|| {}) })
}

/// A look for secrets at a message of a hundred bytes that has none.
pub(crate) fn look_for_secrets() -> Result<Task, Box<dyn Error>> {
    const MESSAGE: &str = "the connection to the primary was lost after twelve attempts, \
                           so that reads go to the second replica";
    let redactor = obs_model::Redactor::new();
    let work = move |times| {
        for _ in 0..times {
            std::hint::black_box(redactor.text(std::hint::black_box(&MESSAGE[..100])));
        }
    };
    Ok(Task { work: Box::new(work), settle: Box::new(|| {}) })
}

pub(crate) fn appender_to_a_file() -> Result<Task, Box<dyn Error>> {
    let (file, lines) = file()?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    subscriber(writer)?;
    Ok(to_a_file(log, guard, lines))
}

pub(crate) fn appender_to_a_rotated_file() -> Result<Task, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let lines = Arc::new(AtomicU64::new(0));
    let file = tracing_appender::rolling::daily(folder.path(), "bench.log");
    let counted = Counted { file, lines: Arc::clone(&lines) };
    let (writer, guard) = tracing_appender::non_blocking(counted);
    subscriber(writer)?;
    Ok(to_a_file(log, (guard, folder), lines))
}
