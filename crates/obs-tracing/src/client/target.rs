//! Where a request goes, as it may be shown.

use obs_model::{REDACTED, Redactor};

use crate::fields::cut;

/// The longest URL that is shown, in bytes.
const MAX_URL_BYTES: usize = 2 * 1024;

/// Parameters that sign or open what they belong to, beside those with secret names.
const SIGNATURES: [&str; 9] = [
    "awsaccesskeyid",
    "code",
    "sig",
    "signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// Where a request goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target<'a> {
    pub(super) scheme: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) port: Option<u16>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    pub(super) fn of_uri(uri: &'a http::Uri) -> Self {
        Self {
            scheme: uri.scheme_str(),
            host: uri.host(),
            port: uri.port_u16(),
            path: uri.path(),
            query: uri.query(),
        }
    }

    /// The port, also where the scheme implies it.
    pub(super) fn effective_port(&self) -> Option<u16> {
        self.port.or(match self.scheme {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        })
    }

    /// The URL, without user and password, fragment, and the values of secret parameters.
    pub(super) fn shown(&self, redactor: &Redactor) -> String {
        let mut url = String::with_capacity(64);
        if let (Some(scheme), Some(host)) = (self.scheme, self.host) {
            url.push_str(scheme);
            url.push_str("://");
            url.push_str(host);
            if let Some(port) = self.port {
                url.push(':');
                url.push_str(&port.to_string());
            }
        }
        url.push_str(self.path);
        let mut separator = '?';
        for pair in self.query.into_iter().flat_map(|query| query.split('&')) {
            url.push(separator);
            separator = '&';
            match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && is_secret(name, redactor) => {
                    url.push_str(name);
                    url.push('=');
                    url.push_str(REDACTED);
                }
                _ => url.push_str(pair),
            }
            if url.len() > MAX_URL_BYTES {
                break;
            }
        }
        let kept = cut(&url, MAX_URL_BYTES).len();
        url.truncate(kept);
        url
    }
}

/// Whether the parameter `name`, as it stands in a URL, has a value that nobody should read.
fn is_secret(name: &str, redactor: &Redactor) -> bool {
    // OK because a name that is written with escapes is none that any of these services documents: it is hidden.
    name.contains('%')
        || redactor.is_secret_key(name)
        || SIGNATURES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_is_shown_without_what_opens_doors() {
        for (given, expected) in [
            ("https://ada:pw@shop.example:8443/a?page=2", "https://shop.example:8443/a?page=2"),
            (
                "http://h/x?api_key=12345&page=2&token=",
                "http://h/x?api_key=[redacted]&page=2&token=",
            ),
            (
                "http://h/x?X-Amz-Signature=ab&sig=1&b",
                "http://h/x?X-Amz-Signature=[redacted]&sig=[redacted]&b",
            ),
            ("http://h/x?p%61ssword=1", "http://h/x?p%61ssword=[redacted]"),
            ("/shop.Stock/Get", "/shop.Stock/Get"),
            ("http://[::1]:80/", "http://[::1]:80/"),
        ] {
            let uri: http::Uri = given.parse().unwrap();
            assert_eq!(Target::of_uri(&uri).shown(&Redactor::new()), expected);
        }
        let uri: http::Uri = "https://h/".parse().unwrap();
        assert_eq!(Target::of_uri(&uri).effective_port(), Some(443));
    }

    proptest! {
        #[test]
        fn any_url_is_shown_within_the_bound_and_without_its_secret(
            path in "/[a-z/]{0,3000}", names in prop::collection::vec("[a-z]{1,5}", 0..50),
        ) {
            let query = names.iter().map(|name| format!("{name}=1&password=hunter2")).collect::<Vec<_>>().join("&");
            let target = Target { path: &path, query: Some(&query), ..Target::default() };
            let shown = target.shown(&Redactor::new());
            prop_assert!(shown.len() <= MAX_URL_BYTES && !shown.contains("hunter2"));
        }
    }
}
