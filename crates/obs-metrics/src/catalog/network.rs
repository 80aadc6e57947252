//! The network of organizations that a platform connects.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge};

use super::labelled::Labelled;
use crate::registry::Registry;
use crate::track::ActiveGuard;

/// Metrics of a platform that connects organizations:
///
/// | metric | |
/// |---|---|
/// | `network_connections_active{organization}` | connections that an organization has now |
/// | `benchmarks_performed_total{organization}` | comparisons with others |
/// | `user_messages_total{intent,organization}` | messages from users, by what they want |
/// | `emissions_tracked_kg{organization,scope}` | emissions that are on record, in kilograms of CO₂ equivalent |
/// | `organizations_active` | organizations that use the platform now |
///
/// `emissions_tracked_kg` is a gauge, as its name without `_total` says: emissions on record are corrected and
/// restated, downwards too, which a counter would show as a restart and as new emissions.
///
/// ```
/// use obs_metrics::{Registry, catalog::NetworkMetrics};
///
/// let registry = Registry::default();
/// let network = NetworkMetrics::new(&registry);
/// network.add_emissions_kg("o-1", "scope_2", 1_200.5);
/// network.add_emissions_kg("o-1", "scope_2", -200.5);
/// let labels = [("organization", "o-1"), ("scope", "scope_2")];
/// assert_eq!(registry.value("emissions_tracked_kg", &labels), Some(1_000.0));
/// ```
#[derive(Clone)]
pub struct NetworkMetrics(Arc<Handles>);

struct Handles {
    connections: Labelled<Gauge, 1>,
    benchmarks: Labelled<Counter, 1>,
    messages: Labelled<Counter, 2>,
    emissions: Labelled<Gauge, 2>,
    organizations: Labelled<Gauge, 0>,
}

impl NetworkMetrics {
    /// The network metrics of `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self(Arc::new(Handles {
            connections: Labelled::new(
                registry,
                "network_connections_active",
                ["organization"],
                "Network connections that are active now, by organization.",
                None,
            ),
            benchmarks: Labelled::new(
                registry,
                "benchmarks_performed_total",
                ["organization"],
                "Benchmarks performed, by organization.",
                None,
            ),
            messages: Labelled::new(
                registry,
                "user_messages_total",
                ["intent", "organization"],
                "Messages from users, by intent and organization.",
                None,
            ),
            emissions: Labelled::new(
                registry,
                "emissions_tracked_kg",
                ["organization", "scope"],
                "Emissions on record in kilograms of CO2 equivalent, by organization and scope.",
                None,
            ),
            organizations: Labelled::new(
                registry,
                "organizations_active",
                [],
                "Organizations that are active now.",
                None,
            ),
        }))
    }

    /// Counts a connection of an organization as active for as long as the guard lives.
    #[must_use]
    pub fn connection(&self, organization: &str) -> ActiveGuard {
        ActiveGuard::new(&self.0.connections.with([organization]))
    }

    /// Says how many connections of an organization are active; not to be mixed with guards.
    pub fn set_connections(&self, organization: &str, active: usize) {
        // OK because nobody has more connections than a float can count.
        self.0.connections.with([organization]).set(active as f64);
    }

    /// Counts a benchmark.
    pub fn record_benchmark(&self, organization: &str) {
        self.0.benchmarks.with([organization]).increment(1);
    }

    /// Counts a message from a user. `intent` is one of a small set of names, never the message's text.
    pub fn record_user_message(&self, intent: &str, organization: &str) {
        self.0.messages.with([intent, organization]).increment(1);
    }

    /// Says how much an organization's emissions on record are in a scope, such as `scope_1`, in kilograms.
    pub fn set_emissions_kg(&self, organization: &str, scope: &str, kilograms: f64) {
        self.0.emissions.with([organization, scope]).set(kilograms);
    }

    /// Adds to an organization's emissions on record in a scope; a negative amount is a correction.
    pub fn add_emissions_kg(&self, organization: &str, scope: &str, kilograms: f64) {
        self.0.emissions.with([organization, scope]).increment(kilograms);
    }

    /// Says how many organizations are active.
    pub fn set_organizations(&self, active: usize) {
        // OK because there are fewer organizations than a float can count.
        self.0.organizations.with([]).set(active as f64);
    }
}

impl fmt::Debug for NetworkMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkMetrics").finish_non_exhaustive()
    }
}
