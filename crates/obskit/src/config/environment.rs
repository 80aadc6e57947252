//! Environment variables.

use std::collections::BTreeMap;

use super::Settings;
use super::error::{ConfigError, Origin, Problem};
use super::file::shown;
use super::schema::reference;

/// Reads the variables over `settings`, or changes nothing and says everything that is wrong.
///
/// A variable that is set to nothing counts as not set, as the OpenTelemetry specification asks.
pub(super) fn read(
    settings: &mut Settings,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    let variables: BTreeMap<String, String> =
        variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let mut changed = settings.clone();
    let mut problems = Vec::new();
    for setting in reference() {
        let own = setting.own_variable();
        let usual = setting.variables.iter().find_map(|name| Some((*name, variables.get(*name)?)));
        let (name, text) = match (variables.get(&own), usual) {
            (Some(value), _) => (own.as_str(), Ok(value.clone())),
            (None, Some((name, value))) => (name, (setting.from_variable)(value)),
            (None, None) => continue,
        };
        let given = variables.get(name).map_or("", String::as_str);
        if let Err(expected) = text.and_then(|text| (setting.apply)(&mut changed, &text)) {
            let message = format!("{} is given: expected {expected}", shown(setting.key, given));
            problems.push(Problem::new(Origin::Environment(name.to_owned()), message));
        }
    }
    ConfigError::from_problems(problems)?;
    *settings = changed;
    Ok(())
}
