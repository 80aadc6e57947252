//! Panics as errors, through the process's panic hook.
//!
//! A panic inside a panic hook aborts the process, so nothing here indexes, unwraps or formats foreign values;
//! the payload is taken only when it is a plain text.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use obs_model::{Context, Mechanism};
use parking_lot::RwLock;

use crate::config::Backtraces;
use crate::tracker::Occurrence;
use crate::{ErrorTracker, stack};

/// The type of every panic.
const PANIC_TYPE: &str = "panic";

/// The tracker that takes the process's panics.
static TRACKER: RwLock<Option<ErrorTracker>> = RwLock::new(None);

static INSTALLED: Once = Once::new();

thread_local! {
    static TAKING: Cell<bool> = const { Cell::new(false) };
}

impl ErrorTracker {
    /// Captures every panic of the process from now on, also those that are caught later.
    ///
    /// The hook that was there before runs afterwards, so the usual message is still printed. Installing twice
    /// changes nothing; installing another tracker makes that one take the panics. From a thread that is
    /// panicking nothing is installed, because Rust forbids it.
    ///
    /// An event has the payload's text, the location, the thread's name and, unless backtraces are off, the
    /// frames of the stack. A hook that somebody sets later without calling this one hides panics from it.
    pub fn install_panic_hook(&self) {
        if std::thread::panicking() {
            return;
        }
        *TRACKER.write() = Some(self.clone());
        INSTALLED.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                take(info);
                previous(info);
            }));
        });
    }

    fn take_panic(&self, info: &PanicHookInfo<'_>) {
        let location = info.location();
        let frames = match (location, self.inner().config.backtraces) {
            (Some(location), Backtraces::Panics | Backtraces::Always) => stack::walk(location),
            (Some(location), Backtraces::Never) => vec![stack::here(location)],
            (None, _) => Vec::new(),
        };
        let payload = info.payload_as_str().unwrap_or("a panic whose payload is not a text");
        self.record(Occurrence {
            mechanism: Mechanism::Panic,
            timestamp: self.inner().clock.now(),
            error_type: PANIC_TYPE.to_owned(),
            message: self.redacted(format_args!("{payload}")),
            chain: Vec::new(),
            stack: frames,
            file: location.map(panic::Location::file),
            thread: std::thread::current().name().map(Into::into),
            context: Context::current(),
            input: None,
            group_key: None,
        });
    }
}

fn take(info: &PanicHookInfo<'_>) {
    // A recorder or subscriber may run code that catches panics of its own; those are not taken again.
    let Ok(false) = TAKING.try_with(|taking| taking.replace(true)) else { return };
    // OK to give up when the tracker is being replaced at this moment: a hook must not wait.
    let tracker = TRACKER.try_read().and_then(|tracker| tracker.clone());
    if let Some(tracker) = tracker {
        tracker.take_panic(info);
    }
    // OK to ignore: a thread whose locals are gone takes no second panic.
    let _ = TAKING.try_with(|taking| taking.set(false));
}
