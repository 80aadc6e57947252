//! Which series belong together: the keys that grouping and matching go by.

use std::collections::HashMap;

use obs_model::METRIC_NAME_LABEL;

use super::column::Row;
use super::identity::Identity;

/// Gives every combination of label values a number.
pub(super) struct Groups<'n> {
    /// Whether only `names` count, or all labels but them and the metric's name.
    only: bool,
    names: &'n [String],
    numbers: HashMap<Vec<u8>, usize>,
    buffer: Vec<u8>,
}

impl<'n> Groups<'n> {
    pub(super) fn new(only: bool, names: &'n [String]) -> Self {
        Self { only, names, numbers: HashMap::new(), buffer: Vec::new() }
    }

    /// How many groups there are.
    pub(super) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The group of each row, and how many rows each group has.
    pub(super) fn of_rows(&mut self, rows: &[Row]) -> Vec<usize> {
        rows.iter().map(|row| self.of(&row.labels)).collect()
    }

    /// The number of the group that a series is in.
    pub(super) fn of(&mut self, labels: &Identity) -> usize {
        self.key(labels);
        if let Some(number) = self.numbers.get(&self.buffer) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(self.buffer.clone(), number);
        number
    }

    fn key(&mut self, labels: &Identity) {
        self.buffer.clear();
        if self.only {
            for name in self.names {
                piece(&mut self.buffer, labels.get(name).unwrap_or_default());
            }
            return;
        }
        for (name, value) in labels.iter() {
            if name != METRIC_NAME_LABEL && !self.names.iter().any(|known| known == name) {
                piece(&mut self.buffer, name);
                piece(&mut self.buffer, value);
            }
        }
    }
}

/// Appends a text so that no two lists of texts come to the same bytes.
fn piece(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(text.as_bytes());
    // OK because no UTF-8 text has this byte.
    buffer.push(0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_grouped_by_the_labels_that_count() {
        let series = [
            [("__name__", "x"), ("a", "1"), ("b", "2")],
            [("__name__", "y"), ("a", "1"), ("b", "3")],
            [("__name__", "z"), ("a", "4"), ("b", "2")],
        ]
        .map(|pairs| Identity::from(obs_model::Labels::new(pairs).unwrap()));
        for (only, names, expected) in [
            (true, vec!["a"], [0, 0, 1]),
            (false, vec!["a"], [0, 1, 0]),
            (true, vec![], [0, 0, 0]),
            (true, vec!["nothing"], [0, 0, 0]),
            (false, vec![], [0, 1, 2]),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let mut groups = Groups::new(only, &names);
            assert_eq!(series.clone().map(|labels| groups.of(&labels)), expected);
        }
    }
}
