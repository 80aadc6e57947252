//! The code of the README and of the book, compiled with the documentation's other examples.

macro_rules! pages {
    ($($page:ident, $path:literal;)*) => {
        $(#[doc = include_str!($path)]
        struct $page;)*
    };
}

pages! {
    Readme, "../../../README.md";
    SetUp, "../../../docs/src/set-up.md";
    Alerts, "../../../docs/src/alerts.md";
    Metrics, "../../../docs/src/metrics.md";
    MetricsCatalogs, "../../../docs/src/metrics-catalogs.md";
    MetricsCollectors, "../../../docs/src/metrics-collectors.md";
    MetricsBounds, "../../../docs/src/metrics-bounds.md";
    MetricsExposition, "../../../docs/src/metrics-exposition.md";
    MetricsTrackers, "../../../docs/src/metrics-trackers.md";
    Pushing, "../../../docs/src/pushing.md";
    Correlation, "../../../docs/src/correlation.md";
    Queries, "../../../docs/src/queries.md";
    Shipping, "../../../docs/src/shipping.md";
}
