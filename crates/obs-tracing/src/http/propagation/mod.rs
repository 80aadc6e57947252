//! How trace and span travel in the headers of requests.

mod b3;
mod jaeger;
pub(super) mod traceparent;

use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::incoming::Caller;
use crate::traceparent::Parent;

pub(super) use traceparent::TRACEPARENT;

/// A form in which trace and span travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Propagator {
    /// `traceparent` of W3C Trace Context.
    TraceContext,
    /// The single header `b3` of Zipkin.
    B3,
    /// The headers `X-B3-TraceId`, `X-B3-SpanId` and `X-B3-Sampled` of Zipkin.
    B3Multi,
    /// `uber-trace-id` of Jaeger.
    Jaeger,
}

impl Propagator {
    /// Reads a list such as `OTEL_PROPAGATORS` holds: `tracecontext`, `b3`, `b3multi`, `jaeger`, with commas between
    /// them, or `none`. `baggage` is accepted and has no effect: what is passed on is up to
    /// [`LogConfig::baggage`](crate::LogConfig).
    ///
    /// ```
    /// use obs_tracing::http::Propagator;
    ///
    /// let list = Propagator::list("tracecontext, baggage, b3")?;
    /// assert_eq!(list, [Propagator::TraceContext, Propagator::B3]);
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The name that is not known, and those that are.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let mut list = Vec::new();
        for name in text.split(',').map(str::trim) {
            let propagator = match name {
                "tracecontext" => Self::TraceContext,
                "b3" => Self::B3,
                "b3multi" => Self::B3Multi,
                "jaeger" => Self::Jaeger,
                "baggage" | "none" | "" => continue,
                _ => {
                    return Err(format!(
                        "unknown propagator {name:?}: expected tracecontext, baggage, b3, b3multi, jaeger or none"
                    ));
                }
            };
            if !list.contains(&propagator) {
                list.push(propagator);
            }
        }
        Ok(list)
    }

    pub(super) fn read(self, headers: &HeaderMap) -> Option<Caller> {
        match self {
            Self::TraceContext => traceparent::read(headers),
            Self::B3 => b3::read_single(headers),
            Self::B3Multi => b3::read_multi(headers),
            Self::Jaeger => jaeger::read(headers),
        }
    }

    fn write(self, parent: Parent, headers: &mut HeaderMap) {
        match self {
            Self::TraceContext => traceparent::write(parent, headers),
            Self::B3 => b3::write_single(parent, headers),
            Self::B3Multi => b3::write_multi(parent, headers),
            Self::Jaeger => jaeger::write(parent, headers),
        }
    }
}

/// Writes in every form.
pub(super) fn write(propagators: &[Propagator], parent: Parent, headers: &mut HeaderMap) {
    propagators.iter().for_each(|propagator| propagator.write(parent, headers));
}

/// A header that is there exactly once.
fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Reads up to `most` hexadecimal digits.
fn hex(text: &str, least: usize, most: usize) -> Option<u128> {
    let digits =
        (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if digits { u128::from_str_radix(text, 16).ok() } else { None }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    // OK because digits and separators are always a valid value.
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obs_model::{SpanId, TraceId};
    use proptest::prelude::*;

    const ALL: [Propagator; 4] =
        [Propagator::TraceContext, Propagator::B3, Propagator::B3Multi, Propagator::Jaeger];

    #[test]
    fn lists_are_read_and_unknown_names_are_refused() {
        assert_eq!(Propagator::list("none").unwrap(), []);
        assert_eq!(Propagator::list("jaeger,b3multi,jaeger").unwrap(), [ALL[3], ALL[2]]);
        assert!(Propagator::list("tracecontext,xray").unwrap_err().contains("\"xray\""));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_in_every_form(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let (trace, span) = (TraceId::new(trace).unwrap(), SpanId::new(span).unwrap());
            for propagator in ALL {
                let mut headers = HeaderMap::new();
                propagator.write(Parent { trace, span, sampled }, &mut headers);
                let read = propagator.read(&headers);
                let expected = Caller { parent: Some((trace, span)), sampled: Some(sampled) };
                prop_assert_eq!(read, Some(expected), "{:?}: {:?}", propagator, headers);
            }
        }

        #[test]
        fn any_header_is_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..90)) {
            for name in ["traceparent", "b3", "x-b3-traceid", "x-b3-sampled", "x-b3-flags", "uber-trace-id"] {
                let mut headers = HeaderMap::new();
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
                for propagator in ALL {
                    let _ = propagator.read(&headers);
                }
            }
        }
    }
}
