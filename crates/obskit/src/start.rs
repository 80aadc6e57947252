//! The wiring diagram: what is made in which order, and who is handed to whom.

use std::sync::Arc;

use obs_model::{Clock, SystemClock};

use crate::builder::Builder;
use crate::error::StartError;
use crate::running::Obskit;
use crate::wiring::{self, Tasks};

/// Starts everything that is compiled in and switched on.
pub(crate) async fn start(mut builder: Builder) -> Result<Obskit, StartError> {
    // First whatever can refuse, so that a refusal leaves the process as it was.
    let settings = builder.resolve()?;
    wiring::check_process(&settings)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let resource = wiring::resource(&settings);
    #[cfg(feature = "alerts")]
    let rules = wiring::alerts::prepare(&settings, builder.parts.rules, &builder.parts.channels)?;
    #[cfg(feature = "alerts")]
    let rule_files = wiring::rules::prepare(&settings)?;
    #[cfg(feature = "server")]
    let listener = wiring::admin::bind(&settings).await?;

    // The recorder comes before all that counts through it.
    let mut tasks = Tasks::default();
    #[cfg(feature = "metrics")]
    let recording = wiring::series::Recording {
        registry: builder.parts.registry,
        label_rules: builder.parts.label_rules,
    };
    #[cfg(feature = "metrics")]
    let series = wiring::series::start(&settings, &clock, recording, &mut tasks).await?;
    #[cfg(feature = "push")]
    let push = wiring::push::start(
        &settings,
        #[cfg(feature = "otlp")]
        &resource,
        &series,
    )?;

    // Errors come before logs, because lines at ERROR go to the tracker.
    #[cfg(feature = "errors")]
    let errors = wiring::errors::start(&settings, &resource, &clock)?;
    #[cfg(feature = "tracing")]
    let logs = wiring::logs::start(
        &settings,
        &resource,
        &clock,
        builder.parts.log_output,
        &mut tasks,
        #[cfg(feature = "errors")]
        errors.as_ref(),
        #[cfg(feature = "state")]
        series.state.as_ref(),
    )?;

    #[cfg(feature = "health")]
    let health = wiring::health::start(
        &settings,
        &clock,
        builder.parts.checks,
        &mut tasks,
        #[cfg(feature = "metrics")]
        &series.store,
    )?;
    #[cfg(feature = "profiling")]
    let profiler = settings.profiling.enabled.then(wiring::profiler);
    #[cfg(feature = "alerts")]
    let alerts =
        wiring::alerts::start(&settings, &clock, &series.store, rules, builder.parts.channels)?;
    #[cfg(all(feature = "alerts", feature = "otlp"))]
    if let (Some(alerts), Some(sampler)) = (&alerts, logs.tail_sampler()) {
        let engine = Arc::clone(&alerts.engine);
        tasks.spawn(wiring::linked::keep(engine, sampler, settings.alerts.check_interval));
    }
    #[cfg(feature = "alerts")]
    let rule_groups =
        wiring::rules::start(&settings, &clock, &series.store, rule_files, &mut tasks);

    let mut obskit = Obskit {
        settings,
        tasks,
        #[cfg(feature = "metrics")]
        series,
        #[cfg(feature = "push")]
        push,
        #[cfg(feature = "errors")]
        errors,
        #[cfg(feature = "tracing")]
        logs,
        #[cfg(feature = "health")]
        health,
        #[cfg(feature = "profiling")]
        profiler,
        #[cfg(feature = "alerts")]
        alerts,
        #[cfg(feature = "alerts")]
        rule_groups,
        #[cfg(feature = "server")]
        admin_address: None,
    };
    // The admin listener comes last, because it shows all of them.
    #[cfg(feature = "server")]
    if let Some(listener) = listener {
        obskit.admin_address = Some(listener.local_addr());
        wiring::admin::serve(listener, &mut obskit, resource, clock);
    }
    wiring::announce(&mut obskit);
    Ok(obskit)
}
