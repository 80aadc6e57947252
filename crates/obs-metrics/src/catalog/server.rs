//! A server of tools and searches: one struct of handles, made at the start.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram};

use super::in_namespace;
use super::labelled::Labelled;
use crate::registry::Registry;
use crate::track::{ActiveGuard, Outcome};

const SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Metrics of a server that answers queries, with embeddings and a cache. The namespace is chosen when the group is made,
/// here `mcp`:
///
/// | metric | |
/// |---|---|
/// | `mcp_query_latency_seconds` | how long queries took |
/// | `mcp_embedding_generation_seconds` | how long it took to make an embedding |
/// | `mcp_cache_lookups_total{result}` | lookups in the cache, `hit` or `miss` |
/// | `mcp_cache_hit_ratio` | the share of all lookups since the start that hit, 0 to 1 |
/// | `mcp_active_connections` | connections that are open |
/// | `mcp_requests_total{method,status}` | requests that ended, `success` or `error` |
///
/// The handles are public fields and methods: they are looked up once, here, and recording through them takes some
/// nanoseconds. All but requests are shown from the start, at zero. A service with other needs writes such a struct of
/// its own, with handles from [`Registry::counter`], [`Registry::gauge`] and [`Registry::histogram`].
///
/// The ratio since the start says little about now; over the last five minutes it is
/// `sum(rate(mcp_cache_lookups_total{result="hit"}[5m])) / sum(rate(mcp_cache_lookups_total[5m]))`.
///
/// ```
/// use obs_metrics::catalog::{CacheLookup, ServerMetrics};
/// use obs_metrics::{Outcome, Registry};
///
/// let registry = Registry::default();
/// let server = ServerMetrics::new(&registry, "mcp");
/// let connection = server.connection();
/// server.query_latency.record(0.012);
/// server.record_lookup(CacheLookup::Hit);
/// server.record_request("tools/call", Outcome::Success);
/// assert_eq!(registry.value("mcp_active_connections", &[]), Some(1.0));
/// assert_eq!(registry.value("mcp_cache_hit_ratio", &[]), Some(1.0));
/// let labels = [("method", "tools/call"), ("status", "success")];
/// assert_eq!(registry.value("mcp_requests_total", &labels), Some(1.0));
/// # drop(connection);
/// ```
#[derive(Clone)]
pub struct ServerMetrics {
    /// How long queries took, in seconds.
    pub query_latency: Histogram,
    /// How long it took to make an embedding, in seconds.
    pub embedding_generation: Histogram,
    /// Connections that are open; see also [`ServerMetrics::connection`].
    pub active_connections: Gauge,
    lookups: [Counter; 2],
    hit_ratio: Gauge,
    /// Hits and all lookups.
    seen: Arc<[AtomicU64; 2]>,
    requests: Labelled<Counter, 2>,
}

/// What a lookup in a cache found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheLookup {
    /// What was looked for.
    Hit,
    /// Nothing.
    Miss,
}

impl ServerMetrics {
    /// The metrics of `registry`, in a namespace that may be empty.
    #[must_use]
    pub fn new(registry: &Registry, namespace: &str) -> Self {
        let declare = |name: &str, help: &str, buckets: Option<&[f64]>| {
            let name = in_namespace(namespace, name);
            registry.declare(&name, help, buckets);
            name
        };
        let seconds =
            |name: &str, help: &str| registry.histogram(&declare(name, help, Some(SECONDS)), &[]);
        let lookups = declare("cache_lookups_total", "Lookups in the cache, by result.", None);
        let ratio =
            declare("cache_hit_ratio", "Share of cache lookups since the start that hit.", None);
        let connections = declare("active_connections", "Connections that are open.", None);
        let metrics = Self {
            query_latency: seconds("query_latency_seconds", "Duration of queries."),
            embedding_generation: seconds(
                "embedding_generation_seconds",
                "Duration of making embeddings.",
            ),
            active_connections: registry.gauge(&connections, &[]),
            lookups: ["hit", "miss"]
                .map(|result| registry.counter(&lookups, &[("result", result)])),
            hit_ratio: registry.gauge(&ratio, &[]),
            seen: Arc::default(),
            requests: Labelled::new(
                registry,
                in_namespace(namespace, "requests_total"),
                ["method", "status"],
                "Requests that ended, by method and by how they ended.",
                None,
            ),
        };
        for counter in &metrics.lookups {
            counter.increment(0);
        }
        metrics
    }

    /// Counts a connection as open for as long as the guard lives.
    #[must_use]
    pub fn connection(&self) -> ActiveGuard {
        ActiveGuard::new(&self.active_connections)
    }

    /// Counts a lookup in the cache.
    pub fn record_lookup(&self, lookup: CacheLookup) {
        let [seen_hits, seen] = &*self.seen;
        let hits = match lookup {
            CacheLookup::Hit => seen_hits.fetch_add(1, Ordering::Relaxed) + 1,
            CacheLookup::Miss => seen_hits.load(Ordering::Relaxed),
        };
        let all = seen.fetch_add(1, Ordering::Relaxed) + 1;
        self.lookups[lookup as usize].increment(1);
        // Between the two loads another thread may have counted a hit and not yet the lookup.
        self.hit_ratio.set((hits as f64 / all as f64).min(1.0));
    }

    /// Counts a request. `method` is one of those that the server knows, never a text that a client chose.
    pub fn record_request(&self, method: &str, outcome: Outcome) {
        self.requests.with([method, outcome.as_str()]).increment(1);
    }
}

impl fmt::Debug for ServerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerMetrics").finish_non_exhaustive()
    }
}
