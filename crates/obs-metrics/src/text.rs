//! The Prometheus text exposition format 0.0.4.
//!
//! <https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md>

use std::io;
use std::sync::Arc;

use obs_model::Labels;

use crate::number::{push_f64, push_u64};
use crate::registry::{Cell, Family, Series};

/// The `Content-Type` of the text format.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How much is collected before it goes to the writer.
const CHUNK_BYTES: usize = 16 * 1_024;

/// A buffer in front of a writer that never holds much more than one chunk.
pub(crate) struct Chunks<'a> {
    writer: &'a mut dyn io::Write,
    buffer: Vec<u8>,
}

impl<'a> Chunks<'a> {
    pub(crate) fn new(writer: &'a mut dyn io::Write) -> Self {
        Self { writer, buffer: Vec::with_capacity(CHUNK_BYTES + 1_024) }
    }

    /// Called at the end of a line.
    fn end_line(&mut self) -> io::Result<()> {
        self.buffer.push(b'\n');
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.writer.flush()
    }
}

/// Labels as they stand between the braces of a line.
pub(crate) fn label_text(labels: &Labels) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter() {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

/// Writes one family; `counts` is room for the counts of a histogram.
pub(crate) fn push_family(
    out: &mut Chunks<'_>,
    family: &Family,
    help: &str,
    series: &[Arc<Series>],
    counts: &mut Vec<u64>,
) -> io::Result<()> {
    push_header(out, family, help)?;
    for series in series {
        match &series.cell {
            Cell::Counter(cell) => push_line(out, family, series, |to| push_u64(to, cell.value()))?,
            Cell::FloatCounter(cell) => {
                push_line(out, family, series, |to| push_f64(to, cell.value()))?;
            }
            Cell::Gauge(cell) => push_line(out, family, series, |to| push_f64(to, cell.value()))?,
            Cell::Histogram(cell) => {
                let sum = cell.read(counts);
                push_histogram(out, family, series, sum, counts)?;
            }
        }
    }
    Ok(())
}

fn push_header(out: &mut Chunks<'_>, family: &Family, help: &str) -> io::Result<()> {
    if !help.is_empty() {
        out.buffer.extend_from_slice(b"# HELP ");
        out.buffer.extend_from_slice(family.name.as_bytes());
        out.buffer.push(b' ');
        for byte in help.bytes() {
            match byte {
                b'\\' => out.buffer.extend_from_slice(b"\\\\"),
                b'\n' => out.buffer.extend_from_slice(b"\\n"),
                other => out.buffer.push(other),
            }
        }
        out.end_line()?;
    }
    out.buffer.extend_from_slice(b"# TYPE ");
    out.buffer.extend_from_slice(family.name.as_bytes());
    out.buffer.push(b' ');
    out.buffer.extend_from_slice(family.kind.as_str().as_bytes());
    out.end_line()
}

fn push_line(
    out: &mut Chunks<'_>,
    family: &Family,
    series: &Series,
    push_value: impl FnOnce(&mut Vec<u8>),
) -> io::Result<()> {
    push_part(out, family, "", series, None, push_value)
}

fn push_histogram(
    out: &mut Chunks<'_>,
    family: &Family,
    series: &Series,
    sum: f64,
    counts: &[u64],
) -> io::Result<()> {
    let mut cumulative = 0;
    for (bound, count) in family.bound_texts.iter().zip(counts) {
        cumulative += count;
        push_part(out, family, "_bucket", series, Some(bound), |to| push_u64(to, cumulative))?;
    }
    push_part(out, family, "_sum", series, None, |to| push_f64(to, sum))?;
    push_part(out, family, "_count", series, None, |to| push_u64(to, cumulative))
}

/// Writes one line: `name part {labels,le} value`.
fn push_part(
    out: &mut Chunks<'_>,
    family: &Family,
    part: &str,
    series: &Series,
    le: Option<&str>,
    push_value: impl FnOnce(&mut Vec<u8>),
) -> io::Result<()> {
    let buffer = &mut out.buffer;
    buffer.extend_from_slice(family.name.as_bytes());
    buffer.extend_from_slice(part.as_bytes());
    if le.is_some() || !series.label_text.is_empty() {
        buffer.push(b'{');
        buffer.extend_from_slice(series.label_text.as_bytes());
        if let Some(le) = le {
            if !series.label_text.is_empty() {
                buffer.push(b',');
            }
            buffer.extend_from_slice(b"le=\"");
            buffer.extend_from_slice(le.as_bytes());
            buffer.push(b'"');
        }
        buffer.push(b'}');
    }
    buffer.push(b' ');
    push_value(buffer);
    out.end_line()
}
