//! What the answers to remote-write requests mean.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use obs_delivery::{Answer, HttpTransport, Message, SendFuture, Transport, Verdict};

use crate::error::Error;
use crate::push::outbox::already_stored;
use crate::push::{Endpoint, endpoint_error};

/// How receivers say that they have a sample, or a later one of its series: Prometheus and Thanos, Mimir and Cortex.
const STORED: [&str; 4] =
    ["out of order sample", "out-of-order", "duplicate sample", "duplicate-timestamp"];

/// A transport to an endpoint of remote write; `destination` is the name of the delivery that will use it.
///
/// # Errors
///
/// `is_invalid_push` if the endpoint's URL or headers are not acceptable.
pub fn transport(endpoint: &Endpoint, destination: &str) -> Result<impl Transport + use<>, Error> {
    let state = Arc::new(State::default());
    let (judging, repeated) = (Arc::clone(&state), already_stored(destination));
    let config =
        endpoint.http().with_classifier(move |answer: &Answer<'_>| {
            match Verdict::of_status(answer.status) {
                Verdict::Permanent
                    if judging.is_repeat.load(Ordering::Relaxed) && says_stored(answer.body) =>
                {
                    repeated.increment(1);
                    Verdict::Delivered
                }
                verdict => verdict,
            }
        });
    let http =
        HttpTransport::new(config).map_err(|error| endpoint_error("remote write", &error))?;
    Ok(RemoteWriteTransport { http, state })
}

fn says_stored(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    STORED.iter().any(|sign| text.contains(sign))
}

/// What is known of the attempt before. A delivery makes one attempt at a time.
#[derive(Default)]
struct State {
    /// The hash of the message whose fate is not known; 0 when there is none.
    uncertain: AtomicU64,
    /// Whether the attempt under way is at a message whose fate was not known.
    is_repeat: AtomicBool,
}

struct RemoteWriteTransport {
    http: HttpTransport,
    state: Arc<State>,
}

impl Transport for RemoteWriteTransport {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        Box::pin(async move {
            let mut hasher = DefaultHasher::new();
            message.body().hash(&mut hasher);
            let hash = hasher.finish().max(1);
            // It stays so if this attempt is given up, fails, or never gets an answer.
            let before = self.state.uncertain.swap(hash, Ordering::Relaxed);
            self.state.is_repeat.store(before == hash, Ordering::Relaxed);
            let outcome = self.http.send(message).await;
            if outcome.as_ref().map_or_else(|error| error.is_permanent(), |()| true) {
                self.state.uncertain.store(0, Ordering::Relaxed);
            }
            outcome
        })
    }
}
