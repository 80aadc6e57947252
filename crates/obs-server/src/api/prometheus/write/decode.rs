//! Reading the body of a remote write: `prometheus.WriteRequest` of protocol 1.0, without copying its texts.
//!
//! <https://github.com/prometheus/prometheus/blob/main/prompb/types.proto>

use std::fmt;

use obs_model::{Sample, Timestamp};
use obs_query::promql::HistogramSample;

use super::histogram;

/// Where a body stops being a write request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    Truncated,
    Varint,
    WireType(u8),
    FieldType(u32),
    NotText,
    Histogram,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends within a field"),
            Self::Varint => f.write_str("a number has more than 64 bits"),
            Self::WireType(kind) => write!(f, "there is no wire type {kind}"),
            Self::FieldType(field) => write!(f, "field {field} has another type"),
            Self::NotText => f.write_str("a label is not UTF-8"),
            Self::Histogram => f.write_str("a histogram's buckets do not fit its spans or schema"),
        }
    }
}

/// The series of a write request, one after the other.
///
/// A request has many thousands of samples, which never stand beside each other: they are read once to see that all of
/// it can be, and again as they are stored.
pub(super) struct WriteRequest<'a>(Fields<'a>);

/// One series: its texts are still in the body, and its lists are used again for the next one.
#[derive(Debug, Default)]
pub(super) struct TimeSeries<'a> {
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: Vec<HistogramSample>,
    pub(super) exemplars: Vec<SentExemplar<'a>>,
}

/// An exemplar whose labels have not been checked.
#[derive(Debug, Default)]
pub(super) struct SentExemplar<'a> {
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) value: f64,
    pub(super) timestamp: Timestamp,
}

impl<'a> WriteRequest<'a> {
    /// A request all of which can be read.
    pub(super) fn new(body: &'a [u8]) -> Result<Self, Malformed> {
        let (mut all, mut series) = (Self(Fields::new(body)), TimeSeries::default());
        while all.next(&mut series)? {}
        Ok(Self(Fields::new(body)))
    }

    /// Reads the next series; `false` if there is none.
    pub(super) fn next(&mut self, series: &mut TimeSeries<'a>) -> Result<bool, Malformed> {
        while let Some((field, value)) = self.0.next()? {
            if field == 1 {
                series.read(value.bytes(field)?)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<'a> TimeSeries<'a> {
    fn read(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        self.labels.clear();
        self.samples.clear();
        self.histograms.clear();
        self.exemplars.clear();
        let mut fields = Fields::new(message);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => self.labels.push(label(value.bytes(field)?)?),
                2 => self.samples.push(sample(value.bytes(field)?)?),
                3 => self.exemplars.push(exemplar(value.bytes(field)?)?),
                4 => self.histograms.push(histogram::read(value.bytes(field)?)?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn label(message: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut name, mut text) = ("", "");
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        let part = match field {
            1 => &mut name,
            2 => &mut text,
            _ => continue,
        };
        *part = std::str::from_utf8(value.bytes(field)?).map_err(|_| Malformed::NotText)?;
    }
    Ok((name, text))
}

fn sample(message: &[u8]) -> Result<Sample, Malformed> {
    let mut sample = Sample { timestamp: Timestamp::EPOCH, value: 0.0 };
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => sample.value = value.float(field)?,
            2 => sample.timestamp = Timestamp::from_millis(value.varint(field)?.cast_signed()),
            _ => {}
        }
    }
    Ok(sample)
}

fn exemplar(message: &[u8]) -> Result<SentExemplar<'_>, Malformed> {
    let mut exemplar = SentExemplar::default();
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => exemplar.labels.push(label(value.bytes(field)?)?),
            2 => exemplar.value = value.float(field)?,
            3 => exemplar.timestamp = Timestamp::from_millis(value.varint(field)?.cast_signed()),
            _ => {}
        }
    }
    Ok(exemplar)
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self, field: u32) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::FieldType(field)),
        }
    }

    pub(super) fn varint(self, field: u32) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Malformed::FieldType(field)),
        }
    }

    pub(super) fn float(self, field: u32) -> Result<f64, Malformed> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Malformed::FieldType(field)),
        }
    }
}

/// The fields of a message, one after the other.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = u32::try_from(key >> 3).map_err(|_| Malformed::Varint)?;
        let value = match (key & 7) as u8 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed::Truncated)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => {
                self.array::<4>()?;
                Value::Fixed32
            }
            kind => return Err(Malformed::WireType(kind)),
        };
        Ok(Some((field, value)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for (index, &byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if index == 9 && byte > 1 {
                return Err(Malformed::Varint);
            }
            number |= bits << (7 * index);
            if byte < 0x80 {
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(if self.0.len() < 10 { Malformed::Truncated } else { Malformed::Varint })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::super::messages::{
        ProstExemplar, ProstLabel, ProstRequest, ProstSample, ProstSeries,
    };
    use super::*;

    fn requests() -> impl Strategy<Value = ProstRequest> {
        let label =
            ("[a-z]{0,4}", "\\PC{0,4}").prop_map(|(name, value)| ProstLabel { name, value });
        let sample = (any::<f64>(), any::<i64>())
            .prop_map(|(value, timestamp)| ProstSample { value, timestamp });
        let labels = || prop::collection::vec(label.clone(), 0..4);
        let exemplar = (labels(), -9.0..9.0_f64, any::<i64>())
            .prop_map(|(labels, value, timestamp)| ProstExemplar { labels, value, timestamp });
        let (samples, exemplars) =
            (prop::collection::vec(sample, 0..4), prop::collection::vec(exemplar, 0..3));
        let series = (labels(), samples, exemplars).prop_map(|(labels, samples, exemplars)| {
            ProstSeries { labels, samples, exemplars, histograms: Vec::new() }
        });
        (prop::collection::vec(series, 0..4), prop::collection::vec("[a-z]{0,4}", 0..2))
            .prop_map(|(timeseries, metadata)| ProstRequest { timeseries, metadata })
    }

    proptest! {
        #[test]
        fn a_request_reads_as_a_generated_decoder_reads_it(sent in requests()) {
            let body = sent.encode_to_vec();
            let (mut request, mut read) = (WriteRequest::new(&body).unwrap(), TimeSeries::default());
            for series in &sent.timeseries {
                prop_assert!(request.next(&mut read).unwrap());
                let labels: Vec<(&str, &str)> =
                    series.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
                prop_assert_eq!(&read.labels[..], &labels[..]);
                prop_assert_eq!(read.exemplars.len(), series.exemplars.len());
                for (exemplar, sent) in read.exemplars.iter().zip(&series.exemplars) {
                    let labels: Vec<(&str, &str)> =
                        sent.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
                    prop_assert_eq!(&exemplar.labels, &labels);
                    prop_assert_eq!(exemplar.value, sent.value);
                    prop_assert_eq!(exemplar.timestamp.as_millis(), sent.timestamp);
                }
                prop_assert_eq!(read.samples.len(), series.samples.len());
                for (sample, sent) in read.samples.iter().zip(&series.samples) {
                    prop_assert_eq!(sample.timestamp.as_millis(), sent.timestamp);
                    // The other encoder leaves out a zero, also a negative one.
                    let same = sample.value == sent.value || sample.value.to_bits() == sent.value.to_bits();
                    prop_assert!(same, "{} {}", sample.value, sent.value);
                }
            }
            prop_assert!(!request.next(&mut read).unwrap());
        }

        #[test]
        fn whatever_comes_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = WriteRequest::new(&body);
        }

        #[test]
        fn a_request_that_is_cut_is_never_read_past_its_end(sent in requests(), cut in any::<prop::sample::Index>()) {
            let body = sent.encode_to_vec();
            let end = cut.index(body.len() + 1);
            let _ = WriteRequest::new(&body[..end]);
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        for (body, expected) in [
            (&b"\x0a\x05ab"[..], Malformed::Truncated),
            (b"\x0b", Malformed::WireType(3)),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", Malformed::Varint),
            (b"\x08\x01", Malformed::FieldType(1)),
            (b"\x0a\x05\x0a\x03\x0a\x01\xff", Malformed::NotText),
            (b"\x0a\x04\x12\x02\x08\x01", Malformed::FieldType(1)),
            (b"\x09\x00", Malformed::Truncated),
        ] {
            assert_eq!(WriteRequest::new(body).err(), Some(expected), "{body:x?}");
        }
    }
}
