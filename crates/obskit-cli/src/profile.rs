//! `obskit profile URL`: takes a CPU profile from a running service.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::http;

/// How much longer than the profile the answer may take: symbols are looked up at its end.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct Arguments {
    /// The service's admin listener, such as `http://127.0.0.1:9464`.
    url: String,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Where to write the profile.
    #[arg(long, short, default_value = "profile.pb.gz")]
    output: PathBuf,
    /// The admin token, if the service asks for one.
    #[arg(long, env = "OBSKIT_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Takes the profile and writes it; the error is what to print.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let bytes = runtime.block_on(fetch(arguments))?;
    std::fs::write(&arguments.output, &bytes)
        .map_err(|error| format!("{} could not be written: {error}", arguments.output.display()))?;
    println!("{} written; look at it with `go tool pprof`", arguments.output.display());
    Ok(())
}

async fn fetch(arguments: &Arguments) -> Result<Vec<u8>, String> {
    let url = format!(
        "{}/debug/pprof/profile?seconds={}",
        arguments.url.trim_end_matches('/'),
        arguments.seconds
    );
    let failed = |error| format!("no profile: {}", http::with_causes(&error));
    let mut request = http::client()?
        .get(&url)
        .timeout(Duration::from_secs(arguments.seconds).saturating_add(PATIENCE));
    if let Some(token) = &arguments.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(failed)?;
    if status.is_success() {
        Ok(bytes.to_vec())
    } else {
        Err(format!("no profile: {url} answered {status}: {}", String::from_utf8_lossy(&bytes)))
    }
}
