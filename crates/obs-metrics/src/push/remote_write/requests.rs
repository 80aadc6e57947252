//! Putting samples into requests of a bounded size.

use bytes::Bytes;
use obs_delivery::Message;
use prost::encoding::message;

use super::RemoteWriteConfig;
use super::proto::{Label, MetricMetadata, TimeSeries};
use crate::push::outbox::Outbox;

/// The fields of a request.
const TIMESERIES_TAG: u32 = 1;
const METADATA_TAG: u32 = 3;

/// A request that is being put together, and where it goes when it is full.
///
/// A request is encoded series by series, so that only its bytes are in memory and never all series as messages.
pub(super) struct Requests<'a> {
    outbox: &'a mut dyn Outbox,
    max_samples: usize,
    max_bytes: usize,
    body: Vec<u8>,
    samples: usize,
    entries: usize,
    /// The series that is being put together; kept so that its texts are not allocated again for each.
    pub(super) series: TimeSeries,
}

impl<'a> Requests<'a> {
    pub(super) fn new(config: &RemoteWriteConfig, outbox: &'a mut dyn Outbox) -> Self {
        Self {
            outbox,
            max_samples: config.max_samples_per_request,
            max_bytes: config.max_request_bytes,
            body: Vec::new(),
            samples: 0,
            entries: 0,
            series: TimeSeries::default(),
        }
    }

    /// Gives the series that is put together a name and labels, which are in order of name.
    pub(super) fn set_labels(&mut self, name: [&str; 2], pairs: &[(&str, &str)], le: Option<&str>) {
        let count = pairs.len() + 1 + usize::from(le.is_some());
        let labels = &mut self.series.labels;
        labels.truncate(count);
        labels.resize_with(count, Label::default);
        let mut own = [("__name__", Some(name)), ("le", le.map(|le| [le, ""]))]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .peekable();
        let mut slots = labels.iter_mut();
        for (pair_name, value) in pairs {
            while let Some((name, parts)) = own.next_if(|(name, _)| name < pair_name) {
                set(slots.next(), name, parts);
            }
            set(slots.next(), pair_name, [value, ""]);
        }
        for (name, parts) in own {
            set(slots.next(), name, parts);
        }
    }

    /// Adds the series that was put together; it has one sample.
    pub(super) fn add(&mut self) {
        let bytes = message::encoded_len(TIMESERIES_TAG, &self.series);
        self.make_room(bytes);
        message::encode(TIMESERIES_TAG, &self.series, &mut self.body);
        self.samples += 1;
        self.entries += 1;
        self.series.samples.clear();
        self.series.histograms.clear();
        self.series.exemplars.clear();
    }

    pub(super) fn add_metadata(&mut self, metadata: &MetricMetadata) {
        self.make_room(message::encoded_len(METADATA_TAG, metadata));
        message::encode(METADATA_TAG, metadata, &mut self.body);
        self.entries += 1;
    }

    fn make_room(&mut self, bytes: usize) {
        if self.entries >= self.max_samples || self.body.len() + bytes > self.max_bytes {
            self.hand_on();
        }
    }

    /// Hands on what there is.
    pub(super) fn hand_on(&mut self) {
        if self.entries == 0 {
            return;
        }
        // OK because the only failure is a body of 4 GiB, and a body has at most a few megabytes.
        let body = snap::raw::Encoder::new().compress_vec(&self.body).unwrap_or_default();
        self.outbox.put(as_message(body), self.samples as u64);
        self.body.clear();
        (self.samples, self.entries) = (0, 0);
    }
}

fn set(label: Option<&mut Label>, name: &str, value: [&str; 2]) {
    if let Some(label) = label {
        label.name.clear();
        label.name.push_str(name);
        label.value.clear();
        label.value.push_str(value[0]);
        label.value.push_str(value[1]);
    }
}

/// A request as the protocol wants it.
fn as_message(body: Vec<u8>) -> Message {
    Message::new(Bytes::from(body))
        .with_content_type("application/x-protobuf")
        .with_header("Content-Encoding", "snappy")
        .with_header("X-Prometheus-Remote-Write-Version", "0.1.0")
}

/// What such a request carries.
#[cfg(test)]
pub(super) fn read(message: &Message) -> super::proto::WriteRequest {
    use prost::Message as _;
    let body = snap::raw::Decoder::new().decompress_vec(message.body()).unwrap();
    super::proto::WriteRequest::decode(&*body).unwrap()
}
