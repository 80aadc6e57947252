//! The analyst service.

mod observe;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use analyst::client::http_client;
use analyst::database::{Database, DatabaseConfig};
use analyst::http;
use analyst::load::{self, Target};
use analyst::model::Model;
use analyst::server;
use analyst::settings::Settings;
use analyst::telemetry::Telemetry;
use analyst::workflow::Analyst;
use clap::Parser;
use obskit::Obskit;
use obskit::http::ObserveLayer;
use tokio::sync::watch;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("analyst: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            // Nothing can be done about a standard error that is closed.
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<(), Box<dyn Error>> {
    // The signals are taken over first: one that comes during the start must end the service in order, too.
    let stop = server::stop_signal()?;
    let obs = observe::start().await?;
    let served = serve(settings, stop, &obs).await;
    // The flush comes last, also when the service failed: its last lines say why.
    obs.shutdown().await?;
    served
}

async fn serve(
    settings: Settings,
    signal: impl Future<Output = io::Result<&'static str>>,
    obs: &Obskit,
) -> Result<(), Box<dyn Error>> {
    let telemetry = observe::telemetry(obs);

    // The address comes first, so that a port in use is found before any work is done.
    let listener = server::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    let (path, temporary) = database_path(&settings)?;
    let database = open(&settings, path.clone(), &telemetry).await?;
    let client = http_client()?;
    let model =
        settings.model_config().map(|config| Model::new(config, client.clone(), telemetry.clone()));
    obs.health().add(observe::database_check(database.clone()))?;
    let analyst = Arc::new(Analyst::new(database, model, telemetry).await?);
    tracing::info!(%address, database = %path.display(), "the analyst serves");

    let (stopping, stop) = watch::channel(false);
    let mut until = stop.clone();
    let router = http::router(analyst.clone()).layer(ObserveLayer::new());
    let serving = tokio::spawn(server::serve(listener, router, async move {
        // An error says that the sender is gone, and that is the end, too.
        let _ = until.wait_for(|stop| *stop).await;
    }));
    obs.set_started();
    let load = settings.load_config().map(|config| {
        let airports = analyst.rules().places().codes_by_departures();
        let target = Target {
            service: address,
            admin: obs.admin_address(),
            database: path,
            airports: airports.into_iter().map(str::to_owned).collect(),
        };
        tokio::spawn(load::run(config, target, client, stop))
    });

    wait(signal, load, settings.exit, &stopping).await?;
    serving.await??;
    tracing::info!("the analyst has stopped");
    if let Some(directory) = temporary {
        std::fs::remove_dir_all(directory)?;
    }
    Ok(())
}

/// Waits until the service is to stop, and shows the load's summary when it is done.
async fn wait(
    signal: impl Future<Output = io::Result<&'static str>>,
    load: Option<tokio::task::JoinHandle<load::Summary>>,
    exit: bool,
    stopping: &watch::Sender<bool>,
) -> Result<(), Box<dyn Error>> {
    tokio::pin!(signal);
    if let Some(mut load) = load {
        let (summary, stopped) = tokio::select! {
            summary = &mut load => (summary?, false),
            name = &mut signal => {
                tracing::info!(signal = name?, "stopping in the middle of the load");
                stopping.send_replace(true);
                (load.await?, true)
            }
        };
        writeln!(io::stderr(), "{summary}")?;
        if stopped || exit {
            stopping.send_replace(true);
            return Ok(());
        }
        tracing::info!("the load is done; the service goes on until Ctrl-C");
    }
    let name = signal.await?;
    tracing::info!(signal = name, "stopping");
    stopping.send_replace(true);
    Ok(())
}

/// The database file, and the directory that is to be removed at the end.
fn database_path(settings: &Settings) -> io::Result<(PathBuf, Option<PathBuf>)> {
    if let Some(path) = &settings.database {
        return Ok((path.clone(), None));
    }
    let directory = std::env::temp_dir().join(format!("analyst-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory)?;
    Ok((directory.join("analyst.db"), Some(directory)))
}

/// Opens the database on a thread that may wait for the disk.
async fn open(
    settings: &Settings,
    path: PathBuf,
    telemetry: &Telemetry,
) -> Result<Database, Box<dyn Error>> {
    let config = DatabaseConfig {
        connections: settings.connections.into(),
        statement_timeout: settings.statement_timeout,
        ..DatabaseConfig::new(path)
    };
    let telemetry = telemetry.clone();
    Ok(tokio::task::spawn_blocking(move || Database::open(config, telemetry)).await??)
}
