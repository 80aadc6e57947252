//! The tracker of the process, for code that is not handed one.

use std::error::Error as StdError;
use std::panic::Location;
use std::sync::OnceLock;

use crate::{Captured, Details, Error, ErrorTracker};

static GLOBAL: OnceLock<ErrorTracker> = OnceLock::new();

/// Makes `tracker` the tracker of the process, for ever.
///
/// # Errors
///
/// Another one is set already; [`Error::is_already_set`] says so.
pub fn set_global(tracker: ErrorTracker) -> Result<(), Error> {
    GLOBAL.set(tracker).map_err(|_| Error::already_set())
}

/// The tracker of the process, if one is set.
#[must_use]
pub fn global() -> Option<&'static ErrorTracker> {
    GLOBAL.get()
}

/// Takes an error with the tracker of the process; nothing happens when there is none.
#[track_caller]
pub fn capture<E: StdError + ?Sized>(error: &E) -> Option<Captured> {
    capture_with(error, Details::default())
}

/// Takes an error with what else is known about the failure; nothing happens when there is no tracker.
#[track_caller]
pub fn capture_with<E: StdError + ?Sized>(error: &E, details: Details<'_>) -> Option<Captured> {
    let location = Location::caller();
    global().map(|tracker| tracker.capture_at(location, error, details))
}

/// Runs `operation` and captures its error with the tracker of the process, if there is one.
///
/// # Errors
///
/// The error of `operation`, untouched.
#[track_caller]
pub fn run<T, E: StdError>(operation: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    match global() {
        Some(tracker) => tracker.run(operation),
        None => operation(),
    }
}

/// A future that completes as `future` does, and captures its error with the tracker that the process has then.
#[track_caller]
pub fn watch<T, E, F>(future: F) -> impl Future<Output = Result<T, E>> + use<T, E, F>
where
    E: StdError,
    F: Future<Output = Result<T, E>>,
{
    let location = Location::caller();
    async move {
        future.await.inspect_err(|error| {
            if let Some(tracker) = global() {
                tracker.capture_at(location, error, Details::default());
            }
        })
    }
}
