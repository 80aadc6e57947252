//! Puts the pipeline together and takes it down.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Dispatch;

use crate::Error;
use crate::config::LogConfig;
use crate::fields::FieldRules;
use crate::inflight::{InFlight, Watch};
use crate::line::LineRules;
use crate::memory::LineMemory;
use crate::pipeline::admission::Admission;
use crate::pipeline::control::LogControl;
use crate::pipeline::filter::LevelControl;
use crate::pipeline::queue::{CloseOnDrop, LineQueue, Output, QueueLimits};
use crate::pipeline::{EventLog, Pipeline, PipelineParts, next_owner};
#[cfg(feature = "otlp")]
use crate::sampling::TailSampler;
use crate::sink::LogSink;
use crate::sink::fanout::{self, Sinks};
use crate::spans::{SpanMetrics, SpanTable};
use crate::traces::{FinishedSpans, Recorder, SpanMemory};

/// How long dropping the last handle waits for the output.
const DROP_WAIT: Duration = Duration::from_millis(200);

/// The name of the sink that keeps lines in memory.
const MEMORY_SINK: &str = "memory";

const OUTPUT_THREAD: &str = "obskit-log";

const FLUSH_THREAD: &str = "obskit-log-flush";

/// Makes obskit's pipeline the global subscriber of the process.
///
/// # Errors
///
/// A setting is wrong ([`Error::is_config`], with every problem at once), or a global subscriber is
/// installed already ([`Error::is_already_installed`]).
pub fn install(config: LogConfig) -> Result<TracingHandle, Error> {
    #[cfg(feature = "log")]
    let log_crate = config.log_crate;
    let (dispatch, handle) = build(config)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| Error::already_installed())?;
    #[cfg(feature = "log")]
    if log_crate {
        handle.take_log_crate();
    }
    Ok(handle)
}

/// Builds the pipeline without touching the process: for tests, with `tracing::dispatcher::with_default`.
///
/// ```
/// use obs_model::Resource;
/// use obs_tracing::{LogConfig, LogOutput};
///
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.output = LogOutput::Writer(Box::new(std::io::sink()));
/// let (dispatch, handle) = obs_tracing::build(config)?;
/// tracing::dispatcher::with_default(&dispatch, || tracing::info!(rows = 3, "loaded"));
/// handle.set_filter("debug,hyper=warn")?;
/// assert_eq!(handle.filter(), "debug,hyper=warn");
/// # Ok::<(), obs_tracing::Error>(())
/// ```
///
/// # Errors
///
/// A setting is wrong; the error lists every problem.
pub fn build(mut config: LogConfig) -> Result<(Dispatch, TracingHandle), Error> {
    let mut problems = config.problems();
    let control = LevelControl::new(&config.filter, config.span_level)
        .map_err(|filter_problems| problems.extend(filter_problems))
        .ok();
    #[cfg(feature = "otlp")]
    let exporter = match config.otlp.take() {
        Some(otlp) => otlp.prepare().map_err(|otlp_problems| problems.extend(otlp_problems)).ok(),
        None => None,
    };
    let Some(control) = control.filter(|_| problems.is_empty()) else {
        return Err(Error::config(problems));
    };

    let rules = line_rules(&config, next_owner());
    let output = start_output(&mut config)?;
    let lines = config.line_memory.map(LineMemory::new);
    let sinks = start_sinks(&mut config, lines.clone())?;
    let spans = SpanTable::new(rules.fields.owner, config.max_open_spans);
    let watch = config
        .in_flight
        .take()
        .map(|watched| Watch::start(watched, Arc::clone(&spans), Arc::clone(&rules.fields)))
        .transpose()?;
    let memory = config.span_memory.map(|bytes| Arc::new(SpanMemory::new(bytes)));
    let finished =
        memory.clone().map(|memory| FinishedSpans::new(memory, Arc::clone(&rules.fields)));
    #[cfg(feature = "otlp")]
    let (sampling, tail, export, exported) = match exporter {
        Some(exporter) => {
            let (sampling, tail) = (exporter.sampling.clone(), exporter.tail(&config.clock));
            let (export, exported) = exporter.start(
                &config.resource,
                config.redactor,
                Arc::clone(&spans),
                tail.clone(),
            )?;
            (Some(sampling), tail, Some(export), Some(exported))
        }
        None => (None, None, None, None),
    };
    #[cfg(not(feature = "otlp"))]
    let sampling = None;

    let recorder = Recorder::new(Arc::clone(&config.clock)).with_memory(memory);
    #[cfg(feature = "otlp")]
    let recorder = recorder.with_export(exported.clone()).with_tail(tail.clone());
    let pipeline = Pipeline::new(PipelineParts {
        measured: config.span_metrics.map(|names| SpanMetrics::new(spans.owner, names)),
        recorder: recorder.if_any(),
        events: EventLog {
            rules,
            clock: config.clock,
            output: output.clone().map(CloseOnDrop),
            sinks: sinks.as_ref().map(Sinks::queue),
            admission: Admission::new(config.callsite_limit, &config.keep_one_in),
            error_sink: config.error_sink,
            sqlx_metrics: config.sqlx_metrics,
            baggage: config.baggage.into(),
        },
        control: control.clone(),
        spans,
        watch: watch.clone(),
        sampling,
        #[cfg(feature = "http")]
        propagators: config.propagators,
        #[cfg(feature = "otlp")]
        export,
    });
    let handle = TracingHandle(Arc::new(Inner {
        control: LogControl::new(control),
        output,
        sinks,
        lines,
        watch,
        finished,
        #[cfg(feature = "otlp")]
        spans: exported,
        #[cfg(feature = "otlp")]
        tail: tail.map(TailSampler::new),
    }));
    Ok((Dispatch::new(pipeline), handle))
}

/// Starts the thread that writes to the process's own output, if it has one.
fn start_output(config: &mut LogConfig) -> Result<Option<LineQueue>, Error> {
    let output = std::mem::take(&mut config.output).open();
    let start = |output| LineQueue::start(Box::new(Output(output)), limits(config), OUTPUT_THREAD);
    output.map(start).transpose()
}

/// Starts the sinks and what remembers lines, if there are any.
fn start_sinks(config: &mut LogConfig, lines: Option<LineMemory>) -> Result<Option<Sinks>, Error> {
    let mut sinks = std::mem::take(&mut config.sinks);
    sinks.extend(lines.map(|lines| LogSink::local(MEMORY_SINK, lines)));
    fanout::start(sinks, &config.resource, &config.clock, limits(config))
}

const fn limits(config: &LogConfig) -> QueueLimits {
    QueueLimits { bytes: config.queue_bytes, lines: config.queue_lines }
}

fn line_rules(config: &LogConfig, owner: u32) -> LineRules {
    let fields = FieldRules {
        owner,
        redactor: config.redactor.clone(),
        max_fields: config.max_fields,
        max_text: config.max_field_bytes.min(config.max_line_bytes / 4),
        max_bytes: config.max_line_bytes,
    };
    let service = config.resource.service_name().to_owned();
    let is_colored = config.colors.apply_to(&config.output);
    LineRules::new(Arc::new(fields), config.format, is_colored, service, config.max_line_bytes)
}

/// Steers a pipeline and takes it down; cheap to clone.
///
/// Dropping it does not stop the pipeline. The last one to go waits a fifth of a second at most for lines that
/// are not written yet.
#[derive(Clone)]
pub struct TracingHandle(Arc<Inner>);

struct Inner {
    control: LogControl,
    output: Option<LineQueue>,
    sinks: Option<Sinks>,
    lines: Option<LineMemory>,
    watch: Option<Arc<Watch>>,
    finished: Option<FinishedSpans>,
    #[cfg(feature = "otlp")]
    spans: Option<crate::otlp::SpanQueue>,
    #[cfg(feature = "otlp")]
    tail: Option<TailSampler>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // OK because nobody is left who could be told what was not written.
        let _ = self.output.as_ref().map(|queue| queue.flush(Instant::now() + DROP_WAIT));
    }
}

impl TracingHandle {
    /// What steers which lines are written, while the service runs.
    #[must_use]
    pub fn control(&self) -> LogControl {
        self.0.control.clone()
    }

    /// The newest lines, if [`LogConfig::line_memory`] asks for it.
    #[must_use]
    pub fn lines(&self) -> Option<LineMemory> {
        self.0.lines.clone()
    }

    /// The spans that are open, if they are watched ([`LogConfig::in_flight`]).
    #[must_use]
    pub fn in_flight(&self) -> Option<InFlight> {
        self.0.watch.as_ref().map(|watch| InFlight::new(Arc::clone(watch)))
    }

    /// The spans that finished last, if they are kept ([`LogConfig::span_memory`]).
    #[must_use]
    pub fn finished_spans(&self) -> Option<FinishedSpans> {
        self.0.finished.clone()
    }

    /// What keeps traces that are not sampled, if anything does (`OtlpConfig::tail`).
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn tail_sampler(&self) -> Option<TailSampler> {
        self.0.tail.clone()
    }

    /// Whether records of the `log` crate become lines: not where the service had set a logger of its own, which stays;
    /// a line at WARN says so.
    #[cfg(feature = "log")]
    #[must_use]
    pub fn takes_log_crate(&self) -> bool {
        self.0.control.follows_log_crate()
    }

    #[cfg(feature = "log")]
    fn take_log_crate(&self) {
        if crate::log_crate::install() {
            self.0.control.follow_log_crate();
        } else {
            tracing::warn!(
                "records of the `log` crate do not become lines, because it has a logger already: \
                 expected obskit to start before one is set, or `log_crate` to be off"
            );
        }
    }

    /// The filter as it was last set.
    #[must_use]
    pub fn filter(&self) -> String {
        self.0.control.filter()
    }

    /// Exchanges the filter, at once and for every thread.
    ///
    /// # Errors
    ///
    /// The text is neither a level nor a list of directives; the old filter stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), Error> {
        self.0.control.set_filter(filter)
    }

    /// Waits until everything logged and every span ended so far has been handed over.
    ///
    /// It blocks this thread and works under any executor, but a collector served by this very thread could
    /// not answer meanwhile: prefer [`TracingHandle::shutdown`] there.
    ///
    /// # Errors
    ///
    /// Something was not handed over within `deadline`, or was refused.
    pub fn flush_blocking(&self, deadline: Duration) -> Result<(), Error> {
        self.0.finish(deadline, false)
    }

    /// As [`TracingHandle::flush_blocking`], without holding up this thread.
    ///
    /// # Errors
    ///
    /// As [`TracingHandle::flush_blocking`].
    pub async fn flush(&self, deadline: Duration) -> Result<(), Error> {
        self.finish_elsewhere(deadline, false).await
    }

    /// Hands over everything and stops. Later lines and spans are dropped and counted.
    ///
    /// The waiting is done by a thread of its own, so this works on any runtime, also a single-threaded one
    /// that serves the collector itself.
    ///
    /// # Errors
    ///
    /// Something was not handed over within `deadline`, or was refused; the message says how much.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), Error> {
        self.finish_elsewhere(deadline, true).await
    }

    async fn finish_elsewhere(&self, deadline: Duration, close: bool) -> Result<(), Error> {
        let (report, outcome) = tokio::sync::oneshot::channel();
        let inner = Arc::clone(&self.0);
        std::thread::Builder::new()
            .name(FLUSH_THREAD.to_owned())
            .spawn(move || {
                // OK because a caller who stopped waiting does not want the outcome.
                let _ = report.send(inner.finish(deadline, close));
            })
            .map_err(|source| Error::thread(FLUSH_THREAD, source))?;
        let ended =
            || Error::undelivered(deadline, vec!["the thread that waits for it ended".to_owned()]);
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// As [`TracingHandle::shutdown`], for a program without a runtime: it blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`TracingHandle::shutdown`].
    pub fn shutdown_blocking(&self, deadline: Duration) -> Result<(), Error> {
        self.0.finish(deadline, true)
    }
}

impl Inner {
    fn finish(&self, deadline: Duration, close: bool) -> Result<(), Error> {
        let until = Instant::now() + deadline;
        let mut problems = Vec::new();
        if let Some(watch) = self.watch.as_ref().filter(|_| close) {
            watch.stop();
        }
        // Spans go first, because a failed export may still write a line.
        #[cfg(feature = "otlp")]
        if let Some(spans) = &self.spans
            && let Err(problem) = spans.finish(until, close)
        {
            problems.push(problem);
        }
        if let Some(queue) = &self.output {
            let lines = if close { queue.close(until) } else { queue.flush(until) };
            if let Err(lost) = lines {
                problems.push(format!("{lost} log lines were not written"));
            }
        }
        if let Some(sinks) = &self.sinks {
            problems.extend(sinks.finish(until, close));
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::undelivered(deadline, problems)) }
    }
}

impl fmt::Debug for TracingHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingHandle").field("filter", &self.filter()).finish_non_exhaustive()
    }
}
