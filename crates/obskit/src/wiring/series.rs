//! The recorder, the collectors and the series store.

use std::sync::Arc;

use obs_metrics::business::{BusinessConfig, BusinessRecorder};
use obs_metrics::collect::{Collecting, Collectors};
use obs_metrics::{Exemplars, LabelRules, Registry, RegistryConfig, catalog};
use obs_model::{Clock, Gather};
use obs_query::{SeriesStore, StoreConfig};

use super::Tasks;
use crate::config::Settings;
use crate::error::StartError;

/// What is recorded, and its recent past.
#[derive(Debug)]
pub(crate) struct SeriesPart {
    pub(crate) registry: Registry,
    pub(crate) store: Arc<SeriesStore>,
    pub(crate) business: BusinessRecorder,
    /// The file that keeps the store over a restart, if there is a folder for it.
    #[cfg(feature = "state")]
    pub(crate) state: Option<super::state::StatePart>,
    /// The collectors, which run for as long as this is kept.
    _collecting: Option<Collecting>,
}

/// What the service's code says about how metrics are recorded.
pub(crate) struct Recording {
    /// A registry of the service's own, which has its own label rules.
    pub(crate) registry: Option<Registry>,
    pub(crate) label_rules: LabelRules,
}

/// Installs the recorder and fills the store from it. When metrics are off, both exist and stay empty.
pub(crate) async fn start(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    recording: Recording,
    tasks: &mut Tasks,
) -> Result<SeriesPart, StartError> {
    let config = RegistryConfig {
        max_series: settings.metrics.max_series,
        idle_timeout: settings.metrics.idle_timeout,
        exemplars: match settings.metrics.exemplars {
            true => Exemplars::PerBucket,
            false => Exemplars::None,
        },
        label_rules: recording.label_rules,
        ..RegistryConfig::default()
    };
    // With business metrics off they go into a registry that nobody sees.
    let shown = settings.metrics.enabled && settings.metrics.business;
    let hidden = (!shown).then(|| Registry::with_clock(config.clone(), Arc::clone(clock)));
    let registry =
        recording.registry.unwrap_or_else(|| Registry::with_clock(config, Arc::clone(clock)));
    let business = BusinessRecorder::new(
        hidden.as_ref().unwrap_or(&registry),
        BusinessConfig::default(),
        Arc::clone(clock),
    );
    let store_config = StoreConfig {
        sample_interval: settings.metrics.sample_interval,
        retention: settings.metrics.retention,
        max_series: settings.metrics.max_series,
        max_bytes: settings.metrics.max_store_bytes,
        ..StoreConfig::default()
    };
    if !settings.metrics.enabled {
        let store = Arc::new(SeriesStore::new(store_config));
        return Ok(SeriesPart {
            registry,
            store,
            business,
            #[cfg(feature = "state")]
            state: None,
            _collecting: None,
        });
    }
    registry.install().map_err(|_| {
        StartError::already_set("a metrics recorder is installed in this process already")
    })?;
    catalog::describe_api(&registry);
    catalog::describe_logs(&registry);
    describe_wrappers(&registry, &settings.metrics.namespace);
    obs_query::describe_metrics();
    // OK after the installation only: the store binds its own counters to the recorder that it finds.
    let store = Arc::new(SeriesStore::new(store_config));
    // What was kept comes before what is new, because samples of a series are in the order of their times.
    #[cfg(feature = "state")]
    let state = super::state::open(&settings.state, &store, tasks).await?;
    let collecting = Collectors::standard(&registry)
        .start()
        .map_err(|error| StartError::part("the metrics collectors", error))?;
    let expiring = registry.clone();
    tasks.spawn(async move { expiring.run_expiry().await });
    let source: Arc<dyn Gather> = Arc::new(registry.clone());
    tasks.spawn(obs_query::sample_on_grid(Arc::clone(&store), source, Arc::clone(clock)));
    Ok(SeriesPart {
        registry,
        store,
        business,
        #[cfg(feature = "state")]
        state,
        _collecting: Some(collecting),
    })
}

/// Gives what the wrappers and layers of logs and traces record the help and the buckets that the catalogs have for it.
fn describe_wrappers(registry: &Registry, namespace: &str) {
    // OK because a catalog shows nothing before its first use: making it declares its families.
    let _ = (catalog::DatabaseMetrics::new(registry), catalog::HttpMetrics::new(registry));
    for namespace in ["", namespace] {
        let _ = catalog::ToolMetrics::new(registry, namespace);
    }
}
