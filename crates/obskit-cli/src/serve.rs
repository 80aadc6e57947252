//! `obskit serve`: the series store and its query API as a process of its own.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod arenas;
mod kept;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use obs_alerts::{RuleGroups, RuleGroupsConfig};
use obs_metrics::Registry;
use obs_model::{Clock, Resource, SystemClock};
use obs_query::promql::{EngineOptions, ParseOptions};
use obs_query::rules::RuleFile;
use obs_query::{SeriesStore, StoreConfig};
use obs_server::{AdminState, Bound, PrometheusConfig, RemoteWriteConfig, Secret, ServerConfig};

use self::kept::Kept;
use crate::Failure;
use crate::query::duration;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    /// Take samples in by remote write, at /api/v1/write.
    #[arg(long)]
    enable_remote_write: bool,
    /// How long samples are kept, counted from the newest, such as 6h or 30d.
    #[arg(long, default_value = "24h", value_parser = duration)]
    retention: Duration,
    /// The interval at which samples are expected.
    #[arg(long, default_value = "15s", value_parser = duration)]
    sample_interval: Duration,
    /// How many series there may be.
    #[arg(long, default_value_t = 1_000_000)]
    max_series: usize,
    /// How much memory the samples, their labels and the index may take, in MiB; above it the oldest samples go first.
    #[arg(long, default_value_t = 1_024)]
    max_memory: usize,
    /// Rule files to evaluate: recording rules write series, alerting rules have alerts.
    #[arg(long, num_args = 1..)]
    rules: Vec<PathBuf>,
    /// A folder to keep samples in over a restart; remote writes are acknowledged once they are on the disk.
    #[arg(long)]
    state: Option<PathBuf>,
    /// How much of the disk the samples may take, in MiB; above it the oldest go first.
    #[arg(long, default_value_t = 4_096)]
    max_disk: u64,
    /// How long a query may take.
    #[arg(long, default_value = "2m", value_parser = duration)]
    query_timeout: Duration,
    /// How many queries are evaluated at once.
    #[arg(long, default_value_t = 20)]
    query_concurrency: usize,
    /// What a caller must present. Needed where the address can be reached from other machines.
    #[arg(long, env = "OBSKIT_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Serves until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    arenas::bound();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unable(format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(serve(arguments));
    // What is still evaluated has been called off; it need not be waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let files = rule_files(arguments)?;
    // The signals are taken over first: one that comes during the start must not be lost.
    let stop = stop_signal().map_err(|error| Failure::unable(format!("no signals: {error}")))?;
    let registry = Registry::default();
    // OK because this process installs no other recorder.
    registry.install().map_err(|error| Failure::unable(error.to_string()))?;
    obs_query::describe_metrics();
    obs_server::describe();
    obs_alerts::describe();

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Arc::new(SeriesStore::new(store_config(arguments)));
    // The address comes first, so that a port in use is found before the state is read.
    let bound = obs_server::bind(server_config(arguments))
        .await
        .map_err(|error| Failure::unable(error.to_string()))?;
    let kept = match &arguments.state {
        Some(folder) => Some(Kept::open(folder, arguments.max_disk, &store)?),
        None => None,
    };
    let resource = Resource::new("obskit").with_version(env!("CARGO_PKG_VERSION"));
    let groups =
        RuleGroupsConfig { engine: engine_options(arguments), ..RuleGroupsConfig::default() };
    let groups = RuleGroups::new(groups, files, Arc::clone(&store), Arc::clone(&clock));
    let groups = Arc::new(groups);
    let evaluating = tokio::spawn(Arc::clone(&groups).run());
    let mut state = AdminState::new(resource, clock)
        .with_registry(registry)
        .with_store(store)
        .with_rule_groups(groups);
    if let Some(kept) = &kept {
        state = state.with_persistence(Arc::clone(kept.persistence()));
    }
    announce(&bound);
    let report = bound.serve(state, stop).await;
    evaluating.abort();
    if let Some(kept) = kept {
        kept.close()?;
    }
    if report.connections_cut > 0 {
        eprintln!("{} requests were cut", report.connections_cut);
    }
    Ok(())
}

fn store_config(arguments: &Arguments) -> StoreConfig {
    StoreConfig {
        sample_interval: arguments.sample_interval,
        retention: arguments.retention,
        max_series: arguments.max_series,
        // Memory is what bounds them.
        max_samples: usize::MAX,
        max_exemplars: 100_000,
        max_bytes: arguments.max_memory.saturating_mul(1 << 20),
    }
}

fn engine_options(arguments: &Arguments) -> EngineOptions {
    EngineOptions { timeout: arguments.query_timeout, ..EngineOptions::default() }
}

/// Every rule file, or everything that is wrong with any of them.
fn rule_files(arguments: &Arguments) -> Result<Vec<(String, RuleFile)>, Failure> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in &arguments.rules {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::unable(format!("{name} cannot be read: {error}")))?;
        match RuleFile::parse(&text, ParseOptions::default()) {
            Ok(file) => files.push((name, file)),
            Err(error) => problems
                .extend(error.rule_problems().iter().map(|problem| format!("{name}:{problem}"))),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(Failure::unable(problems.join("\n"))) }
}

fn server_config(arguments: &Arguments) -> ServerConfig {
    let prometheus = PrometheusConfig {
        engine: engine_options(arguments),
        max_concurrent_queries: arguments.query_concurrency,
        remote_write: arguments.enable_remote_write.then(RemoteWriteConfig::default),
    };
    ServerConfig {
        listen: arguments.listen,
        token: arguments.token.clone().map(Secret::from),
        prometheus,
        ..ServerConfig::default()
    }
}

/// Says where it listens; a program that started this reads the address from the first line.
fn announce(bound: &Bound) {
    println!("listening on http://{}", bound.local_addr());
    if std::io::stdout().is_terminal() {
        println!("stop with Ctrl-C");
    }
}

/// Completes at SIGTERM or Ctrl-C.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Completes at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        // Without the signal the process can only be killed, which needs nothing from it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
