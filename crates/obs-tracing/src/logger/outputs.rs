//! Outputs that an aggregator has for itself, by the names that settings have for them.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{Clock, Level, Resource, SystemClock};

use crate::Error;
use crate::pipeline::SinkQueue;
use crate::pipeline::queue::{NewLine, QueueLimits};
#[cfg(feature = "elasticsearch")]
use crate::sink::ElasticsearchConfig;
#[cfg(feature = "syslog")]
use crate::sink::SyslogConfig;
use crate::sink::fanout::{self, Sinks};
use crate::sink::{FileConfig, Line, LineHead, LineSink, LogSink};

/// What waits for the outputs of one aggregator at most, as it is for a pipeline.
const LIMITS: QueueLimits = QueueLimits { bytes: 8 * 1024 * 1024, lines: 65_536 };

/// The outputs of one aggregator, which end with it.
pub(super) struct Outputs {
    sinks: Sinks,
    queue: SinkQueue,
}

impl Outputs {
    pub(super) fn start(sinks: Vec<LogSink>, service: &str) -> Result<Self, Error> {
        let problems = match sinks.is_empty() {
            true => vec!["there is no output: expected one or more".to_owned()],
            false => fanout::problems(&sinks),
        };
        if !problems.is_empty() {
            return Err(Error::config(problems));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let started = fanout::start(sinks, &Resource::new(service), &clock, LIMITS)?;
        // OK because nothing is started of no sinks only.
        let none = || Error::config(vec!["there is no output".to_owned()]);
        let sinks = started.ok_or_else(none)?;
        Ok(Self { queue: sinks.queue(), sinks })
    }

    /// Whether any of them wants lines of this level.
    pub(super) fn want(&self, level: Level) -> bool {
        level >= self.queue.level
    }

    /// Takes a line with its end; what there is no room for is counted.
    pub(super) fn push(&self, line: &[u8], head: LineHead) {
        self.queue.queue.0.push(NewLine::Whole(line), head.at, head.level, Some(head));
    }

    pub(super) fn flush(&self, deadline: Duration) -> Result<(), Error> {
        let problems = self.sinks.finish(Instant::now() + deadline, false);
        if problems.is_empty() { Ok(()) } else { Err(Error::undelivered(deadline, problems)) }
    }
}

/// The sinks of these outputs, each named after its kind.
pub(super) fn sinks(outputs: &[&str]) -> Result<Vec<LogSink>, Error> {
    let (mut sinks, mut problems) = (Vec::new(), Vec::new());
    for (number, output) in outputs.iter().enumerate() {
        let before = outputs[..number].iter().filter(|other| scheme(other) == scheme(output));
        let name = match before.count() {
            0 => scheme(output).to_owned(),
            others => format!("{}-{}", scheme(output), others + 1),
        };
        match sink(&name, output) {
            Ok(sink) => sinks.push(sink),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(sinks) } else { Err(Error::config(problems)) }
}

/// What stands before the first colon, which holds no password.
fn scheme(output: &str) -> &str {
    output.split(':').next().unwrap_or(output)
}

fn sink(name: &str, output: &str) -> Result<LogSink, String> {
    match (scheme(output), output.split_once(':')) {
        ("stdout", None) => Ok(LogSink::local(name, Standard(std::io::stdout()))),
        ("stderr", None) => Ok(LogSink::local(name, Standard(std::io::stderr()))),
        ("file", Some((_, path))) if !path.is_empty() => {
            Ok(LogSink::new(name, FileConfig::new(path.strip_prefix("//").unwrap_or(path))))
        }
        #[cfg(feature = "syslog")]
        (kind, Some(_)) if kind == "syslog" || kind.starts_with("syslog+") => {
            Ok(LogSink::new(name, SyslogConfig::new(output)))
        }
        #[cfg(feature = "elasticsearch")]
        (kind, Some(_)) if kind.starts_with("elasticsearch") || kind.starts_with("opensearch") => {
            let config =
                ElasticsearchConfig::from_url(output).map_err(|error| error.to_string())?;
            Ok(LogSink::new(name, config))
        }
        (kind, _) => Err(format!(
            "{kind:?} is no output: expected stdout, stderr, file:PATH, syslog://host:514 or \
             elasticsearch://host:9200/index"
        )),
    }
}

/// An output of the process. A line that cannot be written is lost, as nobody is left who could be told.
struct Standard<W>(W);

impl<W: Write + Send> LineSink for Standard<W> {
    fn write(&mut self, line: &Line<'_>) {
        let _ = self.0.write_all(line.json()).and_then(|()| self.0.write_all(b"\n"));
    }

    fn flush(&mut self) {
        let _ = self.0.flush();
    }
}
