//! Panics; a file of its own because the panic hook belongs to the process.

mod support;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use obs_errors::ErrorTracker;
use obs_model::{Context, Mechanism};
use support::tracker;

/// Runs `work`, which panics, in a thread of its own.
fn in_thread(work: fn()) -> Box<dyn Any + Send> {
    let thread = std::thread::Builder::new().name("worker-7".to_owned());
    thread.spawn(work).expect("the thread starts").join().expect_err("the thread panics")
}

#[inline(never)]
fn empty_option() {
    let nothing: Option<u8> = std::hint::black_box(None);
    nothing.unwrap();
}

#[inline(never)]
fn another_empty_option() {
    let nothing: Option<u8> = std::hint::black_box(None);
    nothing.unwrap();
}

#[test]
fn panics_are_captured_whatever_catches_them_and_other_hooks_still_run() {
    static BEFORE: AtomicUsize = AtomicUsize::new(0);
    let printing = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        BEFORE.fetch_add(1, Ordering::SeqCst);
        printing(info);
    }));
    let (first, _) = tracker(|_| {});
    first.install_panic_hook();
    let (tracker, _) = tracker(|_| {});
    for _ in 0..3 {
        tracker.install_panic_hook();
    }

    in_thread(|| {
        let _entered = Context::new().with_user("u-3").enter();
        panic!("lost {} of 9, password={}", 4, "hunter2");
    });
    assert_eq!(BEFORE.load(Ordering::SeqCst), 1, "the earlier hook runs once");
    assert_eq!(first.statistics().total, 0, "the tracker installed last takes the panics");
    assert_eq!(tracker.statistics().total, 1);
    let group = &tracker.groups()[0];
    let event = &tracker.events(group.fingerprint)[0];
    assert_eq!((event.mechanism, event.error_type.as_str()), (Mechanism::Panic, "panic"));
    assert_eq!(event.message, "lost 4 of 9, password=[redacted]");
    assert_eq!(event.thread.as_deref(), Some("worker-7"));
    assert_eq!(event.context.user(), Some("u-3"));
    let top = &event.stack[0];
    assert!(top.file.as_deref().is_some_and(|file| file.ends_with("tests/panics.rs")), "{top:?}");
    assert!(top.function.contains("panics_are_captured"), "{:#?}", event.stack);

    functions_tell_panics_of_one_file_apart(&tracker);
    a_payload_that_is_no_text_is_captured(&tracker);
    a_drop_that_captures_while_unwinding_works(&tracker);
    std::panic::catch_unwind(|| panic!("lost {} of 9", 5)).expect_err("it panics");
    assert_eq!(tracker.groups()[0].count, 1);
}

fn functions_tell_panics_of_one_file_apart(tracker: &ErrorTracker) {
    for work in [empty_option, empty_option, another_empty_option] {
        in_thread(work);
    }
    let counts: Vec<_> = tracker.groups().iter().take(2).map(|group| group.count).collect();
    assert_eq!(counts, [1, 2]);
    let event = tracker.events(tracker.groups()[1].fingerprint).remove(0);
    assert!(event.stack[0].function.ends_with("empty_option"), "{:#?}", event.stack);
    let last = event.stack.last().expect("there are frames");
    assert!(!last.function.contains("short_backtrace"), "the thread's start is left out: {last:?}");
}

fn a_payload_that_is_no_text_is_captured(tracker: &ErrorTracker) {
    let payload = in_thread(|| std::panic::panic_any(7_u32));
    assert_eq!(payload.downcast_ref::<u32>(), Some(&7), "the payload is handed on");
    assert_eq!(&*tracker.groups()[0].message, "a panic whose payload is not a text");
}

fn a_drop_that_captures_while_unwinding_works(tracker: &ErrorTracker) {
    struct Guard(Arc<ErrorTracker>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.capture(&std::fmt::Error);
            // Installing is refused here, because Rust panics when a hook is set while unwinding.
            self.0.install_panic_hook();
        }
    }
    let tracker = Arc::new(tracker.clone());
    let before = tracker.statistics().total;
    let guarded = Guard(Arc::clone(&tracker));
    let unwound = std::thread::spawn(move || {
        let _guarded = guarded;
        panic!("unwinding");
    });
    assert!(unwound.join().is_err());
    assert_eq!(tracker.statistics().total, before + 2);
}
