//! Wrappers that capture the error of an operation and hand it on untouched.

use std::error::Error as StdError;
use std::panic::Location;

use crate::{Details, ErrorTracker};

/// An error that any type may be behind, as `Box<dyn Error + Send + Sync>` and `anyhow::Error` hand it out.
type AnyError = dyn StdError + Send + Sync + 'static;

/// Wrappers. Each captures the error of one operation and returns what the operation returned.
///
/// An operation inside another should be wrapped once: every wrapper that an error passes counts it.
impl ErrorTracker {
    /// Runs `operation` and captures its error.
    ///
    /// # Errors
    ///
    /// The error of `operation`, untouched.
    #[track_caller]
    pub fn run<T, E: StdError>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let location = Location::caller();
        operation().inspect_err(|error| {
            self.capture_at(location, error, Details::default());
        })
    }

    /// Like [`run`](Self::run), for boxed errors that are not errors themselves.
    ///
    /// # Errors
    ///
    /// The error of `operation`, untouched.
    #[track_caller]
    pub fn run_boxed<T, E: AsRef<AnyError>>(
        &self,
        operation: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let location = Location::caller();
        operation().inspect_err(|error| {
            self.capture_at(location, error.as_ref(), Details::default());
        })
    }

    /// A future that completes as `future` does, and captures its error in the context that is current then.
    #[track_caller]
    pub fn watch<T, E, F>(&self, future: F) -> impl Future<Output = Result<T, E>> + use<T, E, F>
    where
        E: StdError,
        F: Future<Output = Result<T, E>>,
    {
        let (tracker, location) = (self.clone(), Location::caller());
        async move {
            future.await.inspect_err(|error| {
                tracker.capture_at(location, error, Details::default());
            })
        }
    }

    /// Like [`watch`](Self::watch), for boxed errors that are not errors themselves.
    #[track_caller]
    pub fn watch_boxed<T, E, F>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<T, E>> + use<T, E, F>
    where
        E: AsRef<AnyError>,
        F: Future<Output = Result<T, E>>,
    {
        let (tracker, location) = (self.clone(), Location::caller());
        async move {
            future.await.inspect_err(|error| {
                tracker.capture_at(location, error.as_ref(), Details::default());
            })
        }
    }
}
