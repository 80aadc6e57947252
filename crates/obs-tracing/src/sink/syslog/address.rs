//! Where a syslog server is.

use std::fmt;
use std::path::PathBuf;

/// Where a syslog server is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Udp { host: String, port: u16 },
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16 },
    Unix(PathBuf),
}

impl Address {
    /// Reads a URL; the table of [`SyslogConfig`](super::SyslogConfig) says which there are.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "the URL {url:?} {what}: expected syslog://host:port, syslog+tcp://host:port, \
                 syslog+tls://host:port or syslog+unix:///path"
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
        if scheme == "syslog+unix" {
            return if rest.starts_with('/') {
                Ok(Self::Unix(rest.into()))
            } else {
                Err(wrong("has no absolute path"))
            };
        }
        let default_port = if scheme == "syslog+tls" { 6_514 } else { 514 };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = host_and_port(authority).map_err(wrong)?;
        let (host, port) = (host.to_owned(), port.unwrap_or(default_port));
        match scheme {
            "syslog" | "syslog+udp" => Ok(Self::Udp { host, port }),
            "syslog+tcp" => Ok(Self::Tcp { host, port }),
            "syslog+tls" => Ok(Self::Tls { host, port }),
            _ => Err(wrong("has another scheme")),
        }
    }
}

/// The parts of `host`, `host:514`, `[::1]` and `[::1]:514`; an IPv6 address without its brackets.
fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    if authority.contains(['/', '?', '#', '@', ' ']) {
        return Err("has more than a host and a port");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has an address without its end")?;
            (host, port.strip_prefix(':').or((!port.is_empty()).then_some("")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("has no host");
    }
    let port = port
        .map(|port| port.parse().ok().filter(|port| *port > 0).ok_or("has no port that is one"));
    Ok((host, port.transpose()?))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Udp { host, port } => ("udp", host, port),
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Tls { host, port } => ("tls", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{scheme}:[{host}]:{port}")
        } else {
            write!(f, "{scheme}:{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_name_a_transport_a_host_and_a_port() {
        for (url, expected) in [
            ("syslog://host:1514", "udp:host:1514"),
            ("syslog+udp://10.0.0.1/", "udp:10.0.0.1:514"),
            ("syslog+tcp://host", "tcp:host:514"),
            ("syslog+tls://logs.example.org", "tls:logs.example.org:6514"),
            ("syslog+tls://[2001:db8::1]:601", "tls:[2001:db8::1]:601"),
            ("syslog://[::1]", "udp:[::1]:514"),
            ("syslog+unix:///dev/log", "unix:/dev/log"),
        ] {
            assert_eq!(Address::parse(url).expect(url).to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_with_what_is_accepted() {
        for (url, what) in [
            ("host:514", "has no scheme"),
            ("http://host", "has another scheme"),
            ("syslog://", "has no host"),
            ("syslog://:514", "has no host"),
            ("syslog://host:0", "has no port that is one"),
            ("syslog://host:65536", "has no port that is one"),
            ("syslog://host:", "has no port that is one"),
            ("syslog://[::1", "has an address without its end"),
            ("syslog://[::1]5", "has no port that is one"),
            ("syslog://user@host", "has more than a host"),
            ("syslog://host/path", "has more than a host"),
            ("syslog+unix://dev/log", "has no absolute path"),
        ] {
            let problem = Address::parse(url).expect_err(url);
            assert!(problem.contains(what) && problem.contains("expected syslog://"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(syslog(\\+[a-z]{3,4})?://)?.*") {
            let _ = Address::parse(&text);
        }
    }
}
