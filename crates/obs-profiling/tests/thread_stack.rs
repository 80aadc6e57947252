//! Stacks of threads in every state.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use obs_profiling::ThreadSampler;

/// The sampler is one for the process, and so is the turn to take a stack.
static TURN: Mutex<()> = Mutex::new(());

fn own_id() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Runs work on a thread of its own until it is told to stop.
fn start(work: impl Fn(&AtomicBool) + Send + 'static) -> (u32, Arc<AtomicBool>, JoinHandle<()>) {
    let (say, id) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        say.send(own_id()).unwrap();
        while !seen.load(Ordering::Relaxed) {
            work(&seen);
        }
    });
    (id.recv().unwrap(), stop, thread)
}

#[inline(never)]
fn waits_in_a_system_call(_: &AtomicBool) {
    std::thread::sleep(black_box(Duration::from_millis(20)));
    black_box(());
}

#[inline(never)]
fn computes(stop: &AtomicBool) {
    let mut sum = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for number in 0..10_000 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
    black_box(sum);
}

#[inline(never)]
fn allocates(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let lists: Vec<Vec<u8>> = (1..50).map(|length| vec![0; black_box(length * 100)]).collect();
        black_box(lists);
    }
}

#[inline(never)]
fn unwinds(_: &AtomicBool) {
    let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(black_box(1))));
    black_box(caught.is_err());
}

#[inline(never)]
fn looks_for_names(_: &AtomicBool) {
    black_box(std::backtrace::Backtrace::force_capture().to_string());
}

#[inline(never)]
fn recurses(depth: u32, stop: &AtomicBool) {
    if depth == 0 {
        computes(stop);
    } else {
        recurses(depth - 1, stop);
    }
    black_box(depth);
}

#[test]
fn a_stack_names_what_a_thread_does_whatever_that_is() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let sampler = ThreadSampler::install().unwrap();
    for (name, work) in [
        ("waits_in_a_system_call", waits_in_a_system_call as fn(&AtomicBool)),
        ("computes", computes),
        ("allocates", allocates),
        ("unwinds", unwinds),
        ("looks_for_names", looks_for_names),
    ] {
        let (id, stop, thread) = start(work);
        let deadline = Instant::now() + Duration::from_secs(30);
        let stack = loop {
            // The thread may be between two rounds of its work.
            let stack = sampler.stack_of(id).unwrap();
            if stack.iter().any(|function| function.contains(name)) || Instant::now() > deadline {
                break stack;
            }
        };
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        let at = stack.iter().position(|function| function.contains(name));
        assert!(at.is_some(), "{name} is not in {stack:?}");
        assert!(
            !stack.iter().any(|function| function.contains("begin_short_backtrace")),
            "{stack:?}"
        );
        if name == "waits_in_a_system_call" {
            assert!(at > Some(0), "the function waits in another: {stack:?}");
        }
        let gone = sampler.stack_of(id).unwrap_err();
        assert!(gone.to_string().contains(&format!("thread {id}")), "{gone}");
    }
}

#[test]
fn a_deep_stack_is_shown_from_its_innermost_end() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let sampler = ThreadSampler::install().unwrap();
    let (id, stop, thread) = start(|stop| recurses(500, stop));
    let deadline = Instant::now() + Duration::from_secs(30);
    let stack = loop {
        let stack = sampler.stack_of(id).unwrap();
        if stack.len() == 64 || Instant::now() > deadline {
            break stack;
        }
    };
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    assert_eq!(stack.len(), 64);
    assert!(
        stack.iter().filter(|function| function.contains("recurses")).count() > 50,
        "{stack:?}"
    );
}

#[test]
fn a_thread_that_takes_no_signals_is_given_up_and_others_still_answer() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let sampler = ThreadSampler::install().unwrap();
    let (deaf, stop, thread) = start(|stop| {
        masked(|| {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    });
    let (hears, other_stop, other) = start(computes);
    let deadline = Instant::now() + Duration::from_secs(30);
    let error = loop {
        match sampler.stack_of(deaf) {
            Err(error) => break error,
            Ok(stack) => assert!(Instant::now() < deadline, "{stack:?}"),
        }
    };
    assert!(error.to_string().contains("did not answer"), "{error}");
    for _ in 0..10 {
        assert!(!sampler.stack_of(hears).unwrap().is_empty());
    }
    for (stop, thread) in [(stop, thread), (other_stop, other)] {
        stop.store(true, Ordering::Relaxed);
        // The signal that was not taken is taken now, when nobody waits for it any more.
        thread.join().unwrap();
    }
}

/// Runs work in which this thread takes no signals.
fn masked(work: impl FnOnce()) {
    // SAFETY: The sets are local and initialised by `sigfillset` and the first call, which keep no pointer to them.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        work();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
    }
}
