//! The tracing subscriber.

use std::sync::Arc;

use obs_model::{Clock, Resource};
use obs_tracing::baggage::BaggageConfig;
use obs_tracing::http::Propagator;
#[cfg(unix)]
use obs_tracing::sink::Reopen;
use obs_tracing::{CallsiteLimit, Colors, LogConfig, LogFormat, LogOutput, TracingHandle};
#[cfg(feature = "otlp")]
use obs_tracing::{Sampler, Sampling};

#[cfg(feature = "otlp")]
use crate::config::OtlpTarget;
use crate::config::{self, Settings};
use crate::error::StartError;
use crate::wiring::Tasks;

/// Installs the subscriber; lines at ERROR go to the tracker too. An output that was given in code stands in for that of
/// the settings.
pub(crate) fn start(
    settings: &Settings,
    resource: &Resource,
    clock: &Arc<dyn Clock>,
    given: Option<LogOutput>,
    tasks: &mut Tasks,
    #[cfg(feature = "errors")] errors: Option<&obs_errors::ErrorTracker>,
    #[cfg(feature = "state")] state: Option<&super::state::StatePart>,
) -> Result<TracingHandle, StartError> {
    let mut log = LogConfig::new(resource.clone());
    log.filter.clone_from(&settings.log.level);
    log.format = format(settings.log.format);
    log.colors = match settings.log.colors {
        config::Colors::Auto => Colors::Auto,
        config::Colors::Always => Colors::Always,
        config::Colors::Never => Colors::Never,
    };
    #[cfg(feature = "log")]
    {
        log.log_crate = settings.log.log_crate;
    }
    log.line_memory = Some(settings.log.memory_bytes).filter(|bytes| *bytes > 0);
    log.max_line_bytes = settings.log.max_line_bytes;
    log.max_field_bytes = settings.log.max_field_bytes;
    log.max_fields = settings.log.max_fields;
    let limit = settings.log.callsite_limit;
    log.callsite_limit = limit.map(|(lines, period)| CallsiteLimit { lines, period });
    log.keep_one_in.clone_from(&settings.log.keep_one_in);
    log.redactor = settings.log.redaction.redactor();
    log.sqlx_metrics = settings.metrics.enabled && settings.metrics.sqlx;
    let traces = &settings.traces;
    log.span_memory = Some(traces.memory_bytes).filter(|bytes| *bytes > 0);
    log.span_metrics = Some(traces.span_metrics).filter(|names| *names > 0);
    log.baggage = BaggageConfig::of(&traces.baggage).on_lines(&traces.baggage_on_lines);
    log.propagators = Propagator::list(&traces.propagators).map_err(failed)?;
    let outputs = super::outputs::of(settings);
    log.output = given.unwrap_or(outputs.process);
    log.sinks = outputs.sinks;
    log.clock = Arc::clone(clock);
    log.in_flight = settings.operations.enabled.then(|| in_flight(settings));
    #[cfg(feature = "errors")]
    if let Some(tracker) = errors {
        log.error_sink = Some(Arc::new(tracker.clone()));
    }
    #[cfg(feature = "otlp")]
    {
        log.otlp = otlp(
            settings,
            #[cfg(feature = "state")]
            state,
        )?;
    }
    #[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
    {
        log.sinks.extend(super::sinks::sinks(
            settings,
            outputs.wanted,
            #[cfg(feature = "state")]
            state,
        )?);
    }
    obs_tracing::describe_metrics();
    #[cfg(unix)]
    let reopening = reopen_on_sighup(outputs.reopened)?;
    let handle = obs_tracing::install(log).map_err(failed)?;
    #[cfg(unix)]
    reopening.into_iter().for_each(|task| tasks.spawn(task));
    Ok(handle)
}

/// How a line looks.
pub(super) const fn format(format: config::LogFormat) -> LogFormat {
    match format {
        config::LogFormat::Json => LogFormat::Json,
        config::LogFormat::Logfmt => LogFormat::Logfmt,
        config::LogFormat::Text => LogFormat::Text,
    }
}

/// Has files opened anew whenever the process gets a `SIGHUP`, from when this was called.
#[cfg(unix)]
fn reopen_on_sighup(
    files: Vec<Reopen>,
) -> Result<Option<impl Future<Output = ()> + Send + 'static>, StartError> {
    use tokio::signal::unix::{SignalKind, signal};

    if files.is_empty() {
        return Ok(None);
    }
    let mut hangups = signal(SignalKind::hangup()).map_err(failed)?;
    Ok(Some(async move {
        while hangups.recv().await.is_some() {
            files.iter().for_each(Reopen::reopen);
        }
    }))
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StartError {
    StartError::part("logging", error)
}

/// How operations in flight are watched: where profiling is on, with the stacks of threads that are held up.
fn in_flight(settings: &Settings) -> obs_tracing::InFlightConfig {
    let mut config = obs_tracing::InFlightConfig::default();
    let operations = &settings.operations;
    config.stuck_after = operations.stuck_after;
    config.blocking_after = operations.blocking_after;
    config.waiting.clone_from(&operations.waiting);
    config.may_block.clone_from(&operations.may_block);
    config.longest.clone_from(&operations.longest);
    #[cfg(feature = "profiling")]
    if settings.profiling.enabled {
        // Where stacks cannot be taken, lines go without them.
        let stacks = obs_profiling::ThreadSampler::install().map(Stacks);
        config.stacks = stacks.ok().map(|stacks| Arc::new(stacks) as _);
    }
    config
}

/// Lets the log ask the profiler where a thread is in the code.
#[cfg(feature = "profiling")]
#[derive(Debug)]
struct Stacks(obs_profiling::ThreadSampler);

#[cfg(feature = "profiling")]
impl obs_tracing::ThreadStacks for Stacks {
    fn stack_of(&self, os_id: u32) -> Option<Vec<String>> {
        self.0.stack_of(os_id).ok()
    }
}

/// Where spans go, when an endpoint is set; with a spool when there is a state file.
#[cfg(feature = "otlp")]
fn otlp(
    settings: &Settings,
    #[cfg(feature = "state")] state: Option<&super::state::StatePart>,
) -> Result<Option<obs_tracing::OtlpConfig>, StartError> {
    use obs_tracing::{OtlpCompression, OtlpConfig, TailConfig};

    let otlp = &settings.otlp;
    let target = otlp.target(otlp.traces_protocol, otlp.traces_endpoint.as_ref(), "/v1/traces");
    let mut config = match target.filter(|_| otlp.traces) {
        Some(OtlpTarget::Http(url)) => OtlpConfig::traces(url),
        Some(OtlpTarget::Grpc(server)) => OtlpConfig::grpc(server),
        None => return Ok(None),
    };
    config.fallbacks.extend(otlp.traces_fallback.clone());
    config.tls = otlp.traces_tls.or(&otlp.tls).config();
    config.timeout = otlp.traces_timeout.unwrap_or(otlp.timeout);
    let batch = otlp.traces_batch;
    (config.batch_spans, config.queue_spans, config.interval) =
        (batch.items, batch.queue, batch.wait);
    config.compression = match otlp.traces_compression {
        config::Compression::Gzip => OtlpCompression::Gzip,
        config::Compression::None => OtlpCompression::None,
    };
    config.tail = settings.traces.tail.then(TailConfig::default);
    for (name, value) in otlp.traces_headers.as_ref().unwrap_or(&otlp.headers) {
        config = config.with_header(name.as_str(), value.as_str());
    }
    if let Some(key) = &otlp.api_key {
        config = config.with_header("authorization", format!("Bearer {key}"));
    }
    config.sampling = sampling(&settings.traces)?;
    obs_delivery::describe();
    #[cfg(feature = "state")]
    if let Some(state) = state {
        // A sixteenth of the disk: the samples take half, pushes a quarter, and lines an eighth.
        let share = settings.state.max_bytes / 16;
        config.spool_limits.max_bytes = share;
        config = config.with_spool(Arc::new(state.spool("otlp_traces", share)?));
    }
    Ok(Some(config))
}

#[cfg(feature = "otlp")]
fn sampling(settings: &config::TraceSettings) -> Result<Sampling, StartError> {
    let read = |name: &str| match name {
        "OTEL_TRACES_SAMPLER" => Some(settings.sampler.clone()),
        "OTEL_TRACES_SAMPLER_ARG" => Some(settings.sampler_share.to_string()),
        _ => None,
    };
    let sampling = Sampling::from_variables(read).map_err(failed)?;
    let rules = settings.rules.iter();
    Ok(rules.fold(sampling, |sampling, (pattern, share)| {
        sampling.with_rule(pattern, Sampler::Share(*share))
    }))
}
