//! The grammar of OpenMetrics 1.0, line by line.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use super::cursor::{Cursor, Escapes, Label, number, real_number};
use super::family::{Families, Format, Metadata};
use super::{Exemplar, Family, FamilyType, Names, ParseError, Sample, as_utf8};

/// How many characters the names and values of an exemplar's labels may have together.
const MAX_EXEMPLAR_CHARACTERS: usize = 128;

/// Reads an OpenMetrics 1.0 document.
///
/// # Errors
///
/// The first line that breaks a rule of the specification, and which.
pub fn openmetrics(document: &[u8]) -> Result<Vec<Family>, ParseError> {
    openmetrics_with(document, Names::Legacy)
}

/// As [`openmetrics`], with names of which sort the reader and the exposer agreed on.
///
/// # Errors
///
/// As [`openmetrics`].
pub fn openmetrics_with(document: &[u8], names: Names) -> Result<Vec<Family>, ParseError> {
    let document = as_utf8(document)?;
    let mut families = Families::new(Format::OpenMetrics);
    let mut rest = document;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if line == "# EOF" {
            if after.is_empty() {
                return families.finish();
            }
            return Err(ParseError::new(number + 1, 1, "there is text after # EOF"));
        }
        if line.len() == rest.len() {
            return Err(ParseError::new(number, 1, "the document does not end in # EOF"));
        }
        read_line(&mut families, Cursor::new(line, number), number, names)?;
        rest = after;
    }
    Err(ParseError::new(number + 1, 1, "the document does not end in # EOF"))
}

fn read_line(
    families: &mut Families,
    mut cursor: Cursor<'_>,
    number: usize,
    names: Names,
) -> Result<(), ParseError> {
    if cursor.rest().ends_with('\r') {
        return Err(cursor.error("the line ends in a carriage return: lines end in \\n alone"));
    }
    if cursor.is_at_end() {
        return Err(cursor.error("a line is empty"));
    }
    if cursor.peek() == Some(b'#') {
        let (name, metadata) = read_metadata(&mut cursor, names)?;
        families.metadata(number, name, metadata)
    } else {
        let sample = read_sample(&mut cursor, names)?;
        families.sample(number, sample)
    }
}

/// `# TYPE name type`, `# UNIT name unit` or `# HELP name text`.
fn read_metadata(cursor: &mut Cursor<'_>, names: Names) -> Result<(String, Metadata), ParseError> {
    cursor.expect("#", "at the start of a line of metadata")?;
    cursor.expect(" ", "after #")?;
    let start = cursor.clone();
    let keyword = cursor.take_until(|character| character == ' ');
    if !matches!(keyword, "TYPE" | "UNIT" | "HELP") {
        return Err(start.error("expected TYPE, UNIT, HELP or EOF: there are no comments"));
    }
    cursor.expect(" ", "after the keyword")?;
    let name = cursor.family_name(names)?;
    cursor.expect(" ", "after the name")?;
    let metadata = match keyword {
        "TYPE" => Metadata::Type(read_type(cursor)?),
        "UNIT" => Metadata::Unit(read_unit(cursor)?),
        _ => Metadata::Help(read_help(cursor)?),
    };
    Ok((name, metadata))
}

fn read_type(cursor: &Cursor<'_>) -> Result<FamilyType, ParseError> {
    const TYPES: [FamilyType; 8] = [
        FamilyType::Counter,
        FamilyType::Gauge,
        FamilyType::Histogram,
        FamilyType::GaugeHistogram,
        FamilyType::StateSet,
        FamilyType::Info,
        FamilyType::Summary,
        FamilyType::Unknown,
    ];
    TYPES.into_iter().find(|kind| kind.as_str() == cursor.rest()).ok_or_else(|| {
        let accepted: Vec<_> = TYPES.iter().map(|kind| kind.as_str()).collect();
        cursor.error(format!("{:?} is no type: {}", cursor.rest(), accepted.join(", ")))
    })
}

fn read_unit(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let unit = cursor.take_until(|character| {
        !(character.is_ascii_alphanumeric() || character == '_' || character == ':')
    });
    if cursor.is_at_end() {
        Ok(unit.to_owned())
    } else {
        Err(cursor.error(format!("a unit contains {}", cursor.found())))
    }
}

/// A text to the end of the line, escaped as a label's value but without quotes around it.
fn read_help(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let mut help = String::new();
    loop {
        help.push_str(cursor.take_until(|character| character == '"' || character == '\\'));
        if cursor.is_at_end() {
            return Ok(help);
        }
        if !cursor.take("\\") {
            return Err(cursor.error("a double quote in a help text is written \\\""));
        }
        cursor.escaped(Escapes::Lenient, &mut help)?;
    }
}

/// `name{labels} value timestamp # {labels} value timestamp`, much of it optional.
fn read_sample(cursor: &mut Cursor<'_>, names: Names) -> Result<Sample, ParseError> {
    let mut labels = Vec::new();
    let name = if names == Names::Utf8 && cursor.take("{") {
        let Some(name) = cursor.name_in_braces()? else {
            return Err(cursor.error("expected a metric name in quotes"));
        };
        let more = cursor.take(",");
        if more || cursor.peek() != Some(b'}') {
            if !more {
                return Err(cursor.error("expected ',' or '}' after the metric name"));
            }
            read_labels(cursor, names, &mut labels)?;
        } else {
            cursor.expect("}", "after the metric name")?;
        }
        name
    } else {
        let name = cursor.metric_name()?.to_owned();
        if cursor.take("{") && !cursor.take("}") {
            read_labels(cursor, names, &mut labels)?;
        }
        name
    };
    let (value, timestamp) = read_value(cursor)?;
    let exemplar = if cursor.is_at_end() { None } else { Some(read_exemplar(cursor, names)?) };
    Ok(Sample { name, labels, value, timestamp, exemplar })
}

/// At least one label, and the closing brace.
fn read_labels(
    cursor: &mut Cursor<'_>,
    names: Names,
    labels: &mut Vec<Label>,
) -> Result<(), ParseError> {
    loop {
        let label = cursor.label(names, Escapes::Lenient, false)?;
        cursor.push_label(labels, label)?;
        if cursor.take("}") {
            return Ok(());
        }
        cursor.expect(",", "or '}' after a label")?;
    }
}

/// ` value`, and ` timestamp` unless an exemplar or the end follows.
fn read_value(cursor: &mut Cursor<'_>) -> Result<(f64, Option<f64>), ParseError> {
    cursor.expect(" ", "before the value")?;
    let start = cursor.clone();
    let text = cursor.take_until(|character| character == ' ');
    let value = number(text).ok_or_else(|| start.error(format!("{text:?} is not a number")))?;
    if cursor.is_at_end() || cursor.rest().starts_with(" #") {
        return Ok((value, None));
    }
    cursor.expect(" ", "before the timestamp")?;
    let start = cursor.clone();
    let text = cursor.take_until(|character| character == ' ');
    match real_number(text) {
        Some(timestamp) if timestamp.is_finite() => Ok((value, Some(timestamp))),
        _ => Err(start.error(format!("{text:?} is not a timestamp in seconds"))),
    }
}

fn read_exemplar(cursor: &mut Cursor<'_>, names: Names) -> Result<Exemplar, ParseError> {
    cursor.expect(" # {", "before an exemplar's labels")?;
    let start = cursor.clone();
    let mut labels = Vec::new();
    if !cursor.take("}") {
        read_labels(cursor, names, &mut labels)?;
    }
    let characters: usize =
        labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if characters > MAX_EXEMPLAR_CHARACTERS {
        return Err(start.error(format!(
            "an exemplar's labels have {characters} characters: \
             at most {MAX_EXEMPLAR_CHARACTERS} are accepted"
        )));
    }
    let (value, timestamp) = read_value(cursor)?;
    if cursor.is_at_end() {
        Ok(Exemplar { labels, value, timestamp })
    } else {
        Err(cursor.error(format!("expected the end of the line, found {}", cursor.found())))
    }
}
