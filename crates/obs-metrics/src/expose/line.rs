//! The fixed parts of lines, made once per family so that a line is a few copies and a number.

use obs_model::is_valid_metric_name;

use super::escape::push_quotable;

/// What stands in a line before its labels, for one sample name.
#[derive(Debug, Default)]
pub(super) struct LineStart {
    /// Before labels: `name{` or `{"my.name",`.
    with_labels: Vec<u8>,
    /// The whole of it when there are no labels, up to the value: `name ` or `{"my.name"} `.
    alone: Vec<u8>,
}

impl LineStart {
    pub(super) fn new(name: &str) -> Self {
        let mut start = Self::default();
        if is_valid_metric_name(name) {
            start.with_labels.extend_from_slice(name.as_bytes());
            start.alone.extend_from_slice(name.as_bytes());
            start.with_labels.push(b'{');
            start.alone.push(b' ');
        } else {
            start.with_labels.extend_from_slice(b"{\"");
            push_quotable(&mut start.with_labels, name);
            start.with_labels.push(b'"');
            start.alone.extend_from_slice(&start.with_labels);
            start.with_labels.push(b',');
            start.alone.extend_from_slice(b"} ");
        }
        start
    }

    /// Writes everything up to the value.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>, labels: &str) {
        if labels.is_empty() {
            out.extend_from_slice(&self.alone);
        } else {
            out.reserve(self.with_labels.len() + labels.len() + 32);
            out.extend_from_slice(&self.with_labels);
            out.extend_from_slice(labels.as_bytes());
            out.extend_from_slice(b"} ");
        }
    }

    /// Writes everything up to the value of a bucket; `le` is its label with the closing brace and the blank.
    #[inline]
    pub(super) fn push_bucket(&self, out: &mut Vec<u8>, labels: &str, le: &[u8]) {
        out.reserve(self.with_labels.len() + labels.len() + le.len() + 33);
        out.extend_from_slice(&self.with_labels);
        if !labels.is_empty() {
            out.extend_from_slice(labels.as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(le);
    }
}

/// A name in a line of metadata: in quotes unless it is a legacy name.
pub(super) fn push_metadata_name(out: &mut Vec<u8>, name: &str) {
    if is_valid_metric_name(name) {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.push(b'"');
        push_quotable(out, name);
        out.push(b'"');
    }
}
