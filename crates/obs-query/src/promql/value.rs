//! The answer to a query.

use std::sync::Arc;

use obs_model::{Labels, Sample, Timestamp};

use super::annotation::Annotations;
use super::native::{HistogramSample, NativeHistogram};
use super::text::Text;

/// A value of a series at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

impl SampleValue {
    /// The number, if it is one.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

/// One series of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorPoint {
    /// What it is.
    pub labels: Labels,
    /// When it was evaluated.
    pub timestamp: Timestamp,
    /// Its value.
    pub value: SampleValue,
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// What it is.
    pub labels: Labels,
    /// Its numbers, by rising time.
    pub floats: Vec<Sample>,
    /// Its native histograms, by rising time.
    pub histograms: Vec<HistogramSample>,
}

/// What a query comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// A number.
    Scalar(Sample),
    /// A text.
    String(Timestamp, Text),
    /// One value for each series.
    Vector(Vec<VectorPoint>),
    /// Values over time for each series; in order of labels.
    Matrix(Vec<MatrixSeries>),
}

/// How much work a query was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples that were read from the store.
    pub samples_read: usize,
    /// The most samples that were in memory at once.
    pub peak_samples: usize,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// What it comes to.
    pub value: QueryValue,
    /// What is odd about it.
    pub annotations: Annotations,
    /// How much work it was.
    pub stats: QueryStats,
}
