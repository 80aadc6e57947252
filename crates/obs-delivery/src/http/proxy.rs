//! Through which proxy requests go.

use std::fmt;

use reqwest::{ClientBuilder, NoProxy};
use url::Url;

/// Through which proxy requests go.
///
/// Its `Debug` form does not show the URL of a proxy, which may hold credentials.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// The one that the environment names: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the same in
    /// lower case.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one.
    Explicit {
        /// An `http` or `https` URL, if need be with user and password.
        url: String,
        /// The hosts that are spoken to directly: names, which stand for their subdomains as well, and addresses or
        /// networks such as `10.0.0.0/8`.
        except: Vec<String>,
    },
}

/// A proxy that can be used.
pub(super) struct Checked(Kind);

enum Kind {
    Environment,
    Direct,
    Explicit(Box<reqwest::Proxy>),
}

impl Proxy {
    pub(super) fn checked(&self, problems: &mut Vec<String>) -> Checked {
        let (url, except) = match self {
            Self::Environment => return Checked(Kind::Environment),
            Self::Direct => return Checked(Kind::Direct),
            Self::Explicit { url, except } => (url, except),
        };
        let is_accepted = Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        match reqwest::Proxy::all(url) {
            Ok(proxy) if is_accepted => {
                let except = NoProxy::from_string(&except.join(","));
                Checked(Kind::Explicit(Box::new(proxy.no_proxy(except))))
            }
            // The error would show the URL.
            _ => {
                problems.push("the URL of the proxy is not valid: an http or https URL".to_owned());
                Checked(Kind::Direct)
            }
        }
    }
}

impl Checked {
    pub(super) fn apply(self, builder: ClientBuilder) -> ClientBuilder {
        match self.0 {
            Kind::Environment => builder,
            Kind::Direct => builder.no_proxy(),
            Kind::Explicit(proxy) => builder.no_proxy().proxy(*proxy),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Direct => f.write_str("Direct"),
            Self::Explicit { except, .. } => {
                f.debug_struct("Explicit").field("except", except).finish_non_exhaustive()
            }
        }
    }
}
