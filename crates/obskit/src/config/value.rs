//! Reading single values from text.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Compression;

/// Why a text is not a value: what would be accepted.
pub(super) type Expected = String;

/// true or false, and the other usual words.
pub(super) fn boolean(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(String::from("true or false")),
    }
}

/// A duration as numbers with units, largest first: `90s`, `1h30m`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, Expected> {
    let expected = || String::from("a duration such as 500ms, 5s, 2m or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return Err(expected());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
        let number: u32 = rest[..digits].parse().map_err(|_| expected())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            _ => return Err(expected()),
        };
        total = unit
            .checked_mul(number)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(expected)?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

/// A duration within bounds, both included.
pub(super) fn duration_within(
    text: &str,
    least: Duration,
    most: Duration,
) -> Result<Duration, Expected> {
    let value = duration(text)?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(format!("a duration from {least:?} to {most:?}"))
    }
}

/// Whole milliseconds, as the variables whose names end in `_MS` and OpenTelemetry's give them.
pub(super) fn milliseconds(text: &str) -> Result<String, Expected> {
    let millis: u64 = text.parse().map_err(|_| String::from("a whole number of milliseconds"))?;
    Ok(format!("{millis}ms"))
}

/// The opposite of a truth, of a variable that says that something is off.
pub(super) fn opposite(text: &str) -> Result<String, Expected> {
    boolean(text).map(|is_off| (!is_off).to_string())
}

/// OpenTelemetry's filters of exemplars; ours takes those of sampled traces, or none.
pub(super) fn exemplar_filter(text: &str) -> Result<String, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "trace_based" => Ok(String::from("true")),
        "always_off" => Ok(String::from("false")),
        _ => Err(String::from("trace_based or always_off")),
    }
}

/// A list of exporters as OpenTelemetry names them; ours is `otlp`.
pub(super) fn exporters(text: &str) -> Result<String, Expected> {
    Ok(text.split(',').any(|name| name.trim() == "otlp").to_string())
}

/// Anything that reads itself from text.
pub(super) fn parsed<T: FromStr>(text: &str, expected: &str) -> Result<T, Expected> {
    text.parse().map_err(|_| expected.to_owned())
}

/// How what is sent is compressed.
pub(super) fn compression(text: &str) -> Result<Compression, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err(String::from("gzip or none")),
    }
}

/// A size in MiB, as bytes.
pub(super) fn mebibytes(text: &str, least: usize) -> Result<usize, Expected> {
    let size = text.parse::<usize>().ok().filter(|size| *size >= least);
    size.and_then(|size| size.checked_mul(1 << 20))
        .ok_or_else(|| format!("a whole number of MiB, at least {least}"))
}

/// A count that is not 0.
pub(super) fn at_least_one(text: &str, what: &str) -> Result<usize, Expected> {
    let count = text.parse::<usize>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("a whole number of {what}, at least 1"))
}

/// A whole number within bounds, both included.
pub(super) fn whole_within(
    text: &str,
    bounds: RangeInclusive<usize>,
    of: &str,
) -> Result<usize, Expected> {
    let number = text.parse::<usize>().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        format!("a whole number of {of} from {} to {}", bounds.start(), bounds.end())
    })
}

/// Paths with commas between them.
pub(super) fn paths(text: &str) -> Result<Vec<PathBuf>, Expected> {
    let paths: Vec<PathBuf> =
        text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if paths.is_empty() { Err(String::from("paths with commas between them")) } else { Ok(paths) }
}

/// A text with something in it.
pub(super) fn filled(text: &str, expected: &str) -> Result<String, Expected> {
    if text.trim().is_empty() { Err(expected.to_owned()) } else { Ok(text.to_owned()) }
}

/// An absolute URL of HTTP or HTTPS.
pub(super) fn http_url(text: &str) -> Result<String, Expected> {
    let authority = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match authority {
        Some(rest)
            if !rest.is_empty()
                && !rest.starts_with('/')
                && !text.contains(char::is_whitespace) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(String::from("a URL that begins with http:// or https://")),
    }
}

/// `name=value` pairs with commas between them, as OpenTelemetry writes headers and attributes; values may be
/// percent-encoded (W3C Baggage).
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, Expected> {
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
            Some((name.trim().to_owned(), percent_decoded(value.trim())?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| String::from("name=value pairs with commas between them"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            ("1h30m", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("5 s", None),
            ("-5s", None),
            ("5y", None),
            ("99999999999s", None),
        ] {
            assert_eq!(duration(text).ok().map(|d| d.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn pairs_are_decoded_as_baggage() {
        assert_eq!(
            pairs("api-key=a%20b, x = 1 ,").unwrap(),
            [("api-key".to_owned(), "a b".to_owned()), ("x".to_owned(), "1".to_owned())]
        );
        for bad in ["novalue", "=x", "a=%zz", "a=%f"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_needs_a_scheme_and_a_host() {
        assert!(http_url("https://h/x?y").is_ok());
        for bad in ["", "h:4318", "ftp://h", "http://", "http:///x", "http://a b"] {
            assert!(http_url(bad).is_err(), "{bad}");
        }
    }
}
