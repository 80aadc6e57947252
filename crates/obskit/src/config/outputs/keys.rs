//! The keys of an output, by its kind, and what is read from their values.

use std::time::Duration;

use super::super::logging::format;
use super::super::rules::{Field, set};
use super::super::shipping::list;
use super::super::tls::path;
use super::super::value::{
    Expected, boolean, duration_within, filled, http_url, mebibytes, pairs, parsed,
};
use super::{LogOutputSettings, OutputFraming, OutputKind, OutputRotation, OutputSync, SyslogBody};

/// What may be given.
pub(super) const URLS: &str = "stdout, stderr, file:PATH, syslog://host:port, \
    syslog+tcp://host:port, syslog+tls://host:port, syslog+unix:///path, loki://host:port, \
    elasticsearch://host:port/index or otlp://host:port (for TLS loki+https, elasticsearch+https \
    and otlp+https; by gRPC otlp+grpc and otlp+grpcs)";

const MINUTE: Duration = Duration::from_secs(60);
const YEARS: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The keys that every output has.
const COMMON: &[Field<LogOutputSettings>] = &[
    ("url", |o, text| set(&mut o.url, url(text))),
    ("name", |o, text| set(&mut o.name, filled(text, "a name").map(Some))),
    ("level", |o, text| {
        set(&mut o.level, parsed(text, "trace, debug, info, warn or error").map(Some))
    }),
    ("only_fields", |o, text| set(&mut o.only_fields, pairs(text))),
    ("without_fields", |o, text| set(&mut o.without_fields, pairs(text))),
    ("fields", |o, text| set(&mut o.fields, pairs(text))),
];

/// The keys that only a file has.
const FILE: &[Field<LogOutputSettings>] = &[
    ("max_mib", |o, text| set(&mut o.file.max_bytes, mebibytes(text, 1).map(|n| Some(n as u64)))),
    ("rotate", |o, text| set(&mut o.file.rotate, rotation(text).map(Some))),
    ("keep_files", |o, text| {
        set(&mut o.file.keep_files, parsed(text, "a whole number of files").map(Some))
    }),
    ("keep_mib", |o, text| set(&mut o.file.keep_bytes, mebibytes(text, 1).map(|n| Some(n as u64)))),
    ("keep_for", |o, text| {
        set(&mut o.file.keep_for, duration_within(text, MINUTE, YEARS).map(Some))
    }),
    ("compress", |o, text| set(&mut o.file.compress, boolean(text))),
    ("format", |o, text| set(&mut o.file.format, format(text))),
    ("mode", |o, text| set(&mut o.file.mode, mode(text).map(Some))),
    ("sync", |o, text| set(&mut o.file.sync, sync(text))),
    ("reopen_on_sighup", |o, text| set(&mut o.file.reopen_on_sighup, boolean(text))),
];

/// The keys that only syslog has.
const SYSLOG: &[Field<LogOutputSettings>] = &[
    ("fallback", |o, text| set(&mut o.syslog.fallback, syslog_url(text).map(Some))),
    ("facility", |o, text| set(&mut o.syslog.facility, filled(text, "a facility").map(Some))),
    ("hostname", |o, text| set(&mut o.syslog.hostname, filled(text, "a name").map(Some))),
    ("app_name", |o, text| set(&mut o.syslog.app_name, filled(text, "a name").map(Some))),
    ("message_id", |o, text| set(&mut o.syslog.message_id, filled(text, "an id").map(Some))),
    ("framing", |o, text| set(&mut o.syslog.framing, framing(text))),
    ("body", |o, text| set(&mut o.syslog.body, body(text))),
    ("enterprise", |o, text| {
        set(&mut o.syslog.enterprise, parsed(text, "a private enterprise number").map(Some))
    }),
];

/// The keys that all have that can be sent to over TLS.
const TLS: &[Field<LogOutputSettings>] = &[
    ("root_file", |o, text| set(&mut o.tls.root_file, path(text).map(Some))),
    ("certificate_file", |o, text| set(&mut o.tls.certificate_file, path(text).map(Some))),
    ("key_file", |o, text| set(&mut o.tls.key_file, path(text).map(Some))),
];

/// The keys that all have that are sent to over HTTP.
const HTTP: &[Field<LogOutputSettings>] = &[
    ("fallback", |o, text| set(&mut o.http.fallback, http_url(text).map(Some))),
    ("headers", |o, text| set(&mut o.http.headers, pairs(text))),
    ("user", |o, text| set(&mut o.http.user, filled(text, "a name").map(Some))),
    ("password", |o, text| set(&mut o.http.password, filled(text, "a password").map(Some))),
];

const TOKEN: Field<LogOutputSettings> =
    ("token", |o, text| set(&mut o.http.token, filled(text, "a token").map(Some)));

/// The keys that only Loki has.
const LOKI: &[Field<LogOutputSettings>] = &[
    TOKEN,
    ("tenant", |o, text| set(&mut o.http.tenant, filled(text, "a tenant").map(Some))),
    ("labels", |o, text| set(&mut o.http.labels, pairs(text))),
    ("label_fields", |o, text| set(&mut o.http.label_fields, list(text))),
    ("structured_metadata", |o, text| {
        set(&mut o.http.structured_metadata, boolean(text).map(Some))
    }),
];

/// The keys that only Elasticsearch has.
const ELASTICSEARCH: &[Field<LogOutputSettings>] = &[
    ("api_key", |o, text| set(&mut o.http.api_key, filled(text, "an API key").map(Some))),
    ("pipeline", |o, text| {
        set(&mut o.http.pipeline, filled(text, "the name of a pipeline").map(Some))
    }),
];

/// The keys of an output of a kind.
pub(super) fn of(kind: Option<OutputKind>) -> Vec<Field<LogOutputSettings>> {
    let own: [&[Field<LogOutputSettings>]; 3] = match kind {
        None | Some(OutputKind::Stdout | OutputKind::Stderr) => [&[], &[], &[]],
        Some(OutputKind::File) => [FILE, &[], &[]],
        Some(OutputKind::Syslog) => [SYSLOG, &[], TLS],
        Some(OutputKind::Loki) => [HTTP, LOKI, TLS],
        Some(OutputKind::Elasticsearch) => [HTTP, ELASTICSEARCH, TLS],
        Some(OutputKind::Otlp) => [HTTP, &[TOKEN], TLS],
    };
    COMMON.iter().chain(own.into_iter().flatten()).copied().collect()
}

/// The URL of an output.
pub(super) fn url(text: &str) -> Result<String, Expected> {
    let has_more = match OutputKind::of(text) {
        Some(OutputKind::Stdout | OutputKind::Stderr) => !text.contains(':'),
        Some(OutputKind::File) => !text["file:".len().min(text.len())..].is_empty(),
        Some(_) => text.contains("://"),
        None => false,
    };
    if has_more { Ok(text.to_owned()) } else { Err(URLS.to_owned()) }
}

fn syslog_url(text: &str) -> Result<String, Expected> {
    let found = url(text).ok().filter(|url| OutputKind::of(url) == Some(OutputKind::Syslog));
    found.ok_or_else(|| String::from("the URL of a syslog server"))
}

fn rotation(text: &str) -> Result<OutputRotation, Expected> {
    match text {
        "hourly" => Ok(OutputRotation::Hourly),
        "daily" => Ok(OutputRotation::Daily),
        _ => Err(String::from("hourly or daily")),
    }
}

/// Permissions in octal digits: `0640`, `640`, and `0o640` as TOML has it.
fn mode(text: &str) -> Result<u32, Expected> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0o").unwrap_or(digits);
    let is_octal = !digits.is_empty() && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = is_octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten();
    mode.filter(|mode| *mode <= 0o777 && mode & 0o200 != 0).ok_or_else(|| {
        String::from("octal permissions up to 0777 that let the owner write, such as 0640")
    })
}

fn sync(text: &str) -> Result<OutputSync, Expected> {
    match text {
        "never" => Ok(OutputSync::Never),
        "rotation" => Ok(OutputSync::Rotation),
        "write" => Ok(OutputSync::Write),
        _ => Err(String::from("never, rotation or write")),
    }
}

fn framing(text: &str) -> Result<OutputFraming, Expected> {
    match text {
        "auto" => Ok(OutputFraming::Auto),
        "octet_counting" => Ok(OutputFraming::OctetCounting),
        "line_feed" => Ok(OutputFraming::LineFeed),
        _ => Err(String::from("auto, octet_counting or line_feed")),
    }
}

fn body(text: &str) -> Result<SyslogBody, Expected> {
    match text {
        "message" => Ok(SyslogBody::Message),
        "json" => Ok(SyslogBody::Json),
        _ => Err(String::from("message or json")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_an_output_stands_in_the_book() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/configuration.md");
        let text = std::fs::read_to_string(page).unwrap();
        let at = text.find("| key of `[[log.output]]` |").expect("the book has the table");
        for url in ["file:a", "syslog://h", "loki://h", "elasticsearch://h/i", "otlp://h"] {
            for (key, _) in of(OutputKind::of(url)) {
                assert!(text[at..].contains(&format!("`{key}`")), "{key} of {url} is missing");
            }
        }
    }
}
