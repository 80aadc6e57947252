//! What an HTTP server answered, and what that means for the message.

use reqwest::StatusCode;

/// The answer to one attempt over HTTP.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HttpAnswer<'a> {
    /// The status code.
    pub status: u16,
    /// The first 16 KiB of the body, as far as it came within a second.
    pub body: &'a [u8],
}

/// What an answer means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived.
    Delivered,
    /// It has not, and trying again can help.
    Passing,
    /// It has not, and never will.
    Permanent,
}

impl HttpAnswer<'_> {
    /// What the status alone says: 2xx is delivered; 408, 425, 429 and 5xx are passing; any other is permanent.
    #[must_use]
    pub fn by_status(&self) -> Verdict {
        match StatusCode::from_u16(self.status) {
            Ok(status) if status.is_success() => Verdict::Delivered,
            Ok(
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS,
            ) => Verdict::Passing,
            Ok(status) if status.is_server_error() => Verdict::Passing,
            _ => Verdict::Permanent,
        }
    }
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpMethod {
    /// POST.
    #[default]
    Post,
    /// PUT, which replaces what is there.
    Put,
    /// DELETE, whose body most servers ignore.
    Delete,
}

impl From<HttpMethod> for reqwest::Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Post => Self::POST,
            HttpMethod::Put => Self::PUT,
            HttpMethod::Delete => Self::DELETE,
        }
    }
}
