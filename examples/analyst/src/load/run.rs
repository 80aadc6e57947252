//! Sends the load and gathers what comes back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::mix::{Arrival, Kind, arrivals};
use super::scrape::{Comparison, Counts};
use super::summary::Summary;
use super::tally::{Answer, Seen, Tally};
use super::{LoadConfig, lock};

/// How many requests may be under way at once; those that are due then are not sent.
const MAX_UNDER_WAY: usize = 1_000;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long the service may take to count a request after it was answered.
const SETTLE: Duration = Duration::from_secs(3);

const CORRELATION: &str = "x-correlation-id";

/// What to send the load to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The service.
    pub service: SocketAddr,
    /// Its admin listener, to compare counts with.
    pub admin: Option<SocketAddr>,
    /// Its database, to lock now and then.
    pub database: PathBuf,
    /// The airports to ask about, the busiest first.
    pub airports: Vec<String>,
}

/// What a request needs to be sent.
struct Sender {
    client: reqwest::Client,
    base: String,
    run: String,
    last_id: Mutex<Option<String>>,
}

/// Sends the load until it is done or `stop` turns true.
pub async fn run(
    config: LoadConfig,
    target: Target,
    client: reqwest::Client,
    mut stop: watch::Receiver<bool>,
) -> Summary {
    let before = scrape(&client, target.admin).await;
    let run = uuid::Uuid::new_v4().simple().to_string();
    let sender = Arc::new(Sender {
        client: client.clone(),
        base: format!("http://{}", target.service),
        run: run[..8].to_owned(),
        last_id: Mutex::default(),
    });
    let under_way = Arc::new(Semaphore::new(MAX_UNDER_WAY));
    let (seen, gathered) = mpsc::unbounded_channel();
    let gatherer = tokio::spawn(gather(gathered));

    let start = Instant::now();
    let locks = tokio::spawn(lock::now_and_then(target.database, start, start + config.duration));
    let (mut unsent, mut lateness) = (0, Duration::ZERO);
    for (number, arrival) in arrivals(config, target.airports).enumerate() {
        let due = start + arrival.at;
        tokio::select! {
            () = sleep_until(due) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        lateness = lateness.max(due.elapsed());
        let Ok(permit) = under_way.clone().try_acquire_owned() else {
            unsent += 1;
            continue;
        };
        let (sender, seen) = (sender.clone(), seen.clone());
        tokio::spawn(async move {
            let result = sender.send(number, arrival).await;
            // The gatherer ends only when every sender is gone.
            let _ = seen.send(result);
            drop(permit);
        });
    }
    let sending = start.elapsed();
    drop(seen);
    let mut tally = gatherer.await.unwrap_or_default();
    tally.unsent = unsent;
    let locks = if *stop.borrow() {
        locks.abort();
        0
    } else {
        locks.await.unwrap_or_default()
    };
    let comparisons = match before {
        Some(before) => compare(&client, target.admin, &tally, &before).await,
        None => None,
    };
    Summary { config, tally, sending, lateness, locks, comparisons }
}

async fn gather(mut seen: mpsc::UnboundedReceiver<Seen>) -> Tally {
    let mut tally = Tally::default();
    while let Some(seen) = seen.recv().await {
        tally.add(seen);
    }
    tally
}

impl Sender {
    async fn send(&self, number: usize, arrival: Arrival) -> Seen {
        let kind = arrival.kind;
        let earlier = self.last_id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let correlation = format!("load-{}-{number:06}", self.run);
        let (route, request) = match (kind, earlier) {
            (Kind::Recall, Some(id)) => (
                ("/api/v2/analyses/{id}", "GET"),
                self.client.get(format!("{}/api/v2/analyses/{id}", self.base)),
            ),
            // Before the first answer there is nothing to recall.
            (Kind::List | Kind::Recall, _) => (
                ("/api/v2/questions", "GET"),
                self.client.get(format!("{}/api/v2/questions", self.base)),
            ),
            _ => (
                ("/api/v2/analyses", "POST"),
                self.client
                    .post(format!("{}/api/v2/analyses", self.base))
                    .header("content-type", "application/json")
                    .body(arrival.body),
            ),
        };
        let started = Instant::now();
        let request = request.header(CORRELATION, &correlation).timeout(TIMEOUT);
        let answer = self.receive(request, &correlation).await;
        if let Err(error) = &answer {
            tracing::warn!(kind = kind.name(), %error, "the load got no answer");
        }
        let latency = started.elapsed();
        let answer = answer.ok().map(|(mut answer, body)| {
            self.read(&mut answer, &body, route.1 == "POST");
            answer
        });
        Seen { kind, route, latency, answer }
    }

    async fn receive(
        &self,
        request: reqwest::RequestBuilder,
        correlation: &str,
    ) -> Result<(Answer, axum::body::Bytes), reqwest::Error> {
        let response = request.send().await?;
        let answer = Answer {
            status: response.status().as_u16(),
            correlated: response.headers().get(CORRELATION).is_some_and(|id| id == correlation),
            error_type: None,
            chart: None,
        };
        Ok((answer, response.bytes().await?))
    }

    /// Takes out of the body what the tally needs.
    fn read(&self, answer: &mut Answer, body: &[u8], is_analysis: bool) {
        #[derive(Deserialize)]
        struct Body {
            id: Option<String>,
            chart: Option<Chart>,
            error: Option<Failure>,
        }
        #[derive(Deserialize)]
        struct Chart {
            #[serde(rename = "type")]
            kind: String,
        }
        #[derive(Deserialize)]
        struct Failure {
            #[serde(rename = "type")]
            kind: String,
        }
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            answer.error_type = Some("unreadable answer".to_owned());
            return;
        };
        answer.error_type = body.error.map(|error| error.kind);
        if is_analysis {
            answer.chart = body.chart.map(|chart| chart.kind);
            if body.id.is_some() {
                *self.last_id.lock().unwrap_or_else(PoisonError::into_inner) = body.id;
            }
        }
    }
}

/// Compares until both sides agree, but no longer than the service may take to count.
async fn compare(
    client: &reqwest::Client,
    admin: Option<SocketAddr>,
    tally: &Tally,
    before: &Counts,
) -> Option<Vec<Comparison>> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let after = scrape(client, admin).await?;
        let comparisons = tally.counts.compare(before, &after);
        if comparisons.iter().all(Comparison::is_equal) || Instant::now() >= deadline {
            return Some(comparisons);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn scrape(client: &reqwest::Client, admin: Option<SocketAddr>) -> Option<Counts> {
    let url = format!("http://{}/metrics", admin?);
    let request = client.get(&url).timeout(TIMEOUT).send();
    let text = match request.await.and_then(reqwest::Response::error_for_status) {
        Ok(response) => response.text().await,
        Err(error) => Err(error),
    };
    text.inspect_err(|error| tracing::warn!(%error, url, "the metrics could not be read"))
        .ok()
        .map(|text| Counts::of_exposition(&text))
}
