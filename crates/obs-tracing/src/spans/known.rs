//! Fields that are known without being written down: most spans of requests end before anybody looks at them.

use obs_model::CorrelationId;

use crate::fields::RawVisitor;

/// The fields that a span was opened with.
#[derive(Clone, Debug)]
pub(crate) struct KnownFields {
    pub(crate) correlation: CorrelationId,
    pub(crate) texts: KnownTexts,
}

/// Those of them that are the same for many spans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownTexts {
    pub(crate) values: [&'static str; 3],
    /// The indices of the fields: that of the correlation id, and those of the values.
    pub(crate) fields: &'static [usize; 4],
}

impl KnownTexts {
    /// Writes the fields down.
    pub(crate) fn put(&self, correlation: &CorrelationId, visitor: &mut RawVisitor<'_>) {
        let texts = [correlation.as_str()].into_iter().chain(self.values);
        for (field, text) in self.fields.iter().zip(texts) {
            visitor.put_str(*field, text);
        }
    }
}
