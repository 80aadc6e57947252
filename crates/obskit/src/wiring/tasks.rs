//! The tasks that run in the background, which end with their owner.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Background tasks; dropping them ends them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// Loops that may be cut at any time.
    loops: Vec<JoinHandle<()>>,
    /// Tasks that are asked to end and given time for it.
    graceful: Vec<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Tasks {
    /// Spawns a loop that may be cut at any time.
    #[cfg(any(feature = "metrics", feature = "health", feature = "tracing"))]
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.loops.push(tokio::spawn(task));
    }

    /// Spawns a task that ends when the future that it is given completes.
    #[cfg(feature = "server")]
    pub(crate) fn spawn_graceful<F>(
        &mut self,
        task: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, mut stopped) = watch::channel(false);
        let until = Box::pin(async move {
            // OK because a sender that is gone asks to stop too.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        self.graceful.push((stop, tokio::spawn(task(until))));
    }

    /// Ends all, and waits for the graceful ones as long as `deadline` allows; says whether they ended in time.
    pub(crate) async fn stop(&mut self, deadline: Duration) -> bool {
        for task in self.loops.drain(..) {
            task.abort();
        }
        for (stop, _) in &self.graceful {
            let _ = stop.send(true);
        }
        let ended = async {
            for (_, task) in &mut self.graceful {
                let _ = task.await;
            }
        };
        tokio::time::timeout(deadline, ended).await.is_ok()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.loops {
            task.abort();
        }
        for (_, task) in &self.graceful {
            task.abort();
        }
    }
}
