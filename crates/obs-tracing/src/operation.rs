//! Watching an operation to its end, however it ends: done, failed, cancelled or panicked.

use std::future::Future;
use std::thread;

/// How an operation ended.
pub(crate) enum Ended<'a, T, E> {
    /// It returned what it should.
    Done(&'a T),
    /// It returned an error.
    Failed(&'a E),
    /// It was dropped before it was done.
    Cancelled,
    /// It panicked.
    Panicked,
}

impl<T, E> Ended<'_, T, E> {
    /// The value of `status` labels, as the catalogs of metrics have it.
    pub(crate) const fn status(&self) -> &'static str {
        match self {
            Self::Done(_) => "success",
            Self::Failed(_) => "error",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
        }
    }
}

/// Whatever is told once how an operation ended.
pub(crate) trait Observer<T, E> {
    /// Counts the end.
    fn end(self, how: Ended<'_, T, E>);
}

/// Runs `future` to its end and tells `observer` of it. Dropped before, it was cancelled.
pub(crate) async fn watch<O, T, E>(
    observer: O,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    O: Observer<T, E>,
{
    let mut watched = Watched::<O, T, E>(Some(observer), std::marker::PhantomData);
    let result = future.await;
    if let Some(observer) = watched.0.take() {
        observer.end(match &result {
            Ok(value) => Ended::Done(value),
            Err(error) => Ended::Failed(error),
        });
    }
    result
}

struct Watched<O: Observer<T, E>, T, E>(Option<O>, std::marker::PhantomData<fn() -> (T, E)>);

impl<O: Observer<T, E>, T, E> Drop for Watched<O, T, E> {
    fn drop(&mut self) {
        if let Some(observer) = self.0.take() {
            observer.end(if thread::panicking() { Ended::Panicked } else { Ended::Cancelled });
        }
    }
}
