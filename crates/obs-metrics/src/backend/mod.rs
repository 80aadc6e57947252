//! A registry in front of another recorder: for applications that have installed one already.
//!
//! What such a [`Registry`] is asked to record goes to the recorder that the process has, and what it is asked to show
//! comes from there. So catalogs, trackers, the series store and `/metrics` work as with a registry of its own.

#[cfg(feature = "metrics-exporter-prometheus")]
mod exporter;
#[cfg(feature = "metrics-exporter-prometheus")]
mod families;

use std::cell::Cell;

use metrics::{Key, Label, Level, Metadata, Recorder};
use obs_model::MetricFamily;

#[cfg(feature = "metrics-exporter-prometheus")]
pub use self::exporter::with_catalog_buckets;
use crate::registry::{Handled, Registry};

/// Where the values are when they are not in the registry.
pub(crate) trait Backend: Send + Sync {
    /// Everything in the text format 0.0.4.
    fn render(&self) -> String;

    /// Everything, family by family in order of name.
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily));
}

/// What the `metrics` macros would say of where a recording comes from.
static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// A handle of the recorder that the calling thread records into.
pub(crate) fn handle<'a, H: Handled>(
    registry: &Registry,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> H {
    let labels = labels.map(|(name, value)| Label::new(name.to_owned(), value.to_owned()));
    let key = Key::from_parts(name.to_owned(), labels.collect::<Vec<_>>());
    with_recorder(|recorder| H::forwarded(recorder, &key, &METADATA))
        .unwrap_or_else(|| registry.refused_handle())
}

/// Runs `register` with the recorder of the calling thread, or not at all within itself: the registry may have been made
/// that very recorder, and then there is nothing behind it.
pub(crate) fn with_recorder<R>(register: impl FnOnce(&dyn Recorder) -> R) -> Option<R> {
    thread_local! {
        static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            // OK because a thread whose locals are gone asks nobody any more.
            let _ = IS_INSIDE.try_with(|inside| inside.set(false));
        }
    }
    let is_inside = IS_INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(true);
    (!is_inside).then(|| {
        let _leave = Leave;
        metrics::with_recorder(register)
    })
}
