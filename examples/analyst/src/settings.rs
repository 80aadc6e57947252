//! What the command line and the environment say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::load::LoadConfig;
use crate::model::ModelConfig;

/// The most requests a second that the load client sends.
const MAX_RATE: f64 = 5_000.0;

/// Answers questions about flights, airports and wildlife strikes, with the statement, a chart and a sentence.
///
/// With --load it also sends itself requests over real HTTP, a known part of which must fail, and compares what it
/// counted with what its own metrics say. Log lines go to standard output, the summary to standard error.
#[derive(Clone, Debug, Parser)]
#[command(name = "analyst", version)]
pub struct Settings {
    /// Where to serve
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The database file, made when it does not exist; by default analyst.db in a fresh directory under the system's
    /// temporary directory, which is removed at the end
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,

    /// How long a statement may run
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub statement_timeout: Duration,

    /// How many statements may run at once
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub connections: u8,

    /// Send this many requests a second to this service, such as 200
    #[arg(long, value_name = "RATE", value_parser = rate, requires = "load_for")]
    pub load: Option<f64>,

    /// For how long to send them, such as 60s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, requires = "load")]
    pub load_for: Option<Duration>,

    /// Chooses the requests: the same seed gives the same requests
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "load")]
    pub seed: u64,

    /// Stop when the load is done. Without it the service goes on until Ctrl-C, so that alerts that the load set off can
    /// be seen to resolve
    #[arg(long, requires = "load")]
    pub exit: bool,

    /// Let the model at this address plan the statements, by the OpenAI protocol, instead of the rules
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    pub model_url: Option<String>,

    /// The key for the model's server
    #[arg(long, env = "OPENAI_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub model_key: Option<String>,

    /// The model's name
    #[arg(long, env = "OPENAI_MODEL", value_name = "NAME", default_value = "gpt-4o-mini")]
    pub model: String,
}

impl Settings {
    /// The load that is wanted, if any.
    #[must_use]
    pub fn load_config(&self) -> Option<LoadConfig> {
        let (rate, duration) = (self.load?, self.load_for?);
        Some(LoadConfig { rate, duration, seed: self.seed })
    }

    /// The model that is to plan statements, if any.
    #[must_use]
    pub fn model_config(&self) -> Option<ModelConfig> {
        let base_url = self.model_url.clone().filter(|url| !url.is_empty())?;
        let api_key = self.model_key.clone().filter(|key| !key.is_empty());
        Some(ModelConfig { base_url, api_key, model: self.model.clone() })
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= MAX_RATE => Ok(rate),
        _ => Err(format!("give requests a second, above 0 and up to {MAX_RATE}, such as 200")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    units
        .into_iter()
        .find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
            Duration::try_from_secs_f64(number * seconds).ok()
        })
        .filter(|duration| !duration.is_zero() && *duration <= Duration::from_secs(7 * 86_400))
        .ok_or_else(|| {
            "give a number and a unit, above 0 and up to a week, such as 500ms, 60s, 5m or 1h"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Settings, String> {
        let arguments = std::iter::once("analyst").chain(arguments.iter().copied());
        Settings::try_parse_from(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn rates_and_durations_are_read_with_their_units() {
        let settings = parse(&["--load", "200/s", "--for", "1.5m", "--seed", "7"]).expect("valid");
        let load = settings.load_config().expect("a load is wanted");
        assert_eq!((load.rate, load.duration, load.seed), (200.0, Duration::from_secs(90), 7));
        for (text, milliseconds) in
            [("500ms", 500), ("60s", 60_000), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        assert!(parse(&[]).expect("valid").load_config().is_none());
    }

    #[test]
    fn a_wrong_rate_or_duration_is_refused_with_what_would_be_accepted() {
        let cases: [(&[&str], &str); 9] = [
            (&["--load"], "--load <RATE>"),
            (&["--load", "200"], "--for <DURATION>"),
            (&["--for", "60s"], "--load <RATE>"),
            (&["--load", "0", "--for", "60s"], "requests a second"),
            (&["--load", "many", "--for", "60s"], "requests a second"),
            (&["--load", "NaN", "--for", "60s"], "requests a second"),
            (&["--load", "9", "--for", "60"], "a number and a unit"),
            (&["--load", "9", "--for", "0s"], "a number and a unit"),
            (&["--load", "9", "--for=-5m"], "a number and a unit"),
        ];
        for (arguments, says) in cases {
            let error = parse(arguments).expect_err("the arguments are wrong");
            assert!(error.contains(says), "{arguments:?}: {error}");
        }
    }
}
