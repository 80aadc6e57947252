//! Models that predict.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::labelled::Labelled;
use crate::registry::Registry;

const LATENCY_BUCKETS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0];
const CONFIDENCE_BUCKETS: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Metrics of models that predict:
///
/// | metric | |
/// |---|---|
/// | `ml_predictions_total{model}` | predictions |
/// | `ml_prediction_latency_ms{model}` | how long a prediction took, 1 ms to 10 s |
/// | `ml_model_accuracy{model}` | the share of predictions that were right when it was last measured, 0 to 1 |
/// | `ml_prediction_confidence{model}` | how sure a model was of a prediction, 0 to 1 |
///
/// ```
/// use obs_metrics::{Registry, catalog::ModelMetrics};
/// use std::time::Duration;
///
/// let registry = Registry::default();
/// let models = ModelMetrics::new(&registry);
/// models.record_prediction("churn", Duration::from_millis(12), Some(0.93));
/// assert_eq!(registry.value("ml_prediction_latency_ms_sum", &[("model", "churn")]), Some(12.0));
/// ```
#[derive(Clone)]
pub struct ModelMetrics(Arc<Handles>);

struct Handles {
    predictions: Labelled<Counter, 1>,
    latency: Labelled<Histogram, 1>,
    accuracy: Labelled<Gauge, 1>,
    confidence: Labelled<Histogram, 1>,
}

impl ModelMetrics {
    /// The model metrics of `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self(Arc::new(Handles {
            predictions: Labelled::new(
                registry,
                "ml_predictions_total",
                ["model"],
                "Predictions, by model.",
                None,
            ),
            latency: Labelled::new(
                registry,
                "ml_prediction_latency_ms",
                ["model"],
                "Latency of predictions in milliseconds, by model.",
                Some(LATENCY_BUCKETS),
            ),
            accuracy: Labelled::new(
                registry,
                "ml_model_accuracy",
                ["model"],
                "Share of a model's predictions that were right, as last measured, 0 to 1.",
                None,
            ),
            confidence: Labelled::new(
                registry,
                "ml_prediction_confidence",
                ["model"],
                "Confidence of predictions, 0 to 1, by model.",
                Some(CONFIDENCE_BUCKETS),
            ),
        }))
    }

    /// Records a prediction: how long it took, and how sure the model was of it, from 0 to 1, if it says so.
    ///
    /// A confidence outside of 0 to 1 is observed as it is, so that a model that gives percent stands out in the
    /// outermost bucket; one that is not a number is refused and counted, as in every histogram.
    pub fn record_prediction(&self, model: &str, latency: Duration, confidence: Option<f64>) {
        self.0.predictions.with([model]).increment(1);
        self.0.latency.with([model]).record(latency.as_secs_f64() * 1_000.0);
        if let Some(confidence) = confidence {
            self.0.confidence.with([model]).record(confidence);
        }
    }

    /// Says which share of a model's predictions were right, from 0 to 1.
    pub fn set_accuracy(&self, model: &str, share: f64) {
        self.0.accuracy.with([model]).set(share);
    }
}

impl fmt::Debug for ModelMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelMetrics").finish_non_exhaustive()
    }
}
