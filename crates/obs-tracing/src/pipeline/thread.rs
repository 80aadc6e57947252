//! What each thread keeps for logging: room to render in, and flags against running in circles.

use std::cell::Cell;

use crate::fields::RawFields;
use crate::line::Scratch;

/// How deep logging may call itself: a `Debug` form or a recorder that logs is fine, one that does so for
/// every line is stopped.
const MAX_DEPTH: u8 = 3;

/// The largest memory that a thread keeps for such values, in bytes.
const KEPT_BYTES: usize = 16 * 1024;

/// One of how many lines is timed.
const TIMED_ONE_IN: u32 = 64;

thread_local! {
    static LINES: Cell<u32> = const { Cell::new(0) };
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    static DEPTH: Cell<u8> = const { Cell::new(0) };
    static SUPPRESSED: Cell<bool> = const { Cell::new(false) };
    static IN_SINK: Cell<bool> = const { Cell::new(false) };
    static RAW: Cell<Option<Box<RawFields>>> = const { Cell::new(None) };
}

/// Whether this thread measures how long the line at hand takes: one of so many, because looking at the clock costs a
/// part of a line.
pub(crate) fn is_timed() -> bool {
    LINES.with(|lines| {
        let count = lines.get().wrapping_add(1);
        lines.set(count);
        count.is_multiple_of(TIMED_ONE_IN)
    })
}

/// Drops every later event of this thread: it belongs to the machinery that carries telemetry away.
pub(crate) fn suppress_for_ever() {
    SUPPRESSED.set(true);
}

/// Drops the events of this thread while `work` runs.
#[cfg(feature = "otlp")]
pub(crate) fn suppressed<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SUPPRESSED.set(self.0);
        }
    }
    let _restore = Restore(SUPPRESSED.replace(true));
    work()
}

/// Whether events of this thread are dropped.
pub(crate) fn is_suppressed() -> bool {
    SUPPRESSED.try_with(Cell::get).unwrap_or(true)
}

/// Does what may itself log, unless logging calls itself too deeply.
pub(crate) fn deeper(work: impl FnOnce()) {
    struct Deeper;
    impl Drop for Deeper {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    let depth = DEPTH.get();
    if depth < MAX_DEPTH {
        DEPTH.set(depth + 1);
        let _deeper = Deeper;
        work();
    }
}

/// Lends this thread's scratch, unless logging calls itself too deeply.
pub(crate) fn with_scratch(render: impl FnOnce(&mut Scratch)) {
    deeper(|| {
        // OK because a nested event finds none and makes its own.
        let mut scratch = SCRATCH.take().unwrap_or_default();
        scratch.clear();
        render(&mut scratch);
        SCRATCH.set(Some(scratch));
    });
}

/// Runs `offer` unless this thread is doing so already.
pub(crate) fn once_in_sink(offer: impl FnOnce()) {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            IN_SINK.set(false);
        }
    }
    if !IN_SINK.replace(true) {
        let _leave = Leave;
        offer();
    }
}

/// Lends this thread's room for the values that a span gets later.
pub(crate) fn with_raw(take: impl FnOnce(&mut RawFields)) {
    // OK because a nested call finds none and makes its own.
    let mut raw = RAW.take().unwrap_or_default();
    raw.clear();
    take(&mut raw);
    if raw.capacity() <= KEPT_BYTES {
        RAW.set(Some(raw));
    }
}
