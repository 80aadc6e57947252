//! What a service says before the start.

use std::path::Path;

use crate::config::{ConfigError, Settings};
use crate::error::StartError;
use crate::running::Obskit;
use crate::start;

/// Begins to set obskit up for the service of this name (`service.name`).
///
/// Nothing happens before [`Builder::start`].
pub fn init(service_name: impl Into<String>) -> Builder {
    let mut settings = Settings::default();
    settings.service.name = service_name.into();
    Builder { settings, overrides: Vec::new(), environment: true, parts: Parts::default() }
}

/// A change of the settings that code asks for.
type Override = Box<dyn FnOnce(&mut Settings) + Send>;

/// What a service says before the start; made by [`init`].
#[must_use = "nothing is observed before start()"]
pub struct Builder {
    pub(crate) settings: Settings,
    pub(crate) overrides: Vec<Override>,
    pub(crate) environment: bool,
    pub(crate) parts: Parts,
}

/// What a service brings along that no file can say.
#[derive(Default)]
pub(crate) struct Parts {
    #[cfg(feature = "metrics")]
    pub(crate) label_rules: obs_metrics::LabelRules,
    #[cfg(feature = "metrics")]
    pub(crate) registry: Option<obs_metrics::Registry>,
    #[cfg(feature = "alerts")]
    pub(crate) rules: Vec<obs_alerts::Rule>,
    #[cfg(feature = "alerts")]
    pub(crate) channels: Vec<(String, std::sync::Arc<dyn obs_model::Sink<obs_model::AlertEvent>>)>,
    #[cfg(feature = "health")]
    pub(crate) checks: Vec<obs_health::Check>,
    #[cfg(feature = "tracing")]
    pub(crate) log_output: Option<obs_tracing::LogOutput>,
}

impl Builder {
    /// Reads a configuration file. The environment overrides it, and [`Builder::settings`] overrides both.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has problems; all of them are reported, each with its line and column.
    pub fn config_file(mut self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        self.settings.read_file(path.as_ref())?;
        Ok(self)
    }

    /// Changes defaults in code: the file and the environment still override them.
    ///
    /// Call it before [`Builder::config_file`].
    pub fn defaults(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Sets anything in code, over the file and the environment.
    ///
    /// ```
    /// # async fn example() -> Result<(), obskit::StartError> {
    /// let obs = obskit::init("checkout").settings(|settings| settings.admin.port = 0).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn settings(mut self, change: impl FnOnce(&mut Settings) + Send + 'static) -> Self {
        self.overrides.push(Box::new(change));
        self
    }

    /// Sets `service.version`.
    pub fn version(self, version: impl Into<String>) -> Self {
        let version = version.into();
        self.settings(move |settings| settings.service.version = Some(version))
    }

    /// Leaves the environment alone: neither `OBSKIT_CONFIG` nor any other variable is read.
    pub fn without_environment(mut self) -> Self {
        self.environment = false;
        self
    }

    /// Says which labels of metrics are taken, and which are shown as pseudonyms or redacted. In code, because a
    /// key for pseudonyms is a secret.
    ///
    /// ```
    /// use obskit::metrics::LabelRules;
    ///
    /// let rules = LabelRules::new().deny("email").pseudonyms(b"a secret", &["organization_id"]);
    /// let builder = obskit::init("checkout").label_rules(rules);
    /// # drop(builder);
    /// ```
    #[cfg(feature = "metrics")]
    pub fn label_rules(mut self, rules: obs_metrics::LabelRules) -> Self {
        self.parts.label_rules = rules;
        self
    }

    /// Records into this registry instead of one that is made from the settings, which then say nothing about its caps and
    /// exemplars.
    ///
    /// That is for a registry with label rules of its own, or one over a recorder that is installed already
    /// (`Registry::over_exporter`, feature `metrics-exporter-prometheus`).
    #[cfg(feature = "metrics")]
    pub fn registry(mut self, registry: obs_metrics::Registry) -> Self {
        self.parts.registry = Some(registry);
        self
    }

    /// Adds an alert rule.
    #[cfg(feature = "alerts")]
    pub fn alert_rule(mut self, rule: impl Into<obs_alerts::Rule>) -> Self {
        self.parts.rules.push(rule.into());
        self
    }

    /// Adds a channel that rules may name, beside `log` and the webhooks of the settings.
    #[cfg(feature = "alerts")]
    pub fn alert_channel(
        mut self,
        name: impl Into<String>,
        channel: std::sync::Arc<dyn obs_model::Sink<obs_model::AlertEvent>>,
    ) -> Self {
        self.parts.channels.push((name.into(), channel));
        self
    }

    /// Adds a health check.
    #[cfg(feature = "health")]
    pub fn health_check(mut self, check: obs_health::Check) -> Self {
        self.parts.checks.push(check);
        self
    }

    /// Writes log lines somewhere else than to standard output. Files and servers that the settings name get them as well.
    #[cfg(feature = "tracing")]
    pub fn log_output(mut self, output: obs_tracing::LogOutput) -> Self {
        self.parts.log_output = Some(output);
        self
    }

    /// Starts everything that is compiled in and switched on.
    ///
    /// # Errors
    ///
    /// The settings have problems (all are reported), the admin port is taken, another recorder or subscriber is
    /// installed already, or there is no tokio runtime. Then nothing of obskit is left running.
    pub async fn start(self) -> Result<Obskit, StartError> {
        start::start(self).await
    }

    /// The settings as file, environment and code make them.
    pub(crate) fn resolve(&mut self) -> Result<Settings, ConfigError> {
        let mut settings = self.settings.clone();
        let mut outcome = Ok(());
        let mut note = |result: Result<(), ConfigError>| {
            outcome = match (std::mem::replace(&mut outcome, Ok(())), result) {
                (Err(first), Err(second)) => Err(first.and(second)),
                (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
                (Ok(()), Ok(())) => Ok(()),
            };
        };
        if self.environment {
            // OK because a variable that is not Unicode cannot be one of ours with an acceptable value.
            let variables: Vec<(String, String)> = std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect();
            if let Some((_, path)) =
                variables.iter().find(|(name, value)| name == "OBSKIT_CONFIG" && !value.is_empty())
            {
                note(settings.read_file(Path::new(path)));
            }
            note(settings.read_environment(variables));
        }
        for change in std::mem::take(&mut self.overrides) {
            change(&mut settings);
        }
        note(settings.validate());
        outcome.map(|()| settings)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("service", &self.settings.service).finish_non_exhaustive()
    }
}
