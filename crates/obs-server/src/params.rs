//! Query parameters and parts of paths, read so that a mistake is answered with what would have been accepted.

use std::ops::RangeInclusive;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use crate::reply::ApiError;

/// The parameters of a request in their order.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// The text of a parameter, if it is there; of one given twice, the last counts.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(given, _)| given == name).map(|(_, text)| text.as_str())
    }

    /// Every text of a parameter that may be given more than once.
    #[cfg(feature = "tracing")]
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs().filter(move |(given, _)| *given == name).map(|(_, text)| text)
    }

    /// Every parameter with its text.
    #[cfg(feature = "tracing")]
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// A whole number out of `accepted`; `default` when the parameter is absent or empty.
    pub(crate) fn number(
        &self,
        name: &str,
        default: u32,
        accepted: RangeInclusive<u32>,
    ) -> Result<u32, ApiError> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else {
            return Ok(default);
        };
        text.parse().ok().filter(|number| accepted.contains(number)).ok_or_else(|| {
            let shown: String = text.chars().take(32).collect();
            ApiError::bad_request(format!(
                "{name} is {shown:?}: a whole number from {} to {} is accepted",
                accepted.start(),
                accepted.end()
            ))
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(params)| Self(params))
            .map_err(|_: QueryRejection| ApiError::bad_request("the query is not name=value pairs"))
    }
}

/// The one variable part of a path.
#[cfg(any(feature = "errors", feature = "tracing"))]
pub(crate) struct PathText(pub(crate) String);

#[cfg(any(feature = "errors", feature = "tracing"))]
impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(text)| Self(text))
            .map_err(|_| ApiError::bad_request("the path is not percent-encoded UTF-8"))
    }
}
