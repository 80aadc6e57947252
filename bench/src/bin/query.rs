//! What queries cost, beside Prometheus and VictoriaMetrics: the same data sent to each by remote write, and the same
//! queries asked of each over HTTP, in turns, on one connection.
//!
//! Each server runs as a process of its own with nothing else to do. What is printed of a query is the median of the
//! rounds; loading is measured once.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../query/client.rs"]
mod client;
#[path = "../store/data.rs"]
#[expect(dead_code, reason = "the benchmark of the store measures its own process with the rest")]
mod data;
#[path = "../query/load.rs"]
mod load;
#[path = "../query/queries.rs"]
mod queries;
#[path = "../query/report.rs"]
mod report;
#[path = "../query/servers.rs"]
mod servers;

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::client::Client;
use crate::load::{Load, Loaded};
use crate::queries::{Query, RULES};
use crate::report::{Measured, Report};
use crate::servers::{Kind, Server};

#[derive(Parser)]
struct Arguments {
    /// How many series: 1,000, 10,000 or 50,000 show how costs grow.
    #[arg(long, default_value_t = 10_000)]
    series: usize,
    /// How many hours of them.
    #[arg(long, default_value_t = 6)]
    hours: u64,
    /// Seconds between two samples.
    #[arg(long, default_value_t = 15)]
    interval: u64,
    /// Rounds in which every server answers every query.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Which servers take part; all, if none is named.
    #[arg(long = "server", value_enum)]
    servers: Vec<Kind>,
}

/// A server that has the data.
struct Peer {
    server: Server,
    client: Client,
    loaded: Loaded,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let kinds = match arguments.servers.is_empty() {
        true => Kind::ALL.to_vec(),
        false => arguments.servers.clone(),
    };
    let load = Load::new(arguments.series, arguments.hours, arguments.interval);
    let rules = queries::rules();
    let mut peers = Vec::new();
    for kind in kinds {
        let server = Server::start(kind, &rules)?;
        let mut client = Client::connect(server.address())?;
        let loaded = load.send(&server, &mut client)?;
        println!("{} has {} samples", kind.name(), loaded.samples);
        peers.push(Peer { server, client, loaded });
    }
    let mut report = Report::new(arguments.series, &load);
    for peer in &peers {
        report.loaded(peer.server.kind(), &peer.loaded);
    }
    for query in queries::queries(&load) {
        report.query(&measure(&query, &mut peers, arguments.rounds)?);
    }
    report.query(&measure_rules(&load, &mut peers, arguments.rounds.min(3))?);
    let mut managers = Vec::new();
    for peer in &peers {
        if let Some(took) = peer.server.rule_group_time()? {
            managers.push((peer.server.kind(), took));
        }
    }
    report.query(&Measured { name: format!("{RULES} rules, own rule manager"), took: managers });
    report.write()
}

/// Makes new connections: servers close those that nobody used for a while.
fn reconnect(peers: &mut [Peer]) -> Result<(), Box<dyn Error>> {
    for peer in peers {
        peer.client = Client::connect(peer.server.address())?;
    }
    Ok(())
}

/// Asks every server in turn, and takes the median of each.
fn measure(query: &Query, peers: &mut [Peer], rounds: usize) -> Result<Measured, Box<dyn Error>> {
    reconnect(peers)?;
    let mut times = vec![Vec::new(); peers.len()];
    let mut series = Vec::new();
    for round in 0..=rounds {
        for (index, peer) in peers.iter_mut().enumerate() {
            let started = Instant::now();
            let body = peer.client.get(&query.path)?;
            let took = started.elapsed();
            // The first round fills what caches there are.
            if round > 0 {
                times[index].push(took);
            } else {
                series.push((peer.server.kind(), body.matches("\"metric\":").count()));
            }
        }
    }
    if series.windows(2).any(|pair| pair[0].1 != pair[1].1) {
        println!("{}: the servers find different numbers of series: {series:?}", query.name);
    }
    let medians = peers.iter().zip(times).map(|(peer, times)| (peer.server.kind(), median(times)));
    Ok(Measured { name: query.name.clone(), took: medians.collect() })
}

/// Asks for the expressions of many rules, one after the other.
fn measure_rules(
    load: &Load,
    peers: &mut [Peer],
    rounds: usize,
) -> Result<Measured, Box<dyn Error>> {
    let paths: Vec<String> =
        queries::rules().iter().map(|rule| queries::instant(rule, load.end())).collect();
    let mut took = Vec::new();
    for peer in peers {
        peer.client = Client::connect(peer.server.address())?;
        let mut times = Vec::new();
        for _ in 0..=rounds {
            let started = Instant::now();
            for path in &paths {
                peer.client.get(path)?;
            }
            times.push(started.elapsed());
        }
        took.push((peer.server.kind(), median(times.split_off(1))));
    }
    Ok(Measured { name: format!("{RULES} rules, one after the other"), took })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
