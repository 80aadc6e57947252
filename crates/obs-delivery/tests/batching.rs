//! What is sent together, when, and what becomes of the parts.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use obs_delivery::{
    BatchConfig, Compression, Delivery, DeliveryConfig, EncodeError, Encoder, Framing, ItemOutcome,
    Message, SendError, SendFuture, Transport,
};
use support::{Scripted, Step, config, settle};

const SECOND: Duration = Duration::from_secs(1);

fn batching(max_items: usize, max_bytes: usize) -> DeliveryConfig {
    DeliveryConfig { batch: BatchConfig { max_items, max_bytes, max_age: 2 * SECOND }, ..config() }
}

fn start(config: DeliveryConfig, transport: impl Transport) -> Delivery {
    let builder = Delivery::builder(config).encoder(Framing::json_array());
    builder.endpoint("only", transport).start().unwrap()
}

fn offer(delivery: &Delivery, bodies: &[&'static str]) {
    for body in bodies {
        let _ = delivery.offer(Message::new(*body));
    }
}

/// Answers each request from a list of functions of its body; takes everything after that.
#[derive(Clone, Default)]
struct Answering {
    answers: Arc<Mutex<Vec<Answer>>>,
    bodies: Arc<Mutex<Vec<String>>>,
}

type Answer = Box<dyn FnOnce() -> Result<(), SendError> + Send>;

impl Answering {
    fn new(answers: Vec<Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers)), bodies: Arc::default() }
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }
}

impl Transport for Answering {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        let body = String::from_utf8_lossy(message.body()).into_owned();
        self.bodies.lock().unwrap().push(body);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() { None } else { Some(answers.remove(0)) };
        Box::pin(async move { answer.map_or(Ok(()), |answer| answer()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_when_it_has_so_many_messages() {
    let transport = Scripted::default();
    let delivery = start(batching(3, 1_000), transport.clone());
    offer(&delivery, &["1", "2", "3", "4"]);
    settle().await;
    assert_eq!(transport.delivered(), ["[1,2,3]"]);
    offer(&delivery, &["5"]);
    settle().await;
    assert_eq!(transport.delivered().len(), 1);
    offer(&delivery, &["6"]);
    settle().await;
    assert_eq!(transport.delivered(), ["[1,2,3]", "[4,5,6]"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_when_it_has_so_many_bytes_and_a_large_message_goes_alone() {
    let transport = Scripted::default();
    let delivery = start(batching(100, 6), transport.clone());
    offer(&delivery, &["123", "456", "7", "12345678", "9"]);
    settle().await;
    assert_eq!(transport.delivered(), ["[123,456]", "[7]", "[12345678]"]);
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(transport.delivered()[3..], ["[9]"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_when_its_oldest_message_has_waited_long_enough() {
    let transport = Scripted::default();
    let delivery = start(batching(100, 1_000), transport.clone());
    offer(&delivery, &["1"]);
    tokio::time::sleep(SECOND).await;
    offer(&delivery, &["2"]);
    tokio::time::sleep(SECOND - Duration::from_millis(10)).await;
    assert!(transport.delivered().is_empty());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(transport.delivered(), ["[1,2]"]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_was_offered_before_and_for_no_company() {
    let transport = Scripted::new([Step::DeliverAfter(SECOND), Step::Fail]);
    let delivery = start(batching(2, 1_000), transport.clone());
    offer(&delivery, &["1", "2", "3"]);
    let report = delivery.flush(60 * SECOND).await;
    assert!(report.is_complete && report.queued == 0, "{report:?}");
    assert_eq!(transport.delivered(), ["[1,2]", "[3]"]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_reports_at_its_deadline_what_is_left() {
    let delivery = start(batching(2, 1_000), Scripted::new([Step::Hang]));
    offer(&delivery, &["1", "2", "3"]);
    let report = delivery.flush(5 * SECOND).await;
    assert!(!report.is_complete && report.queued == 3, "{report:?}");
    assert!(delivery.flush(60 * SECOND).await.is_complete);
    let _ = delivery.shutdown(SECOND).await;
    assert!(delivery.flush(SECOND).await.is_complete, "nothing was left");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_tried_again_is_the_same_batch() {
    let transport = Scripted::new([Step::Fail, Step::Fail]);
    let delivery = start(batching(2, 1_000), transport.clone());
    offer(&delivery, &["1", "2", "3"]);
    settle().await;
    offer(&delivery, &["4"]);
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!(transport.tried(), ["[1,2]", "[1,2]", "[1,2]", "[3,4]"]);
    assert_eq!(report.delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_accepted_in_part_only_the_rest_is_tried_again() {
    use ItemOutcome::{Accepted, Refused, Retry};
    let transport = Answering::new(vec![
        Box::new(|| Err(SendError::partial("some", vec![Accepted, Retry, Refused, Retry]))),
        Box::new(|| Err(SendError::partial("fewer outcomes than messages", vec![Accepted]))),
    ]);
    let delivery = start(batching(4, 1_000), transport.clone());
    offer(&delivery, &["1", "2", "3", "4", "5"]);
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!(transport.bodies(), ["[1,2,3,4]", "[2,4]", "[4]", "[5]"]);
    assert_eq!((report.delivered, report.dropped.permanent, report.undelivered), (4, 1, 0));
    assert_eq!(delivery.status().endpoints[0].failures_in_a_row, 0, "the endpoint is well");
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_accept_everything_are_no_failure() {
    let transport = Answering::new(vec![Box::new(|| {
        Err(SendError::partial("all of it", vec![ItemOutcome::Accepted; 3]))
    })]);
    let delivery = start(batching(3, 1_000), transport.clone());
    offer(&delivery, &["1", "2", "3"]);
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!((report.delivered, delivery.last_error()), (3, None));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_gives_no_outcomes_is_not_asked_again_at_once() {
    let none: fn() -> Answer = || Box::new(|| Err(SendError::partial("none", Vec::new())));
    let transport = Answering::new((0..1_000).map(|_| none()).collect());
    let mut config = batching(3, 1_000);
    config.retry = obs_delivery::RetryPolicy::patient(3_600 * SECOND);
    let delivery = start(config, transport.clone());
    offer(&delivery, &["1", "2", "3"]);
    tokio::time::sleep(60 * SECOND).await;
    let tries = transport.bodies().len();
    assert!((3..100).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let too_large: fn() -> Answer = || Box::new(|| Err(SendError::too_large("too much")));
    let transport = Answering::new(vec![
        too_large(),
        too_large(),
        Box::new(|| Ok(())),
        too_large(),
        too_large(),
    ]);
    let delivery = start(batching(4, 1_000), transport.clone());
    offer(&delivery, &["1", "2", "3", "4"]);
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!(transport.bodies(), ["[1,2,3,4]", "[1,2]", "[1]", "[2]", "[3,4]", "[3]", "[4]"]);
    assert_eq!((report.delivered, report.dropped.permanent), (3, 1));
}

/// Joins only equal first letters, cannot encode an `!`, and panics over a `?`.
struct Picky;

impl Encoder for Picky {
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError> {
        let bodies: Vec<&[u8]> = messages.iter().map(|message| &message.body()[..]).collect();
        let whole = bodies.concat();
        assert!(!whole.contains(&b'?'), "scripted panic");
        if whole.contains(&b'!') {
            return Err(EncodeError::new("an exclamation mark"));
        }
        Ok(Message::new(whole))
    }

    fn may_join(&self, first: &Message, next: &Message) -> bool {
        assert!(next.body() != "panic", "scripted panic");
        first.body().first() == next.body().first()
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_encoded_costs_no_other_message() {
    let transport = Scripted::default();
    let delivery = Delivery::builder(batching(4, 1_000))
        .encoder(Picky)
        .endpoint("only", transport.clone())
        .start()
        .unwrap();
    offer(&delivery, &["a1", "a!", "a3", "a?", "b", "c", "panic", "p"]);
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!(transport.delivered(), ["a1", "a3", "b", "c", "panicp"]);
    assert_eq!((report.delivered, report.dropped.permanent), (6, 2));
    assert!(delivery.status().panics > 0);
}

#[tokio::test(start_paused = true)]
async fn messages_that_grew_too_old_leave_their_batch() {
    let transport = Scripted::new([Step::FailAsking(9 * SECOND)]);
    let mut config = batching(100, 1_000);
    config.retry.max_age = 10 * SECOND;
    let delivery = start(config, transport.clone());
    offer(&delivery, &["1"]);
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    offer(&delivery, &["2"]);
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(transport.tried(), ["[1,2]", "[2]"]);
    assert_eq!(delivery.status().dropped.expired, 1);
}

#[tokio::test(start_paused = true)]
async fn batches_are_in_flight_side_by_side_if_that_is_allowed() {
    let transport = Scripted::new([Step::DeliverAfter(SECOND); 4]);
    let config = DeliveryConfig { concurrency: 3, ..batching(2, 1_000) };
    let delivery = start(config, transport.clone());
    offer(&delivery, &["1", "2", "3", "4", "5", "6", "7", "8"]);
    settle().await;
    assert_eq!(transport.tried(), ["[1,2]", "[3,4]", "[5,6]"]);
    assert_eq!((delivery.status().in_flight, delivery.status().queued), (6, 8));
    let begun = tokio::time::Instant::now();
    let report = delivery.shutdown(60 * SECOND).await;
    assert_eq!(report.delivered, 8);
    assert!(begun.elapsed() < 3 * SECOND);
}

#[cfg(feature = "gzip")]
#[tokio::test(start_paused = true)]
async fn a_request_is_compressed_as_a_whole_and_says_so() {
    use std::io::Read;
    struct Decompressing(Arc<Mutex<String>>);
    impl Transport for Decompressing {
        fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
            let headers: Vec<_> = message.headers().collect();
            assert_eq!(headers, [("content-encoding", "gzip")]);
            let mut decoder = flate2::read::GzDecoder::new(&message.body()[..]);
            decoder.read_to_string(&mut self.0.lock().unwrap()).unwrap();
            Box::pin(async { Ok(()) })
        }
    }
    let body = Arc::new(Mutex::new(String::new()));
    let config = DeliveryConfig { compression: Compression::Gzip(6), ..batching(2, 1_000) };
    let delivery = start(config, Decompressing(Arc::clone(&body)));
    offer(&delivery, &["1", "2"]);
    assert_eq!(delivery.shutdown(SECOND).await.delivered, 2);
    assert_eq!(*body.lock().unwrap(), "[1,2]");
}
