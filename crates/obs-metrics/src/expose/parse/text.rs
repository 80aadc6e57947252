//! The grammar of the Prometheus text format 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details>

use super::cursor::{Cursor, Escapes, Label, number};
use super::family::{Families, Format, Metadata};
use super::{Family, FamilyType, Names, ParseError, Sample, as_utf8};

/// Reads a document in the Prometheus text format 0.0.4.
///
/// # Errors
///
/// The first line that breaks a rule of the format, and which.
pub fn text(document: &[u8]) -> Result<Vec<Family>, ParseError> {
    text_with(document, Names::Legacy)
}

/// As [`text`], with names of which sort the reader and the exposer agreed on.
///
/// # Errors
///
/// As [`text`].
pub fn text_with(document: &[u8], names: Names) -> Result<Vec<Family>, ParseError> {
    let document = as_utf8(document)?;
    let mut families = Families::new(Format::Text);
    let mut rest = document;
    let mut line_number = 0;
    while !rest.is_empty() {
        line_number += 1;
        let Some((line, after)) = rest.split_once('\n') else {
            return Err(ParseError::new(line_number, 1, "the last line does not end in \\n"));
        };
        read_line(&mut families, line, line_number, names)?;
        rest = after;
    }
    families.finish()
}

fn read_line(
    families: &mut Families,
    line: &str,
    line_number: usize,
    names: Names,
) -> Result<(), ParseError> {
    let mut cursor = Cursor::new(line, line_number);
    cursor.skip_blanks();
    if cursor.is_at_end() {
        return Ok(());
    }
    if cursor.take("#") {
        return match read_metadata(&mut cursor, names)? {
            Some((name, metadata)) => families.metadata(line_number, name, metadata),
            None => Ok(()),
        };
    }
    let sample = read_sample(&mut cursor, names)?;
    families.sample(line_number, sample)
}

/// What stands behind the `#`; nothing when it is a comment.
fn read_metadata(
    cursor: &mut Cursor<'_>,
    names: Names,
) -> Result<Option<(String, Metadata)>, ParseError> {
    let blank = |character| character == ' ' || character == '\t';
    cursor.skip_blanks();
    let keyword = cursor.take_until(blank);
    if !matches!(keyword, "TYPE" | "HELP") {
        return Ok(None);
    }
    cursor.skip_blanks();
    let name = cursor.family_name(names)?;
    if !cursor.is_at_end() && !cursor.skip_blanks() {
        return Err(cursor.error(format!("a metric name contains {}", cursor.found())));
    }
    if keyword == "HELP" {
        return Ok(Some((name, Metadata::Help(read_help(cursor)?))));
    }
    let start = cursor.clone();
    let kind = match cursor.take_until(blank) {
        "counter" => FamilyType::Counter,
        "gauge" => FamilyType::Gauge,
        "histogram" => FamilyType::Histogram,
        "summary" => FamilyType::Summary,
        "untyped" => FamilyType::Unknown,
        other => {
            return Err(start.error(format!(
                "{other:?} is no type: counter, gauge, histogram, summary, untyped"
            )));
        }
    };
    cursor.skip_blanks();
    if cursor.is_at_end() {
        Ok(Some((name, Metadata::Type(kind))))
    } else {
        Err(cursor.error(format!("expected the end of the line, found {}", cursor.found())))
    }
}

/// A text to the end of the line in which `\\` and `\n` are escaped.
fn read_help(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let mut help = String::new();
    loop {
        help.push_str(cursor.take_until(|character| character == '\\'));
        if cursor.is_at_end() {
            return Ok(help);
        }
        if cursor.take("\\\\") {
            help.push('\\');
        } else if cursor.take("\\n") {
            help.push('\n');
        } else {
            return Err(cursor.error("a backslash in a help text is written \\\\"));
        }
    }
}

fn read_sample(cursor: &mut Cursor<'_>, names: Names) -> Result<Sample, ParseError> {
    let mut labels = Vec::new();
    let name = if names == Names::Utf8 && cursor.take("{") {
        cursor.skip_blanks();
        let Some(name) = cursor.name_in_braces()? else {
            return Err(cursor.error("expected a metric name in quotes"));
        };
        cursor.skip_blanks();
        if cursor.take(",") {
            read_labels(cursor, names, &mut labels)?;
        } else {
            cursor.expect("}", "or ',' after the metric name")?;
        }
        name
    } else {
        let name = cursor.metric_name()?.to_owned();
        cursor.skip_blanks();
        if cursor.take("{") {
            read_labels(cursor, names, &mut labels)?;
        }
        name
    };
    cursor.skip_blanks();
    let blank = |character| character == ' ' || character == '\t';
    let start = cursor.clone();
    let value = cursor.take_until(blank);
    let value = number(value).ok_or_else(|| start.error(format!("{value:?} is not a number")))?;
    cursor.skip_blanks();
    let timestamp = if cursor.is_at_end() { None } else { Some(read_timestamp(cursor)?) };
    cursor.skip_blanks();
    if cursor.is_at_end() {
        Ok(Sample { name, labels, value, timestamp, exemplar: None })
    } else {
        Err(cursor.error(format!("expected the end of the line, found {}", cursor.found())))
    }
}

fn read_timestamp(cursor: &mut Cursor<'_>) -> Result<f64, ParseError> {
    let start = cursor.clone();
    let text = cursor.take_until(|character| character == ' ' || character == '\t');
    let millis: i64 = text
        .parse()
        .map_err(|_| start.error(format!("{text:?} is not a timestamp in whole milliseconds")))?;
    // OK because the milliseconds of any date that matters are exact in a float.
    Ok(millis as f64 / 1_000.0)
}

/// Any number of labels, a comma behind the last one allowed, and the closing brace.
fn read_labels(
    cursor: &mut Cursor<'_>,
    names: Names,
    labels: &mut Vec<Label>,
) -> Result<(), ParseError> {
    loop {
        cursor.skip_blanks();
        if cursor.take("}") {
            return Ok(());
        }
        let label = cursor.label(names, Escapes::Strict, true)?;
        cursor.push_label(labels, label)?;
        cursor.skip_blanks();
        if !cursor.take(",") {
            return cursor.expect("}", "or ',' after a label");
        }
    }
}
