//! What each thread keeps for logging: room to render in, and flags against running in circles.

use std::cell::{Cell, RefCell};

use crate::fields::FieldBuffer;
use crate::line::Scratch;

/// How deep logging may call itself: a `Debug` form or a recorder that logs is fine, one that does so for
/// every line is stopped.
const MAX_DEPTH: u8 = 3;

/// The most buffers of closed spans that a thread keeps, and the largest of them, in bytes.
const POOL: usize = 64;
const POOLED_BYTES: usize = 16 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    static DEPTH: Cell<u8> = const { Cell::new(0) };
    static SUPPRESSED: Cell<bool> = const { Cell::new(false) };
    static IN_SINK: Cell<bool> = const { Cell::new(false) };
    static BUFFERS: RefCell<Vec<FieldBuffer>> = const { RefCell::new(Vec::new()) };
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

/// Lends this thread's scratch, unless logging calls itself too deeply.
pub(crate) fn with_scratch(render: impl FnOnce(&mut Scratch)) {
    struct Deeper;
    impl Drop for Deeper {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    let depth = DEPTH.get();
    if depth >= MAX_DEPTH {
        return;
    }
    DEPTH.set(depth + 1);
    let _deeper = Deeper;
    // OK because a nested event finds none and makes its own.
    let mut scratch = SCRATCH.take().unwrap_or_default();
    scratch.clear();
    render(&mut scratch);
    SCRATCH.set(Some(scratch));
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

/// A buffer for the fields of a new span.
pub(crate) fn take_buffer() -> FieldBuffer {
    BUFFERS
        .try_with(|buffers| buffers.try_borrow_mut().ok().and_then(|mut buffers| buffers.pop()))
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// Keeps the buffer of a closed span for another one.
pub(crate) fn give_back(mut buffer: FieldBuffer) {
    if buffer.capacity() > POOLED_BYTES {
        return;
    }
    buffer.clear();
    // OK because a thread that is ending needs no buffers.
    let _ = BUFFERS.try_with(|buffers| {
        if let Ok(mut buffers) = buffers.try_borrow_mut()
            && buffers.len() < POOL
        {
            buffers.push(buffer);
        }
    });
}
