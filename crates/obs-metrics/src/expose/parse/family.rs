//! Putting samples into families: which sample belongs to which, in which order, and that no two clash.

use std::collections::HashMap;

use super::point::{Points, Suffix};
use super::{Family, FamilyType, ParseError, Sample};

/// The rules of one of the two formats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Text,
}

/// One line of metadata.
pub(super) enum Metadata {
    Type(FamilyType),
    Unit(String),
    Help(String),
}

/// The families of a document, built line by line.
pub(super) struct Families {
    format: Format,
    open: Option<Open>,
    done: Vec<Family>,
    /// Every name that a finished family may use, and the line where that family starts.
    claimed: HashMap<String, usize>,
}

/// The family that the lines are about at present.
struct Open {
    name: String,
    kind: Option<FamilyType>,
    unit: Option<String>,
    help: Option<String>,
    samples: Vec<Sample>,
    points: Points,
    /// The line where it starts.
    line: usize,
}

impl Families {
    pub(super) fn new(format: Format) -> Self {
        Self { format, open: None, done: Vec::new(), claimed: HashMap::new() }
    }

    /// Takes in a line of metadata.
    pub(super) fn metadata(
        &mut self,
        line: usize,
        name: String,
        metadata: Metadata,
    ) -> Result<(), ParseError> {
        if self.open.as_ref().is_none_or(|open| open.name != name) {
            self.close()?;
            self.open = Some(Open::new(self.format, name, line));
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let error = |reason: String| Err(ParseError::new(line, 1, reason));
        if !open.samples.is_empty() {
            return error(format!("metadata of {:?} stands after its samples", open.name));
        }
        let repeated = |keyword| error(format!("a second {keyword} line of {:?}", open.name));
        match metadata {
            Metadata::Type(_) if open.kind.is_some() => return repeated("TYPE"),
            Metadata::Unit(_) if open.unit.is_some() => return repeated("UNIT"),
            Metadata::Help(_) if open.help.is_some() => return repeated("HELP"),
            Metadata::Type(kind) => open.kind = Some(kind),
            Metadata::Unit(unit) => {
                if !unit.is_empty() && !ends_in_unit(&open.name, &unit) {
                    return error(format!("the name {:?} does not end in _{unit}", open.name));
                }
                open.unit = Some(unit);
            }
            Metadata::Help(help) => open.help = Some(help),
        }
        open.check_unit(line)
    }

    /// Takes in a sample.
    pub(super) fn sample(&mut self, line: usize, sample: Sample) -> Result<(), ParseError> {
        let error = |reason: String| ParseError::new(line, 1, reason);
        let known = self.open.as_ref().and_then(|open| self.suffix_of(open, &sample.name));
        let suffix = match (known, &self.open) {
            (Some(suffix), _) => suffix,
            (None, Some(open)) if open.name == sample.name => {
                let kind = open.kind.unwrap_or(FamilyType::Unknown).as_str();
                return Err(error(format!(
                    "{:?} is a {kind}: its samples have a suffix",
                    sample.name
                )));
            }
            (None, _) => {
                self.close()?;
                self.open = Some(Open::new(self.format, sample.name.clone(), line));
                Suffix::Value
            }
        };
        let Some(open) = &mut self.open else { return Ok(()) };
        let kind = open.kind.unwrap_or(FamilyType::Unknown);
        let is_new = open
            .points
            .add(line, &open.name, kind, suffix, &sample)
            .map_err(|(line, reason)| ParseError::new(line, 1, reason))?;
        if is_new {
            open.samples.push(sample);
        }
        Ok(())
    }

    /// Ends the document.
    pub(super) fn finish(mut self) -> Result<Vec<Family>, ParseError> {
        self.close()?;
        Ok(self.done)
    }

    fn suffix_of(&self, open: &Open, sample: &str) -> Option<Suffix> {
        let suffix = sample.strip_prefix(open.name.as_str())?;
        suffixes(self.format, open.kind.unwrap_or(FamilyType::Unknown))
            .iter()
            .copied()
            .find(|allowed| allowed.as_str() == suffix)
    }

    fn close(&mut self) -> Result<(), ParseError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let kind = open.kind.unwrap_or(FamilyType::Unknown);
        open.points.finish(kind).map_err(|(line, reason)| ParseError::new(line, 1, reason))?;
        let own = suffixes(self.format, kind).iter().filter(|suffix| **suffix != Suffix::Value);
        for suffix in own.map(|suffix| suffix.as_str()).chain([""]) {
            let name = format!("{}{suffix}", open.name);
            if let Some(before) = self.claimed.get(&name) {
                let reason = format!(
                    "the name {name:?} belongs to the family that starts in line {before}: \
                     each family stands once, in one piece"
                );
                return Err(ParseError::new(open.line, 1, reason));
            }
            self.claimed.insert(name, open.line);
        }
        self.done.push(Family {
            name: open.name,
            kind,
            unit: open.unit.unwrap_or_default(),
            help: open.help.unwrap_or_default(),
            samples: open.samples,
        });
        Ok(())
    }
}

impl Open {
    fn new(format: Format, name: String, line: usize) -> Self {
        Self {
            name,
            kind: None,
            unit: None,
            help: None,
            samples: Vec::new(),
            points: Points::new(format),
            line,
        }
    }

    fn check_unit(&self, line: usize) -> Result<(), ParseError> {
        let has_unit = self.unit.as_ref().is_some_and(|unit| !unit.is_empty());
        match self.kind {
            Some(kind @ (FamilyType::Info | FamilyType::StateSet)) if has_unit => {
                let reason = format!("{:?} has a unit: a {} has none", self.name, kind.as_str());
                Err(ParseError::new(line, 1, reason))
            }
            _ => Ok(()),
        }
    }
}

fn ends_in_unit(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

/// What the samples of a family may be named behind the family's name.
fn suffixes(format: Format, kind: FamilyType) -> &'static [Suffix] {
    use Suffix::{Bucket, Count, Created, GaugeCount, GaugeSum, Info, Sum, Total, Value};
    match (kind, format) {
        (FamilyType::Counter, Format::OpenMetrics) => &[Total, Created],
        (FamilyType::Summary, Format::OpenMetrics) => &[Value, Count, Sum, Created],
        (FamilyType::Summary, Format::Text) => &[Value, Count, Sum],
        (FamilyType::Histogram, Format::OpenMetrics) => &[Bucket, Count, Sum, Created],
        (FamilyType::Histogram, Format::Text) => &[Bucket, Count, Sum],
        (FamilyType::GaugeHistogram, _) => &[Bucket, GaugeCount, GaugeSum],
        (FamilyType::Info, _) => &[Info],
        (FamilyType::Counter, Format::Text)
        | (FamilyType::Gauge | FamilyType::StateSet | FamilyType::Unknown, _) => &[Value],
    }
}
