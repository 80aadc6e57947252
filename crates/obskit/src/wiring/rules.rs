//! Rule files: read before anything starts, and evaluated in the service.

use std::path::Path;
use std::sync::Arc;

use obs_alerts::{RuleGroups, RuleGroupsConfig};
use obs_model::Clock;
use obs_query::SeriesStore;
use obs_query::promql::ParseOptions;
use obs_query::rules::RuleFile;

use super::Tasks;
use crate::config::{ConfigError, Origin, Problem, Settings};

/// Rule files that can be evaluated, each with its name.
pub(crate) type RuleFiles = Vec<(String, RuleFile)>;

/// Reads every rule file, or says everything that is wrong with any of them, with line and column.
pub(crate) fn prepare(settings: &Settings) -> Result<RuleFiles, ConfigError> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in &settings.alerts.rule_files {
        match read(path) {
            Ok(file) => files.push((path.display().to_string(), file)),
            Err(more) => problems.extend(more),
        }
    }
    ConfigError::from_problems(problems)?;
    Ok(files)
}

fn read(path: &Path) -> Result<RuleFile, Vec<Problem>> {
    let problem = |(line, column), message: String| {
        let origin = Origin::File { path: path.to_path_buf(), line, column };
        Problem::new(origin, message)
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![problem((0, 0), format!("cannot be read: {error}"))])?;
    RuleFile::parse(&text, ParseOptions::default()).map_err(|error| {
        let place = |position: obs_query::promql::Position| (position.line, position.column);
        let problems = error.rule_problems().iter().map(|found| {
            problem(found.position().map_or((0, 0), place), found.message().to_owned())
        });
        problems.collect()
    })
}

/// Evaluates the files' groups from now on; nothing without files, or when alerts are switched off.
pub(crate) fn start(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    store: &Arc<SeriesStore>,
    files: RuleFiles,
    tasks: &mut Tasks,
) -> Option<Arc<RuleGroups>> {
    if files.is_empty() || !settings.alerts.enabled {
        return None;
    }
    let config = RuleGroupsConfig {
        interval: settings.alerts.check_interval,
        engine: super::query::engine_options(settings),
        ..RuleGroupsConfig::default()
    };
    let groups = RuleGroups::new(config, files, Arc::clone(store), Arc::clone(clock));
    let groups = Arc::new(groups);
    tasks.spawn(Arc::clone(&groups).run());
    Some(groups)
}
