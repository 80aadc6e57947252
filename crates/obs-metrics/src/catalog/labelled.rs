//! One metric of a catalog: its handles by label values.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::registry::{Handled, Registry};

/// How many handles one metric remembers. Further label values are looked up in the registry each time.
const MAX_REMEMBERED: usize = 1_024;

/// A metric with `N` labels; nothing is shown of it before its first use.
#[derive(Clone)]
pub(crate) struct Labelled<H, const N: usize>(Arc<Inner<H, N>>);

struct Inner<H, const N: usize> {
    registry: Registry,
    name: String,
    label_names: [&'static str; N],
    hasher: RandomState,
    remembered: RwLock<HashMap<u64, Remembered<H, N>>>,
}

struct Remembered<H, const N: usize> {
    values: [Box<str>; N],
    handle: H,
}

impl<H: Handled, const N: usize> Labelled<H, N> {
    /// Describes the metric; `buckets` are for histograms.
    pub(crate) fn new(
        registry: &Registry,
        name: impl Into<String>,
        label_names: [&'static str; N],
        help: &str,
        buckets: Option<&[f64]>,
    ) -> Self {
        let name = name.into();
        registry.declare(&name, help, buckets);
        Self(Arc::new(Inner {
            registry: registry.clone(),
            name,
            label_names,
            hasher: RandomState::new(),
            remembered: RwLock::default(),
        }))
    }

    /// The handle of one series.
    pub(crate) fn with(&self, values: [&str; N]) -> H {
        let inner = &*self.0;
        let hash = inner.hasher.hash_one(values);
        // OK because the values are compared too: two sets of one hash are merely not both remembered.
        if let Some(known) = inner.remembered.read().get(&hash)
            && known.values.iter().map(|value| &**value).eq(values)
        {
            return known.handle.clone();
        }
        let labels = inner.label_names.into_iter().zip(values);
        let handle: H = inner.registry.handle(&inner.name, labels);
        let mut remembered = inner.remembered.write();
        if remembered.len() < MAX_REMEMBERED {
            let values = values.map(Box::from);
            remembered.insert(hash, Remembered { values, handle: handle.clone() });
        }
        handle
    }
}

#[cfg(test)]
mod tests {
    use metrics::Counter;

    use super::*;

    #[test]
    fn what_is_remembered_stays_bounded_and_every_value_is_still_counted() {
        let registry = Registry::default();
        let metric = Labelled::<Counter, 1>::new(&registry, "x_total", ["id"], "X.", None);
        for round in 1..=2 {
            for id in 0..MAX_REMEMBERED + 10 {
                metric.with([&id.to_string()]).increment(1);
            }
            assert_eq!(metric.0.remembered.read().len(), MAX_REMEMBERED);
            for id in [0, MAX_REMEMBERED + 9] {
                assert_eq!(
                    registry.value("x_total", &[("id", &id.to_string())]),
                    Some(f64::from(round))
                );
            }
        }
    }
}
