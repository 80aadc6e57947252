//! Writes batches of lines to the file, away from the thread that sends.

use std::sync::Arc;

use bytes::Bytes;
use obs_delivery::{ItemOutcome, Message, SendError, SendFuture, Transport};
use parking_lot::Mutex as BlockingMutex;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

use super::writer::{Failed, Writer};

/// The endpoint of a file.
pub(super) struct FileTransport {
    writer: Arc<BlockingMutex<Writer>>,
    under_way: Mutex<Option<UnderWay>>,
}

/// A write that was begun. It outlasts the attempt that began it, because a thread that writes cannot be stopped.
struct UnderWay {
    body: Bytes,
    job: JoinHandle<Result<(), Failed>>,
}

impl FileTransport {
    pub(super) fn new(writer: Writer) -> Self {
        Self { writer: Arc::new(BlockingMutex::new(writer)), under_way: Mutex::new(None) }
    }

    /// Writes a body, or waits for the write of the same one that an earlier attempt did not wait for to the end: so a
    /// disk that hangs gets one write at a time, and no line twice.
    async fn write(&self, body: &Bytes) -> Result<(), SendError> {
        let mut under_way = self.under_way.lock().await;
        if let Some(earlier) = &mut *under_way {
            let outcome = (&mut earlier.job).await;
            // OK because the write keeps its body, so that no other can lie in the same place.
            let is_same =
                earlier.body.as_ptr() == body.as_ptr() && earlier.body.len() == body.len();
            *under_way = None;
            if is_same {
                return settled(outcome);
            }
        }
        let (writer, bytes) = (Arc::clone(&self.writer), body.clone());
        let job = spawn_blocking(move || writer.lock().append(&bytes));
        let begun = under_way.insert(UnderWay { body: body.clone(), job });
        let outcome = (&mut begun.job).await;
        *under_way = None;
        settled(outcome)
    }
}

impl Transport for FileTransport {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        Box::pin(self.write(message.body()))
    }
}

fn settled(outcome: Result<Result<(), Failed>, tokio::task::JoinError>) -> Result<(), SendError> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Failed { lines: 0, what, source })) => {
            Err(SendError::passing(what).with_source(source))
        }
        // What there is no outcome for is tried again.
        Ok(Err(Failed { lines, what, source })) => {
            Err(SendError::partial(what, vec![ItemOutcome::Accepted; lines]).with_source(source))
        }
        Err(ended) if ended.is_panic() => Err(SendError::permanent("writing to the file panicked")),
        Err(_) => Err(SendError::passing("the runtime is shutting down")),
    }
}
