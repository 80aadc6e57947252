//! Watching a piece of work to its end, however it ends: done, failed, cancelled or panicked.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use metrics::Gauge;
pub(crate) use obs_model::type_name_of;
use pin_project_lite::pin_project;

/// The `error_type` of work that panicked.
pub(crate) const PANIC: &str = "panic";

/// How a piece of work ended: the value of `status` labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did what it should: `success`.
    Success,
    /// It returned an error: `error`.
    Error,
    /// It was dropped before it was done: `cancelled`.
    Cancelled,
    /// It panicked: `panicked`.
    Panicked,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Success, Self::Error, Self::Cancelled, Self::Panicked];

    /// The value of the `status` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
        }
    }

    /// The outcome of work whose guard is dropped without a word.
    pub(crate) fn of_dropped() -> Self {
        if thread::panicking() { Self::Panicked } else { Self::Cancelled }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Holds a gauge up by one for as long as it lives, also when a panic ends its life.
#[derive(Debug)]
pub struct ActiveGuard(Gauge);

impl ActiveGuard {
    /// Adds one to `gauge` and takes it off again when dropped.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self(gauge.clone())
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// A piece of work that has begun and will be counted once, when it ends.
pub(crate) trait Run {
    /// Does one step of the work, with whatever the work's own parts need to find about it.
    fn within<R>(&self, step: impl FnOnce() -> R) -> R {
        step()
    }

    /// Counts the end; `error_type` is empty unless there was an error or a panic.
    fn end(self, outcome: Outcome, error_type: &str);
}

pin_project! {
    /// A future whose run begins at its first poll and ends with it.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Tracked<F, B, R, C>
    where
        R: Run,
    {
        #[pin]
        future: F,
        state: State<B, R>,
        classify: C,
    }

    impl<F, B, R: Run, C> PinnedDrop for Tracked<F, B, R, C> {
        fn drop(this: Pin<&mut Self>) {
            // A panic of the work itself was counted where it came out of `poll`.
            this.project().state.end(Outcome::Cancelled, "");
        }
    }
}

enum State<B, R> {
    Waiting(B),
    Running(R),
    Ended,
}

impl<B, R: Run> State<B, R> {
    fn end(&mut self, outcome: Outcome, error_type: &str) {
        if let Self::Running(run) = std::mem::replace(self, Self::Ended) {
            run.end(outcome, error_type);
        }
    }
}

/// Tracks `future` by the run that `begin` makes; `classify` names the type of an error.
pub(crate) fn tracked<F, B, R, C, T, E>(future: F, begin: B, classify: C) -> Tracked<F, B, R, C>
where
    F: Future<Output = Result<T, E>>,
    B: FnOnce() -> R,
    R: Run,
    C: Fn(&E) -> Cow<'static, str>,
{
    Tracked { future, state: State::Waiting(begin), classify }
}

/// Ends the run as panicked if the poll that it watches unwinds.
struct PanicWatch<'a, B, R: Run>(Option<&'a mut State<B, R>>);

impl<B, R: Run> Drop for PanicWatch<'_, B, R> {
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            state.end(Outcome::Panicked, PANIC);
        }
    }
}

impl<F, B, R, C, T, E> Future for Tracked<F, B, R, C>
where
    F: Future<Output = Result<T, E>>,
    B: FnOnce() -> R,
    R: Run,
    C: Fn(&E) -> Cow<'static, str>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let State::Waiting(_) = this.state
            && let State::Waiting(begin) = std::mem::replace(this.state, State::Ended)
        {
            *this.state = State::Running(begin());
        }
        let future = this.future;
        let mut watch = PanicWatch(Some(this.state));
        let polled = match &watch.0 {
            Some(State::Running(run)) => run.within(|| future.poll(context)),
            // What a future does that is polled after its end is the future's own affair.
            _ => future.poll(context),
        };
        let state = watch.0.take();
        if let (Some(state), Poll::Ready(result)) = (state, &polled) {
            match result {
                Ok(_) => state.end(Outcome::Success, ""),
                Err(error) => state.end(Outcome::Error, &(this.classify)(error)),
            }
        }
        polled
    }
}
