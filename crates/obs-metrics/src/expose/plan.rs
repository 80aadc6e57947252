//! What the families of the registry are called in OpenMetrics, so that no two of them clash there.
//!
//! OpenMetrics has rules that the registry's names need not keep: a counter's family is named without the `_total`
//! of its samples, and a family owns names that it may not even use (`_created`). A counter whose OpenMetrics names
//! another family has is exposed with the type `unknown` and the name that it has: nothing is lost or renamed.

use std::collections::HashSet;

use obs_model::MetricKind;

use super::parse::FamilyType;

/// A family as OpenMetrics has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// The name in the metadata.
    pub(super) name: String,
    pub(super) kind: FamilyType,
}

/// Every sample name that may stand in an exposition.
#[derive(Debug, Default)]
pub(super) struct Plan {
    taken: HashSet<String>,
}

/// What belongs to a histogram; the registry lets no other family have these names.
const HISTOGRAM_PARTS: [&str; 4] = ["_bucket", "_sum", "_count", "_created"];

impl Plan {
    /// Takes the names that the families have in the registry.
    pub(super) fn new<'a>(families: impl Iterator<Item = (&'a str, MetricKind)>) -> Self {
        let mut taken = HashSet::new();
        for (name, kind) in families {
            if kind == MetricKind::Histogram {
                taken.extend(HISTOGRAM_PARTS.map(|part| format!("{name}{part}")));
            }
            taken.insert(name.to_owned());
        }
        Self { taken }
    }

    /// Where `name` goes; `is_info` says whether a gauge's values are all 1.
    pub(super) fn place(
        &mut self,
        name: &str,
        kind: MetricKind,
        is_info: impl FnOnce() -> bool,
    ) -> Planned {
        let unknown = Planned { name: name.to_owned(), kind: FamilyType::Unknown };
        match kind {
            MetricKind::Counter => {
                let base = name.strip_suffix("_total").unwrap_or(name);
                let mut wanted = vec![format!("{base}_created")];
                wanted.push(if base == name { format!("{name}_total") } else { base.to_owned() });
                if !base.is_empty() && self.take(wanted) {
                    Planned { name: base.to_owned(), kind: FamilyType::Counter }
                } else {
                    unknown
                }
            }
            MetricKind::Gauge => match name.strip_suffix("_info") {
                Some(base) if !base.is_empty() && is_info() && self.take(vec![base.to_owned()]) => {
                    Planned { name: base.to_owned(), kind: FamilyType::Info }
                }
                _ => Planned { kind: FamilyType::Gauge, ..unknown },
            },
            MetricKind::Histogram => Planned { kind: FamilyType::Histogram, ..unknown },
        }
    }

    /// Takes all of `names`, or none if one of them is taken.
    fn take(&mut self, names: Vec<String>) -> bool {
        let free = names.iter().all(|name| !self.taken.contains(name));
        if free {
            self.taken.extend(names);
        }
        free
    }
}

/// The units that are recognised at the end of a name.
const UNITS: [&str; 30] = [
    "amperes",
    "bits",
    "bytes",
    "celsius",
    "days",
    "grams",
    "hertz",
    "hours",
    "joules",
    "kelvin",
    "kg",
    "kibibytes",
    "kilobytes",
    "mebibytes",
    "meters",
    "microseconds",
    "milliseconds",
    "minutes",
    "ms",
    "nanoseconds",
    "percent",
    "pct",
    "ratio",
    "ratios",
    "seconds",
    "usd",
    "volts",
    "watts",
    "gibibytes",
    "megabytes",
];

/// The unit that a family's name ends in, if it ends in one.
pub(crate) fn unit_of(family: &str) -> Option<&'static str> {
    let (rest, last) = family.rsplit_once('_')?;
    UNITS.into_iter().find(|unit| *unit == last && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clash_in_openmetrics_become_unknown() {
        use MetricKind::{Counter, Gauge, Histogram};
        let families = [
            ("a", Gauge),
            ("a_total", Counter),
            ("b", Counter),
            ("b_total", Counter),
            ("c_seconds_total", Counter),
            ("d", Histogram),
            ("d_created_total", Counter),
            ("e_info", Gauge),
            ("f", Counter),
            ("f_info", Gauge),
            ("g_created_total", Counter),
            ("g_total", Counter),
            ("h", Histogram),
        ];
        let mut plan = Plan::new(families.iter().copied());
        let placed: Vec<_> = families
            .iter()
            .map(|(name, kind)| {
                let Planned { name, kind } = plan.place(name, *kind, || true);
                (name, kind.as_str())
            })
            .collect();
        let expected = [
            ("a", "gauge"),
            ("a_total", "unknown"),
            ("b", "unknown"),
            ("b_total", "unknown"),
            ("c_seconds", "counter"),
            ("d", "histogram"),
            ("d_created_total", "unknown"),
            ("e", "info"),
            ("f", "counter"),
            ("f_info", "gauge"),
            ("g_created", "counter"),
            ("g_total", "unknown"),
            ("h", "histogram"),
        ];
        assert_eq!(placed, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }

    #[test]
    fn a_unit_is_the_last_word_of_a_name() {
        for (name, unit) in [
            ("process_cpu_seconds", Some("seconds")),
            ("api_request_duration_ms", Some("ms")),
            ("emissions_tracked_kg", Some("kg")),
            ("seconds", None),
            ("_seconds", None),
            ("jobs", None),
        ] {
            assert_eq!(unit_of(name), unit);
        }
    }
}
