//! Label sets: validated, sorted, de-duplicated, bounded, and cheap to clone and hash.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

/// The label that carries a series' metric name, as in Prometheus.
pub const METRIC_NAME_LABEL: &str = "__name__";

/// How large a label set may be.
///
/// The defaults leave room for every set that the Prometheus and OpenTelemetry conventions use, and keep a
/// hostile or mistaken caller from making a series arbitrarily large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelLimits {
    /// Labels in one set, after de-duplication; 40 by default.
    pub max_labels: usize,
    /// Bytes of a label name; 256 by default.
    pub max_name_bytes: usize,
    /// Bytes of a label value; 1,024 by default.
    pub max_value_bytes: usize,
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self { max_labels: 40, max_name_bytes: 256, max_value_bytes: 1_024 }
    }
}

/// A set of labels: names to values, sorted by name, each name once.
///
/// A name is any text that is not empty, as in Prometheus 3; see [`is_valid_label_name`] for those that can be written
/// without quotes. A clone is a reference count; the hash is computed once, when the set is made. Two sets with the same
/// pairs are equal whatever order they were given in.
///
/// ```
/// use obs_model::Labels;
///
/// let a = Labels::new([("b", "2"), ("a", "1")])?;
/// let b = Labels::new([("a", "1"), ("b", "2")])?;
/// assert_eq!(a, b);
/// assert_eq!(a.get("b"), Some("2"));
/// # Ok::<(), obs_model::LabelsError>(())
/// ```
#[derive(Clone)]
pub struct Labels(Arc<Inner>);

struct Inner {
    hash: u64,
    /// Every name and value, one after the other, in one allocation.
    text: Box<str>,
    /// Where each piece of `text` ends: name, value, name, value, …
    ends: Box<[u32]>,
}

impl Labels {
    /// Makes a label set within the default [`LabelLimits`].
    ///
    /// A name that stands more than once keeps its last value. An empty value is kept: it is the caller's
    /// business whether it means "absent", as it does in PromQL.
    ///
    /// # Errors
    ///
    /// A name that is empty, every name or value that is too long, and a set that is too large, all in one
    /// [`LabelsError`].
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, LabelsError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        Self::with_limits(pairs, &LabelLimits::default())
    }

    /// Makes a label set within `limits`; otherwise as [`Labels::new`].
    ///
    /// # Errors
    ///
    /// As [`Labels::new`].
    pub fn with_limits<N, V>(
        pairs: impl IntoIterator<Item = (N, V)>,
        limits: &LabelLimits,
    ) -> Result<Self, LabelsError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut pairs: Vec<(N, V)> = pairs.into_iter().collect();
        // OK because the sort is stable: of equal names the last one given stays last.
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));

        let mut problems = Vec::new();
        let mut text = String::new();
        let mut ends = Vec::with_capacity(pairs.len() * 2);
        for (index, (name, value)) in pairs.iter().enumerate() {
            let (name, value) = (name.as_ref(), value.as_ref());
            if pairs.get(index + 1).is_some_and(|next| next.0.as_ref() == name) {
                continue;
            }
            check_pair(name, value, limits, &mut problems);
            text.push_str(name);
            ends.push(text.len());
            text.push_str(value);
            ends.push(text.len());
        }
        if ends.len() / 2 > limits.max_labels {
            problems
                .push(LabelProblem::TooMany { count: ends.len() / 2, limit: limits.max_labels });
        }
        if u32::try_from(text.len()).is_err() {
            problems.push(LabelProblem::TooLong {
                name: String::from("(the whole set)"),
                bytes: text.len(),
                limit: u32::MAX as usize,
            });
        }
        if problems.is_empty() {
            // OK because the whole text was just checked to fit in 32 bits.
            Ok(Self::from_parts(text, ends.into_iter().map(|end| end as u32).collect()))
        } else {
            Err(LabelsError { problems })
        }
    }

    /// The set with no labels.
    #[must_use]
    pub fn empty() -> Self {
        static EMPTY: LazyLock<Labels> =
            LazyLock::new(|| Labels::from_parts(String::new(), Box::default()));
        EMPTY.clone()
    }

    fn from_parts(text: String, ends: Box<[u32]>) -> Self {
        /// Keyed per process, so that chosen label values cannot make hash tables degenerate.
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = STATE.hash_one((&text, &ends));
        Self(Arc::new(Inner { hash, text: text.into_boxed_str(), ends }))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.ends.len() / 2
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// The value of `name`, if it is in the set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.position(name).ok().map(|index| self.pair(index).1)
    }

    /// The value of [`METRIC_NAME_LABEL`], if it is in the set.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME_LABEL)
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        (0..self.len()).map(|index| self.pair(index))
    }

    /// This set with `name` set to `value`, in place of any value it had.
    ///
    /// # Errors
    ///
    /// As [`Labels::new`], for the new pair and for the size of the result.
    pub fn with(&self, name: &str, value: &str) -> Result<Self, LabelsError> {
        Self::new(self.iter().chain([(name, value)]))
    }

    /// This set without `name`.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        if self.position(name).is_err() {
            return self.clone();
        }
        self.filter(|kept, _| kept != name)
    }

    /// This set with only the pairs that `keep` accepts.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str, &str) -> bool) -> Self {
        let mut text = String::with_capacity(self.0.text.len());
        let mut ends = Vec::with_capacity(self.0.ends.len());
        for (name, value) in self.iter() {
            if keep(name, value) {
                for piece in [name, value] {
                    text.push_str(piece);
                    // OK because the text is no longer than this set's own, which fits.
                    ends.push(text.len() as u32);
                }
            }
        }
        Self::from_parts(text, ends.into_boxed_slice())
    }

    /// The hash that was computed when the set was made: equal sets have equal hashes within one process.
    #[must_use]
    pub fn precomputed_hash(&self) -> u64 {
        self.0.hash
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.pair(middle).0.cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    fn pair(&self, index: usize) -> (&str, &str) {
        let inner = &*self.0;
        let start = if index == 0 { 0 } else { inner.ends[index * 2 - 1] as usize };
        let middle = inner.ends[index * 2] as usize;
        let end = inner.ends[index * 2 + 1] as usize;
        (&inner.text[start..middle], &inner.text[middle..end])
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash
                && self.0.ends == other.0.ends
                && self.0.text == other.0.text)
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Written as PromQL writes a series: `name{label="value"}`, with `\`, `"` and line breaks escaped.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let (plain, quoted) = match name {
            Some(name) if is_valid_metric_name(name) => (name, None),
            Some(name) if !name.is_empty() => ("", Some(name)),
            _ => ("", None),
        };
        f.write_str(plain)?;
        if name.is_some() && self.len() == 1 && quoted.is_none() {
            return Ok(());
        }
        f.write_str("{")?;
        let mut separator = "";
        if let Some(name) = quoted {
            write_quoted(f, name)?;
            separator = ",";
        }
        for (name, value) in self.iter().filter(|(name, _)| *name != METRIC_NAME_LABEL) {
            f.write_str(separator)?;
            if is_valid_label_name(name) {
                f.write_str(name)?;
            } else {
                write_quoted(f, name)?;
            }
            f.write_str("=")?;
            write_quoted(f, value)?;
            separator = ",";
        }
        f.write_str("}")
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            other => fmt::Write::write_char(f, other)?,
        }
    }
    f.write_str("\"")
}

/// Whether `name` is a label name that needs no quotes, and the only kind before Prometheus 3:
/// `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_valid_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `name` is a metric name that needs no quotes, and the only kind before Prometheus 3:
/// `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_valid_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || matches!(first, b'_' | b':'))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

fn check_pair(name: &str, value: &str, limits: &LabelLimits, problems: &mut Vec<LabelProblem>) {
    if name.len() > limits.max_name_bytes {
        problems.push(LabelProblem::NameTooLong {
            name: shorten(name),
            bytes: name.len(),
            limit: limits.max_name_bytes,
        });
    } else if name.is_empty() {
        problems.push(LabelProblem::EmptyName);
    }
    if value.len() > limits.max_value_bytes {
        problems.push(LabelProblem::TooLong {
            name: shorten(name),
            bytes: value.len(),
            limit: limits.max_value_bytes,
        });
    }
}

/// The beginning of a text that may be hostile, for an error message.
fn shorten(text: &str) -> String {
    text.chars().take(32).collect()
}

/// One thing that is wrong with a label set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelProblem {
    /// A name that is empty.
    #[error("a label has no name: expected one that is not empty")]
    EmptyName,
    /// A name over the limit.
    #[error("label name {name:?}… has {bytes} bytes: at most {limit} are accepted")]
    NameTooLong {
        /// The beginning of the name.
        name: String,
        /// Its length.
        bytes: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// A value over the limit.
    #[error("the value of label {name:?} has {bytes} bytes: at most {limit} are accepted")]
    TooLong {
        /// Whose value it is.
        name: String,
        /// Its length.
        bytes: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// More labels than the limit.
    #[error("the set has {count} labels: at most {limit} are accepted")]
    TooMany {
        /// How many there were.
        count: usize,
        /// The limit they broke.
        limit: usize,
    },
}

/// A label set was refused; it says everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelsError {
    problems: Vec<LabelProblem>,
}

impl LabelsError {
    /// Everything that is wrong, in order of name; never empty.
    #[must_use]
    pub fn problems(&self) -> &[LabelProblem] {
        &self.problems
    }
}

impl fmt::Display for LabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for LabelsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_sorted_and_the_last_of_equal_names_wins() {
        let labels = Labels::new([("b", "1"), ("a", "2"), ("b", "3")]).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(labels.len(), 2);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
    }

    #[test]
    fn a_series_is_written_as_promql_writes_it() {
        let labels = Labels::new([("__name__", "up"), ("path", "a\"b\\c\nd")]).unwrap();
        assert_eq!(labels.to_string(), r#"up{path="a\"b\\c\nd"}"#);
        assert_eq!(Labels::new([("__name__", "up")]).unwrap().to_string(), "up");
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    #[test]
    fn names_of_any_text_are_quoted() {
        let labels = Labels::new([("__name__", "my.up"), ("é \"", "1"), ("a", "2")]).unwrap();
        assert_eq!(labels.to_string(), r#"{"my.up",a="2","é \""="1"}"#);
        assert_eq!(Labels::new([("__name__", "my.up")]).unwrap().to_string(), r#"{"my.up"}"#);
        assert_eq!(Labels::new([("__name__", "")]).unwrap().to_string(), "");
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let limits = LabelLimits { max_labels: 2, max_name_bytes: 4, max_value_bytes: 3 };
        let error =
            Labels::with_limits([("", "x"), ("toolong", "x"), ("ok", "four"), ("é", "")], &limits)
                .unwrap_err();
        assert_eq!(error.problems().len(), 4, "{error}");
        let text = error.to_string();
        for part in
            ["a label has no name", "\"toolong\"… has 7 bytes", "\"ok\" has 4 bytes", "4 labels"]
        {
            assert!(text.contains(part), "{part} is missing from {text}");
        }
    }

    #[test]
    fn with_and_without_leave_the_original_alone() {
        let labels = Labels::new([("a", "1")]).unwrap();
        let more = labels.with("b", "2").unwrap();
        assert_eq!(more.without("b"), labels);
        assert_eq!(more.without("absent"), more);
        assert_eq!(labels.len(), 1);
        assert!(labels.with("", "2").is_err());
    }

    proptest! {
        #[test]
        fn order_of_pairs_never_matters(pairs in proptest::collection::btree_map("[a-z_]{1,6}", ".{0,8}", 0..12)) {
            let forward = Labels::new(&pairs).unwrap();
            let backward = Labels::new(pairs.iter().rev()).unwrap();
            prop_assert_eq!(&forward, &backward);
            prop_assert_eq!(forward.precomputed_hash(), backward.precomputed_hash());
            prop_assert!(forward.iter().eq(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
            for (name, value) in &pairs {
                prop_assert_eq!(forward.get(name), Some(value.as_str()));
            }
        }

        #[test]
        fn sets_compare_as_their_pairs_do(a in proptest::collection::btree_map("[ab]{1,2}", "[ab]{0,2}", 0..4),
                                          b in proptest::collection::btree_map("[ab]{1,2}", "[ab]{0,2}", 0..4)) {
            let (left, right) = (Labels::new(&a).unwrap(), Labels::new(&b).unwrap());
            prop_assert_eq!(left.cmp(&right), a.iter().cmp(b.iter()));
            prop_assert_eq!(left == right, a == b);
        }
    }
}
