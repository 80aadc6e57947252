//! What is done to the body of a request before it is sent.

use bytes::Bytes;

use crate::{EncodeError, Message};

/// How the body of each request is compressed.
///
/// It is done once for a request, however often that is tried, and named in the `Content-Encoding` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// As a gzip file, RFC 1952; from level 1, the quickest, to 9.
    #[cfg(feature = "gzip")]
    Gzip(u32),
    /// As a zstd frame, RFC 8878; from level 1 to 22, of which 3 is the usual one.
    #[cfg(feature = "zstd")]
    Zstd(i32),
    /// As one snappy block, which is what Prometheus remote write and Loki take. It is not the framed format.
    #[cfg(feature = "snappy")]
    Snappy,
}

/// From this size on a body is compressed where it may take its time.
const LARGE: usize = 64 * 1_024;

impl Compression {
    /// The value of the `Content-Encoding` header, if there is any.
    #[must_use]
    pub const fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            #[cfg(feature = "gzip")]
            Self::Gzip(_) => Some("gzip"),
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => Some("zstd"),
            #[cfg(feature = "snappy")]
            Self::Snappy => Some("snappy"),
        }
    }

    /// Compresses one body.
    ///
    /// # Errors
    ///
    /// If the body is too large for the format, or the level is none of its levels.
    pub fn compress(self, body: &[u8]) -> Result<Bytes, EncodeError> {
        #[cfg(any(feature = "gzip", feature = "zstd", feature = "snappy"))]
        let failed = |error: &dyn std::fmt::Display| {
            EncodeError::new(format!("{} bytes could not be compressed: {error}", body.len()))
        };
        match self {
            Self::None => Ok(Bytes::copy_from_slice(body)),
            #[cfg(feature = "gzip")]
            Self::Gzip(level) => {
                use std::io::Write;
                let level = flate2::Compression::new(level.clamp(1, 9));
                let out = Vec::with_capacity(body.len() / 4 + 64);
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                encoder.write_all(body).map_err(|error| failed(&error))?;
                encoder.finish().map(Bytes::from).map_err(|error| failed(&error))
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(level) => {
                zstd::bulk::compress(body, level).map(Bytes::from).map_err(|error| failed(&error))
            }
            #[cfg(feature = "snappy")]
            Self::Snappy => snap::raw::Encoder::new()
                .compress_vec(body)
                .map(Bytes::from)
                .map_err(|error| failed(&error)),
        }
    }

    /// The message with its body compressed, unless it says of itself that it is already.
    pub(crate) async fn apply(self, message: Message) -> Result<Message, EncodeError> {
        let Some(encoding) = self.content_encoding() else { return Ok(message) };
        if message.headers().any(|(name, _)| name.eq_ignore_ascii_case("content-encoding")) {
            return Ok(message);
        }
        let body = message.body().clone();
        let compressed = if body.len() < LARGE {
            self.compress(&body)?
        } else {
            tokio::task::spawn_blocking(move || self.compress(&body))
                .await
                .map_err(|_| EncodeError::new("the runtime is shutting down"))??
        };
        Ok(message.with_body(compressed).with_header("content-encoding", encoding))
    }
}

#[cfg(all(test, feature = "gzip", feature = "zstd", feature = "snappy"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn decompressed(compression: Compression, body: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => body.to_vec(),
            Compression::Gzip(_) => {
                let mut out = Vec::new();
                flate2::read::GzDecoder::new(body).read_to_end(&mut out).expect("gzip");
                out
            }
            Compression::Zstd(_) => zstd::stream::decode_all(body).expect("zstd"),
            Compression::Snappy => snap::raw::Decoder::new().decompress_vec(body).expect("snappy"),
        }
    }

    const ALL: [Compression; 4] =
        [Compression::None, Compression::Gzip(6), Compression::Zstd(3), Compression::Snappy];

    proptest! {
        #[test]
        fn what_is_compressed_reads_back(body in proptest::collection::vec(any::<u8>(), 0..5_000)) {
            for compression in ALL {
                let compressed = compression.compress(&body).expect("compresses");
                prop_assert_eq!(&decompressed(compression, &compressed), &body);
            }
        }
    }

    #[tokio::test]
    async fn small_and_large_bodies_become_smaller_and_are_labelled_once() {
        for size in [1_000, 2 * LARGE] {
            for compression in [Compression::Gzip(1), Compression::Zstd(1), Compression::Snappy] {
                let message = Message::new(vec![b'x'; size]);
                let once = compression.apply(message).await.expect("compresses");
                assert!(once.body().len() < size / 4, "{compression:?}");
                let label = compression.content_encoding().expect("a label");
                assert_eq!(once.headers().collect::<Vec<_>>(), [("content-encoding", label)]);
                let twice = compression.apply(once.clone()).await.expect("compresses");
                assert_eq!(twice.body(), once.body());
            }
        }
    }
}
