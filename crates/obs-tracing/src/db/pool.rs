//! Pools of connections.

/// Says how many connections of a pool are in use, and the most that it may have, if it has a bound: in
/// `database_connections_active` and `database_connections_limit`.
///
/// Call it when a connection is taken or given back, or every few seconds.
///
/// ```
/// // With sqlx: `pool.size() - pool.num_idle()`, and `pool.options().get_max_connections()`.
/// obs_tracing::db::record_pool(3, Some(10));
/// ```
pub fn record_pool(in_use: usize, limit: Option<usize>) {
    // OK because no pool has more connections than a float can count.
    metrics::gauge!("database_connections_active").set(in_use as f64);
    if let Some(limit) = limit {
        metrics::gauge!("database_connections_limit").set(limit as f64);
    }
}
