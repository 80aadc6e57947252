//! Sending the data: the same requests to every server, in order of time.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::Client;
use crate::data::Data;
use crate::servers::Server;

/// How many samples of how many series a request has.
const REQUEST: (usize, usize) = (40, 1_000);
/// How far ahead of now the data ends, so that rules which are evaluated during the measuring find a full window.
const AHEAD_SECONDS: u64 = 9 * 60;

/// What is sent.
pub(crate) struct Load {
    series: usize,
    ticks: usize,
    interval_millis: i64,
    start_millis: i64,
}

/// How the sending went.
pub(crate) struct Loaded {
    pub(crate) samples: u64,
    /// How long the requests took, the making of them apart.
    pub(crate) took: Duration,
    /// What the process had in memory before and after, in bytes.
    pub(crate) resident: (u64, u64),
}

impl Load {
    pub(crate) fn new(series: usize, hours: u64, interval_seconds: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let end = (now + AHEAD_SECONDS) / interval_seconds * interval_seconds;
        // OK because the numbers of a benchmark are far below what the types hold.
        let ticks = (hours * 3_600 / interval_seconds) as usize;
        let interval_millis = interval_seconds.cast_signed() * 1_000;
        let start_millis = end.cast_signed() * 1_000 - (ticks as i64 - 1) * interval_millis;
        Self { series, ticks, interval_millis, start_millis }
    }

    /// The time of the last sample, in seconds.
    pub(crate) fn end(&self) -> i64 {
        (self.start_millis + (self.ticks as i64 - 1) * self.interval_millis) / 1_000
    }

    /// How long the data are, in seconds.
    pub(crate) fn length(&self) -> i64 {
        self.ticks as i64 * self.interval_millis / 1_000
    }

    /// Sends everything on one connection.
    pub(crate) fn send(
        &self,
        server: &Server,
        client: &mut Client,
    ) -> Result<Loaded, Box<dyn Error>> {
        let before = server.resident()?;
        let mut data = Data::new(self.series)?;
        let labels: Vec<Vec<u8>> = data.labels().iter().map(label_fields).collect();
        let mut encoder = snap::raw::Encoder::new();
        let (mut took, mut samples, mut row) = (Duration::ZERO, 0, Vec::new());
        for first in (0..self.ticks).step_by(REQUEST.0) {
            let last = (first + REQUEST.0).min(self.ticks);
            let mut slice = vec![Vec::with_capacity(REQUEST.0); self.series];
            for _ in first..last {
                data.next(&mut row);
                slice.iter_mut().zip(&row).for_each(|(values, value)| values.push(*value));
            }
            let start = self.start_millis + first as i64 * self.interval_millis;
            let all: Vec<_> = labels.iter().zip(&slice).collect();
            for batch in all.chunks(REQUEST.1) {
                let message = self.message(batch, start);
                let body = encoder.compress_vec(&message)?;
                let started = Instant::now();
                client.write(&body)?;
                took += started.elapsed();
                samples += (batch.len() * (last - first)) as u64;
            }
        }
        server.flush(client)?;
        // What the server tidies up right after it took something in is part of the state that is measured.
        std::thread::sleep(Duration::from_secs(3));
        Ok(Loaded { samples, took, resident: (before, server.resident()?) })
    }

    /// A write request: for each series its labels, and its values from `start` on.
    fn message(&self, batch: &[(&Vec<u8>, &Vec<f64>)], start: i64) -> Vec<u8> {
        let mut message = Vec::new();
        let mut series = Vec::new();
        for (labels, values) in batch {
            series.clear();
            series.extend_from_slice(labels);
            for (index, value) in values.iter().enumerate() {
                let at = start + index as i64 * self.interval_millis;
                let mut sample = vec![0x09];
                sample.extend_from_slice(&value.to_le_bytes());
                sample.push(0x10);
                varint(&mut sample, at.cast_unsigned());
                series.push(0x12);
                varint(&mut series, sample.len() as u64);
                series.extend_from_slice(&sample);
            }
            message.push(0x0a);
            varint(&mut message, series.len() as u64);
            message.extend_from_slice(&series);
        }
        message
    }
}

/// Labels as the fields of a series in protobuf.
fn label_fields(labels: &obs_model::Labels) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in labels.iter() {
        let mut label = Vec::new();
        for (tag, text) in [(0x0a, name), (0x12, value)] {
            label.push(tag);
            varint(&mut label, text.len() as u64);
            label.extend_from_slice(text.as_bytes());
        }
        fields.push(0x0a);
        varint(&mut fields, label.len() as u64);
        fields.extend_from_slice(&label);
    }
    fields
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
