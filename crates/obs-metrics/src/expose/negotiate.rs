//! Which format, which names and which compression a reader gets, by what it says that it accepts.
//!
//! <https://prometheus.io/docs/instrumenting/content_negotiation/>, RFC 9110 sections 12.5.1 and 12.5.3.

use super::escape::Escaping;

/// A format that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format, version 0.0.4 or 1.0.0, which differ only in what names may look like.
    Text {
        /// Whether version 1.0.0 was asked for.
        version: TextVersion,
    },
    /// OpenMetrics 1.0.
    OpenMetrics {
        /// Whether the early version 0.0.1 was asked for.
        version: OpenMetricsVersion,
    },
    /// `io.prometheus.client.MetricFamily`, delimited.
    Protobuf,
}

/// A version of the text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextVersion {
    /// The one that everybody reads.
    V0_0_4,
    /// The one with UTF-8 names.
    V1_0_0,
}

/// A version of OpenMetrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMetricsVersion {
    /// The draft that early readers ask for; the documents are the same.
    V0_0_1,
    /// The standard.
    V1_0_0,
}

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) format: Format,
    pub(super) escaping: Escaping,
    /// Whether the reader named an escaping, so that the answer should.
    pub(super) says_escaping: bool,
}

impl Choice {
    /// The text format 0.0.4 with names that everybody accepts.
    pub(super) const PLAIN: Self = Self {
        format: Format::Text { version: TextVersion::V0_0_4 },
        escaping: Escaping::Underscores,
        says_escaping: false,
    };

    /// What `accept`, the value of that header, asks for most.
    pub(super) fn of(accept: Option<&str>) -> Self {
        let mut best: Option<(u16, Self)> = None;
        for range in accept.unwrap_or_default().split(',').map(MediaRange::parse) {
            let Some(choice) = range.choice() else { continue };
            // Of equal weights the one that stands first counts.
            if range.weight > 0 && best.is_none_or(|(weight, _)| range.weight > weight) {
                best = Some((range.weight, choice));
            }
        }
        best.map_or(Self::PLAIN, |(_, choice)| choice)
    }

    /// The value of the `Content-Type` header of the answer.
    pub(super) fn content_type(self) -> String {
        let base = match self.format {
            Format::Text { version: TextVersion::V0_0_4 } => super::TEXT_CONTENT_TYPE,
            Format::Text { version: TextVersion::V1_0_0 } => {
                "text/plain; version=1.0.0; charset=utf-8"
            }
            Format::OpenMetrics { version: OpenMetricsVersion::V0_0_1 } => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8"
            }
            Format::OpenMetrics { version: OpenMetricsVersion::V1_0_0 } => {
                super::OPENMETRICS_CONTENT_TYPE
            }
            Format::Protobuf => super::PROTOBUF_CONTENT_TYPE,
        };
        if self.says_escaping {
            format!("{base}; escaping={}", self.escaping.as_str())
        } else {
            base.to_owned()
        }
    }
}

/// One element of an `Accept` header.
struct MediaRange<'a> {
    kind: &'a str,
    parameters: &'a str,
    /// Thousandths.
    weight: u16,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Self {
        let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
        let weight = find_parameter(parameters, "q").map_or(1_000, weight);
        Self { kind: kind.trim(), parameters, weight }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        find_parameter(self.parameters, name)
    }

    fn choice(&self) -> Option<Choice> {
        let is = |kind: &str| self.kind.eq_ignore_ascii_case(kind);
        let version = self.parameter("version");
        let escaping = self.parameter("escaping").and_then(Escaping::from_parameter);
        let format = if is("application/openmetrics-text") {
            let version = match version {
                Some("0.0.1") => OpenMetricsVersion::V0_0_1,
                Some("1.0.0") | None => OpenMetricsVersion::V1_0_0,
                Some(_) => return None,
            };
            Format::OpenMetrics { version }
        } else if is("text/plain") {
            let version = match version {
                Some("1.0.0") => TextVersion::V1_0_0,
                Some("0.0.4") | None => TextVersion::V0_0_4,
                Some(_) => return None,
            };
            Format::Text { version }
        } else if is("application/vnd.google.protobuf") {
            let proto = self.parameter("proto");
            let encoding = self.parameter("encoding");
            if proto != Some("io.prometheus.client.MetricFamily") || encoding != Some("delimited") {
                return None;
            }
            Format::Protobuf
        } else if is("text/*") || is("*/*") {
            return Some(Choice::PLAIN);
        } else {
            return None;
        };
        // The newer text format's content type always names the escaping.
        let must_say = format == Format::Text { version: TextVersion::V1_0_0 };
        Some(Choice {
            format,
            escaping: escaping.unwrap_or_default(),
            says_escaping: must_say || escaping.is_some(),
        })
    }
}

/// Whether the reader accepts gzip, and does not like the plain form better.
pub(super) fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let mut gzip = None;
    let mut identity = None;
    let mut others = None;
    for coding in accept_encoding.unwrap_or_default().split(',') {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = find_parameter(parameters, "q").map_or(1_000, weight);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => others = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(others).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// The value of a parameter, without quotes.
fn find_parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(known, _)| known.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

/// A weight in thousandths; one that makes no sense counts as none.
fn weight(text: &str) -> u16 {
    match text.parse::<f32>() {
        // OK because the range was just checked.
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1_000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_with_the_largest_weight_is_chosen() {
        const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let native = format!("{PROTOBUF},{prometheus_2}");
        let plain = "text/plain; version=0.0.4; charset=utf-8";
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        for (accept, expected) in [
            (None, plain.to_owned()),
            (Some(""), plain.to_owned()),
            (Some("*/*"), plain.to_owned()),
            (Some("text/html, application/json;q=0.9"), plain.to_owned()),
            (Some("text/plain;version=9"), plain.to_owned()),
            (Some(prometheus_2), openmetrics.to_owned()),
            (Some(prometheus_3), format!("{openmetrics}; escaping=allow-utf-8")),
            (Some(&native), "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited".to_owned()),
            (Some("application/openmetrics-text;q=0, */*;q=0.1"), plain.to_owned()),
            (Some("application/openmetrics-text;version=0.0.1"), "application/openmetrics-text; version=0.0.1; charset=utf-8".to_owned()),
            (Some("text/plain;q=0.2, Application/OpenMetrics-Text; Version=\"1.0.0\" ; q=0.3"), openmetrics.to_owned()),
            (Some("text/plain;version=1.0.0;escaping=values"), "text/plain; version=1.0.0; charset=utf-8; escaping=values".to_owned()),
            (Some("text/plain;version=1.0.0;escaping=what"), "text/plain; version=1.0.0; charset=utf-8; escaping=underscores".to_owned()),
            (Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"), plain.to_owned()),
            (Some("application/openmetrics-text;q=2, text/*"), plain.to_owned()),
        ] {
            assert_eq!(Choice::of(accept).content_type(), expected, "{accept:?}");
        }
    }

    #[test]
    fn gzip_is_used_when_it_is_accepted_and_not_liked_less() {
        for (accepted, expected) in [
            (None, false),
            (Some(""), false),
            (Some("gzip"), true),
            (Some("deflate, GZIP;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("*"), true),
            (Some("*;q=0.5, gzip;q=0"), false),
            (Some("identity;q=1, gzip;q=0.5"), false),
            (Some("identity"), false),
            (Some("br"), false),
        ] {
            assert_eq!(accepts_gzip(accepted), expected, "{accepted:?}");
        }
    }
}
