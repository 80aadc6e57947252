//! Where queries are evaluated: on threads of their own, so many at once, and only while somebody waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{ErrorType, Refusal};

/// Evaluates a bounded number of queries at once; further ones wait in line for as long as they may take.
pub(crate) struct Pool {
    places: Arc<Semaphore>,
}

/// Whether the answer is still wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    pub(super) fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Calls the work off when the request that waits for it is dropped: its client hung up or its time is over.
struct CancelOnDrop(Wanted);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// What the work is told when it begins.
pub(super) struct Turn {
    /// Asked from time to time by long work.
    pub(super) wanted: Wanted,
    /// How long it waited in line.
    pub(super) waited: Duration,
    /// How much of the request's time is left.
    pub(super) left: Duration,
    /// The place that it holds: the answer may keep it until it is sent.
    pub(super) place: Place,
}

/// A place among the queries that are under way.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("obskit_queries").increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("obskit_queries").decrement(1.0);
    }
}

impl Pool {
    pub(crate) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)) }
    }

    /// Does the work when it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(Turn) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let asked = Instant::now();
        let result = self.take_turn(asked, timeout, work).await;
        metrics::histogram!("obskit_query_duration_seconds").record(asked.elapsed().as_secs_f64());
        if let Err(refusal) = &result {
            let reason = refusal.kind.as_str();
            metrics::counter!("obskit_query_failures_total", "reason" => reason).increment(1);
        }
        result
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        asked: Instant,
        timeout: Duration,
        work: impl FnOnce(Turn) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let line = Arc::clone(&self.places).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(timeout, line).await else {
            return Err(Refusal::new(ErrorType::Timeout, "query timed out in query queue"));
        };
        let place = Place::new(permit);
        let waited = asked.elapsed();
        let wanted = Wanted::default();
        let _guard = CancelOnDrop(wanted.clone());
        let turn = Turn { wanted, waited, left: timeout.saturating_sub(waited), place };
        // OK because a panic has been written to the log by the panic hook, and has left nothing half-changed that
        // is looked at again: the work only reads.
        tokio::task::spawn_blocking(move || work(turn))
            .await
            .unwrap_or_else(|_| Err(Refusal::internal()))
    }

    /// How many more queries could begin at once.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.places.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn until(what: impl Fn() -> bool) {
        let started = Instant::now();
        while !what() {
            assert!(started.elapsed() < MINUTE, "it did not happen");
            tokio::task::yield_now().await;
        }
    }

    /// Work that goes on until nobody wants it.
    fn endless(turn: Turn) -> Result<(), Refusal> {
        while !turn.wanted.is_canceled() {
            std::thread::yield_now();
        }
        Err(Refusal::new(ErrorType::Canceled, "called off"))
    }

    #[tokio::test]
    async fn work_ends_and_its_place_is_free_when_nobody_waits_for_it() {
        let pool = Arc::new(Pool::new(2));
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(MINUTE, endless).await }
        });
        until(|| pool.free() == 1).await;
        running.abort();
        until(|| pool.free() == 2).await;
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_in_line_and_is_refused_in_the_end() {
        let pool = Arc::new(Pool::new(1));
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(MINUTE, endless).await }
        });
        until(|| pool.free() == 0).await;
        let refused = pool.run(Duration::from_millis(1), |_| Ok(())).await.unwrap_err();
        assert_eq!(refused.kind, ErrorType::Timeout);
        assert_eq!(refused.message, "query timed out in query queue");
        running.abort();
        let waited = pool.run(MINUTE, |turn| Ok(turn.left < MINUTE)).await.unwrap();
        assert!(waited);
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_frees_the_place() {
        let pool = Pool::new(1);
        let refused = pool.run::<()>(MINUTE, |_| panic!("as the test wants")).await.unwrap_err();
        assert_eq!(refused.kind, ErrorType::Internal);
        assert_eq!(pool.free(), 1);
    }
}
