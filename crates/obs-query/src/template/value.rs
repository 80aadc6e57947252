//! The values that templates work with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::promql::NativeHistogram;

/// Label names and values.
pub(super) type Pairs = Arc<BTreeMap<String, String>>;

/// A value, of one of the types that Prometheus' templates have.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// None at all, such as that of a key that a mapping does not have.
    None,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Arc<str>),
    /// Labels.
    Pairs(Pairs),
    /// What `args` makes.
    Mapping(Arc<BTreeMap<String, Value>>),
    /// What `query` gives.
    Vector(Arc<[Arc<Point>]>),
    Point(Arc<Point>),
    /// Milliseconds since the epoch.
    Time(i64),
    Histogram(Arc<NativeHistogram>),
    /// What `.` is at first.
    Data(Arc<Data>),
}

/// A series of a query's result.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) labels: Pairs,
    pub(super) value: f64,
}

/// What a template is about.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) labels: Pairs,
    pub(super) external_labels: Pairs,
    pub(super) external_url: Arc<str>,
    pub(super) value: Value,
}

impl Value {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The type as messages name it, which is Go's name of it.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::None => "nil",
            Self::Bool(_) => "bool",
            Self::Integer(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Pairs(_) => "map[string]string",
            Self::Mapping(_) => "map[string]interface {}",
            Self::Vector(_) => "template.queryResult",
            Self::Point(_) => "*template.sample",
            Self::Time(_) => "*time.Time",
            Self::Histogram(_) => "*histogram.FloatHistogram",
            Self::Data(_) => "struct",
        }
    }

    /// Whether `if` takes it for true: what is neither zero nor empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Integer(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Pairs(pairs) => !pairs.is_empty(),
            Self::Mapping(mapping) => !mapping.is_empty(),
            Self::Vector(points) => !points.is_empty(),
            Self::Point(_) | Self::Time(_) | Self::Histogram(_) | Self::Data(_) => true,
        }
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        let found = match self {
            Self::None => Some(Self::None),
            // A label that is not there is as good as an empty one.
            Self::Pairs(pairs) => Some(Self::text(pairs.get(name).map_or("", String::as_str))),
            Self::Mapping(mapping) => Some(mapping.get(name).cloned().unwrap_or(Self::None)),
            Self::Point(point) => match name {
                "Labels" => Some(Self::Pairs(Arc::clone(&point.labels))),
                "Value" => Some(Self::Float(point.value)),
                _ => None,
            },
            Self::Data(data) => match name {
                "Labels" => Some(Self::Pairs(Arc::clone(&data.labels))),
                "ExternalLabels" => Some(Self::Pairs(Arc::clone(&data.external_labels))),
                "ExternalURL" => Some(Self::Text(Arc::clone(&data.external_url))),
                "Value" => Some(data.value.clone()),
                _ => None,
            },
            _ => None,
        };
        found.ok_or_else(|| format!("can't evaluate field {name} in type {}", self.type_name()))
    }
}
