//! CPU profiles of this very process.

use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use obs_profiling::{CpuProfileConfig, CpuProfiler, Profile};
use pprof::protos::{self, Message};
use tokio::sync::Mutex;

/// There is one slot in a process, so tests that take profiles take turns.
static TURN: Mutex<()> = Mutex::const_new(());

#[inline(never)]
fn spin_in_the_test(until: &AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !until.load(Ordering::Relaxed) {
        for number in 0..1_000_u64 {
            sum = black_box(sum ^ number.wrapping_mul(sum | 1));
        }
    }
    sum
}

/// A thread that spins until it is dropped.
struct Spinning {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Spinning {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("spinner".to_owned());
        let thread = thread.spawn(move || black_box(spin_in_the_test(&seen))).unwrap();
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn lasting(millis: u64) -> CpuProfileConfig {
    CpuProfileConfig { duration: Duration::from_millis(millis), ..CpuProfileConfig::default() }
}

fn decoded(profile: &Profile) -> protos::Profile {
    let mut bytes = Vec::new();
    GzDecoder::new(profile.as_pprof_gz()).read_to_end(&mut bytes).unwrap();
    protos::Profile::decode(bytes.as_slice()).unwrap()
}

#[tokio::test]
async fn the_busy_function_holds_most_samples() {
    let _turn = TURN.lock().await;
    let _spinning = Spinning::start();
    let profile = CpuProfiler::new().profile(lasting(1_500)).await.unwrap();
    let proto = decoded(&profile);
    let text = |index: i64| proto.string_table[usize::try_from(index).unwrap()].as_str();

    let types: Vec<_> = proto.sample_type.iter().map(|it| (text(it.ty), text(it.unit))).collect();
    assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds")]);
    let period_type = proto.period_type.as_ref().unwrap();
    assert_eq!((text(period_type.ty), text(period_type.unit)), ("cpu", "nanoseconds"));
    assert_eq!(proto.period, 10_000_000);
    assert_eq!(i128::from(proto.duration_nanos), profile.duration().as_nanos() as i128);
    assert!((1_500..3_000).contains(&profile.duration().as_millis()), "{profile:?}");
    assert_eq!(proto.time_nanos / 1_000_000, profile.started_at().as_millis());
    assert_eq!(text(0), "");
    assert!(text(proto.comment[0]).starts_with("cpu profile: "), "{}", text(proto.comment[0]));

    let name = |id: u64| {
        text(proto.function.iter().find(|function| function.id == id).unwrap().name).to_owned()
    };
    let (mut all, mut busy) = (0, 0);
    for sample in &proto.sample {
        all += sample.value[0];
        assert_eq!(sample.value[1], sample.value[0] * proto.period);
        if sample.location_id.iter().any(|id| name(*id).contains("spin_in_the_test")) {
            busy += sample.value[0];
            let thread = &sample.label[0];
            assert_eq!((text(thread.key), text(thread.str)), ("thread", "spinner"));
        }
    }
    assert_eq!(u64::try_from(all).unwrap(), profile.samples());
    // On a machine that has nothing to spare the thread still gets some time.
    assert!(all >= 10 && busy * 10 >= all * 8, "{busy} of {all}:\n{}", profile.summary(20));

    // At 100 Hz, which no kernel's tick is below, samples are not lost by the dozen.
    let expected = profile.expected_samples().unwrap();
    assert!(profile.samples() * 2 >= expected, "{}", profile.summary(5));
    let summary = profile.summary(20);
    assert!(!summary.contains("pprof::"), "the signal handler is in the profile:\n{summary}");
    let costs = profile.functions().iter().find(|cost| cost.name.contains("spin_in_the_test"));
    assert!(costs.unwrap().cumulative_samples * 10 >= profile.samples() * 8, "{summary}");
}

#[tokio::test]
async fn a_second_profile_at_the_same_time_is_refused_as_busy() {
    let _turn = TURN.lock().await;
    let (first, second) = tokio::join!(
        CpuProfiler::new().profile(lasting(200)),
        CpuProfiler::new().profile(lasting(200)),
    );
    first.unwrap();
    let error = second.unwrap_err();
    assert!(error.is_busy() && !error.is_config(), "{error}");
    CpuProfiler::new().profile(lasting(10)).await.unwrap();
}

#[tokio::test]
async fn a_dropped_profile_stops_and_frees_the_slot() {
    let _turn = TURN.lock().await;
    let begun = Instant::now();
    let given_up = tokio::time::timeout(
        Duration::from_millis(100),
        CpuProfiler::new().profile(lasting(600_000)),
    );
    assert!(given_up.await.is_err());
    loop {
        match CpuProfiler::new().profile(lasting(10)).await {
            Ok(_) => break,
            Err(error) => assert!(error.is_busy(), "{error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the slot is not freed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_refused_setting_leaves_the_slot_free() {
    let _turn = TURN.lock().await;
    assert!(CpuProfiler::new().profile(lasting(1)).await.unwrap_err().is_config());
    CpuProfiler::new().profile(lasting(10)).await.unwrap();
}

#[tokio::test]
async fn another_user_of_the_signal_makes_it_busy() {
    let _turn = TURN.lock().await;
    let other = pprof::ProfilerGuardBuilder::default().frequency(10).build().unwrap();
    assert!(CpuProfiler::new().profile(lasting(10)).await.unwrap_err().is_busy());
    drop(other);
    CpuProfiler::new().profile(lasting(10)).await.unwrap();
}
