//! What an offer costs its caller, beside the channels that people put log lines into.
//!
//! ```text
//! cargo run --release -p obs-delivery --example offer_cost
//! ```
//!
//! Each case is timed from one, two and eight threads at once, in nanoseconds an offer: the median over runs of 250
//! offers, so that what else the machine does counts little. There is room in the queue, or it is full because
//! nothing is ever sent.

use std::io::Write;
use std::sync::{Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use obs_delivery::{
    BatchConfig, Delivery, DeliveryConfig, Framing, Message, Overflow, Priority, SendFuture,
    Transport,
};

const OFFERS: usize = 200_000;
const THREADS: [usize; 3] = [1, 2, 8];
const ROUNDS: usize = 5;
const RUN: usize = 250;
const LINE: &[u8] =
    b"{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"level\":\"INFO\",\"message\":\"a line\"}";

/// Takes everything at once, or nothing ever.
struct Server {
    is_away: bool,
}

impl Transport for Server {
    fn send<'a>(&'a self, _: &'a Message) -> SendFuture<'a> {
        Box::pin(async {
            if self.is_away {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }
}

/// The median time of one offer over all runs of all threads; every round begins with `prepare`.
fn time<S: Sync>(threads: usize, prepare: impl Fn() -> S, offer: impl Fn(&S, Bytes) + Sync) -> f64 {
    let times = Mutex::new(Vec::new());
    for _ in 0..ROUNDS {
        let state = prepare();
        let barrier = Barrier::new(threads);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    barrier.wait();
                    let mut own = Vec::with_capacity(OFFERS / threads / RUN);
                    for _ in 0..OFFERS / threads / RUN {
                        // The item is the caller's: only its hand-over is timed.
                        let items: [Bytes; RUN] = std::array::from_fn(|_| Bytes::from_static(LINE));
                        let begun = Instant::now();
                        for item in items {
                            offer(&state, item);
                        }
                        own.push(begun.elapsed().as_nanos() as f64 / RUN as f64);
                    }
                    if let Ok(mut times) = times.lock() {
                        times.extend(own);
                    }
                });
            }
        });
    }
    let mut times = times.into_inner().unwrap_or_default();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let start = |is_away: bool, capacity: usize, overflow: Overflow| {
        let config = DeliveryConfig {
            capacity,
            max_bytes: 1 << 30,
            overflow,
            timeout: Duration::from_secs(3_600),
            batch: BatchConfig { max_items: 4_096, ..BatchConfig::default() },
            ..DeliveryConfig::named("bench")
        };
        runtime.block_on(async {
            let builder = Delivery::builder(config).encoder(Framing::lines());
            builder.endpoint("only", Server { is_away }).start()
        })
    };
    let offer = |delivery: &Delivery, item: Bytes| {
        let _ = delivery.offer(Message::new(item));
    };
    let urgent = |delivery: &Delivery, item: Bytes| {
        let _ = delivery.offer(Message::new(item).with_priority(Priority::Highest));
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:44} {:>9} {:>9} {:>9}", "ns an offer; threads", 1, 2, 8)?;
    let mut row = |name: &str, run: &dyn Fn(usize) -> f64| {
        let times = THREADS.map(run);
        writeln!(out, "{name:44} {:9.0} {:9.0} {:9.0}", times[0], times[1], times[2])
    };
    let room = 2 * OFFERS;
    let started = |is_away, capacity, overflow| {
        move || start(is_away, capacity, overflow).expect("the config is valid")
    };
    row("delivery, sent at once", &|threads| {
        time(threads, started(false, room, Overflow::DropNewest), offer)
    })?;
    row("delivery, held", &|threads| {
        time(threads, started(true, room, Overflow::DropNewest), offer)
    })?;
    row("delivery, full: newest dropped", &|threads| {
        time(threads, started(true, 1_000, Overflow::DropNewest), offer)
    })?;
    row("delivery, full: oldest dropped", &|threads| {
        time(threads, started(true, 10_000, Overflow::DropOldest), offer)
    })?;
    row("delivery, full: highest over highest", &|threads| {
        time(threads, started(true, 10_000, Overflow::ByPriority), urgent)
    })?;
    row("tokio mpsc try_send, held", &|threads| {
        let prepare = || tokio::sync::mpsc::channel::<Message>(room);
        time(threads, prepare, |(sender, _), item| drop(sender.try_send(Message::new(item))))
    })?;
    row("std sync_channel try_send, held", &|threads| {
        let prepare = || {
            let (sender, receiver) = mpsc::sync_channel::<Message>(room);
            (sender, Mutex::new(receiver))
        };
        time(threads, prepare, |(sender, _), item| drop(sender.try_send(Message::new(item))))
    })?;
    Ok(())
}
