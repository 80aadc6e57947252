//! What pushes say of where they go to.

use obs_model::{Labels, LabelsError};

use crate::error::{Error, Kind};

pub(super) fn endpoint_error(target: &'static str, error: &obs_delivery::Error) -> Error {
    Kind::InvalidPush { target, problems: error.to_string() }.into()
}

/// The labels `job` and `instance`, which a scrape would put on every series.
///
/// # Errors
///
/// A value is longer than a label's value may be.
pub fn target_labels(job: &str, instance: &str) -> Result<Labels, LabelsError> {
    Labels::new([("job", job), ("instance", instance)])
}

/// The machine's name, for `instance` where nothing better is known; `unknown` where the system does not tell.
#[must_use]
pub fn host_name() -> String {
    sysinfo::System::host_name().unwrap_or_else(|_| String::from("unknown"))
}
