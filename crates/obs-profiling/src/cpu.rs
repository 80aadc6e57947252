//! Taking a CPU profile.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use obs_model::Timestamp;
use pprof::ProfilerGuardBuilder;
use tokio::sync::oneshot;

use crate::encode::encode;
use crate::error::Kind;
use crate::profile::Run as Taken;
use crate::self_metrics::Run;
use crate::{CpuProfileConfig, Error, Profile, cpu_time, memory};

/// Takes CPU profiles of this process.
///
/// All profilers of a process share one timer and one signal, so they also share one slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuProfiler {
    _private: (),
}

/// Whether a profile is being taken in this process.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The right to take a profile.
struct Slot(());

impl Slot {
    fn take() -> Option<Self> {
        // OK because the slot guards no memory, only a turn: what it protects has a lock of its own.
        TAKEN
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
            .then(|| Self(()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

impl CpuProfiler {
    /// A profiler. It does nothing until it is asked for a profile.
    #[must_use]
    pub fn new() -> Self {
        Self { _private: () }
    }

    /// Samples the process for `config.duration` of wall-clock time, then finds the names of the functions.
    ///
    /// Both happen on a thread of their own, so any executor will do and none is held up. If this future is
    /// dropped, sampling stops at once; the slot is free for the next profile when that thread has stopped, which
    /// takes milliseconds during sampling and up to some seconds while names are being found. The first
    /// profile of a process takes longer to start, because debug information is loaded first.
    ///
    /// # Errors
    ///
    /// `is_config` if a setting is not accepted, `is_busy` if a profile is being taken already, also by other
    /// users of `pprof-rs` in this process; another error if the system refuses the timer, the signal or
    /// a temporary file.
    pub fn profile(
        &self,
        config: CpuProfileConfig,
    ) -> impl Future<Output = Result<Profile, Error>> + Send + use<> {
        async move {
            let run = Run::begin();
            let result = take(config).await;
            run.end(&result);
            result
        }
    }
}

async fn take(config: CpuProfileConfig) -> Result<Profile, Error> {
    config.validate()?;
    let slot = Slot::take().ok_or(Kind::Busy)?;
    let (answer, answered) = oneshot::channel();
    // Dropping this future drops the sender, which is how the thread learns of it.
    let (_waiting, given_up) = mpsc::channel();
    std::thread::Builder::new()
        .name("obskit-profiler".to_owned())
        .spawn(move || {
            let result = record(&config, &given_up);
            // The next profile may begin as soon as this one is answered, and not before.
            drop(slot);
            // OK because without a receiver nobody wants to know.
            let _ = answer.send(result);
        })
        .map_err(Kind::Thread)?;
    answered.await.unwrap_or_else(|_| Err(Kind::Panicked.into()))
}

/// Samples until the duration is over or the caller has gone, then stops sampling and makes the profile.
fn record(config: &CpuProfileConfig, given_up: &mpsc::Receiver<()>) -> Result<Profile, Error> {
    // OK because the frequency is at most 1,000.
    let frequency = i32::try_from(config.frequency).unwrap_or(1_000);
    let sampling = ProfilerGuardBuilder::default()
        .frequency(frequency)
        .blocklist(&config.blocklist)
        .build()
        .map_err(|error| match error {
            pprof::Error::Running => Kind::Busy,
            other => Kind::Start(other),
        })?;
    let (started, begun) = (SystemTime::now(), Instant::now());
    let cpu_before = cpu_time::of_this_process();
    if given_up.recv_timeout(config.duration) == Err(RecvTimeoutError::Disconnected) {
        return Err(Kind::Cancelled.into());
    }
    let cpu_time = cpu_before
        .zip(cpu_time::of_this_process())
        .map(|(before, after)| after.saturating_sub(before));
    let duration = begun.elapsed();
    let samples = sampling.report().build_unresolved().map_err(Kind::Read)?;
    // Sampling stops before names are found, so that finding them is not profiled.
    drop(sampling);
    let _names = Names;
    let is_given_up = || given_up.try_recv() == Err(mpsc::TryRecvError::Disconnected);
    let mut report = pprof::Report {
        data: std::collections::HashMap::with_capacity(samples.data.len()),
        timing: samples.timing,
    };
    for (frames, count) in samples.data {
        if is_given_up() {
            return Err(Kind::Cancelled.into());
        }
        let mut frames = pprof::Frames::from(frames);
        remove_handler(&mut frames);
        *report.data.entry(frames).or_default() += count;
    }
    report.timing.start_time = started;
    report.timing.duration = duration;
    let started_at = Timestamp::EPOCH.plus(started.duration_since(UNIX_EPOCH).unwrap_or_default());
    encode(&report, Taken { started_at, duration, frequency: config.frequency, cpu_time })
}

/// Gives the memory for names back when it goes, however the look-up ends.
struct Names;

impl Drop for Names {
    fn drop(&mut self) {
        memory::give_back();
    }
}

/// Removes the frames of the signal handler, which are innermost in every sample.
///
/// `pprof-rs` removes the handler's own frame, but not what the handler calls, unless the optimiser has put
/// all of that into one function.
fn remove_handler(frames: &mut pprof::Frames) {
    /// The handler is never this deep; so far out, a frame of `pprof-rs` is one that the program called.
    const DEPTH: usize = 8;
    let is_handler =
        |frame: &Vec<pprof::Symbol>| frame.iter().any(|symbol| symbol.name().contains("pprof::"));
    let innermost = &frames.frames[..frames.frames.len().min(DEPTH)];
    if let Some(last) = innermost.iter().rposition(is_handler) {
        frames.frames.drain(..=last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stack: &[&str], expected: &[&str]) {
        let symbol = |name: &str| pprof::Symbol {
            name: Some(name.as_bytes().to_vec()),
            addr: None,
            lineno: None,
            filename: None,
        };
        let mut frames = pprof::Frames {
            frames: stack.iter().map(|name| vec![symbol(name)]).collect(),
            thread_name: String::new(),
            thread_id: 1,
            sample_timestamp: UNIX_EPOCH,
        };
        remove_handler(&mut frames);
        let left: Vec<String> = frames.frames.iter().map(|frame| frame[0].name()).collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn what_the_signal_handler_calls_is_removed_and_what_it_interrupted_stays() {
        check(&["trace", "pprof::backtrace::Trace::trace", "app::f", "main"], &["app::f", "main"]);
        check(&["app::f", "main"], &["app::f", "main"]);
        check(&["pprof::profiler::sample"], &[]);
        check(&[], &[]);
        let deep = ["a", "b", "c", "d", "e", "f", "g", "h", "pprof::called_by_the_program"];
        check(&deep, &deep);
    }
}
