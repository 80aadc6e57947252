//! Requests of reqwest, observed.

use std::future::Future;
use std::sync::LazyLock;

use obs_model::WithContext;
use reqwest::{RequestBuilder, Response};
use tracing::Instrument;

use super::call::Shared;
use super::target::Target;

/// The rules of requests that do not go through a layer.
static SHARED: LazyLock<Shared> = LazyLock::new(Shared::default);

/// Sends a request of reqwest with a span, the ids and metrics; see the [module documentation](super).
///
/// Redirects that reqwest follows are part of the one call, and further attempts that it makes too.
///
/// ```no_run
/// use obs_tracing::client::SendObserved;
///
/// # async fn example() -> Result<(), reqwest::Error> {
/// let client = reqwest::Client::new();
/// let response = client.get("http://stock.internal/items/7").send_observed().await?;
/// assert!(response.status().is_success());
/// # Ok(()) }
/// ```
pub trait SendObserved: Sized {
    /// As [`RequestBuilder::send`], observed.
    ///
    /// # Errors
    ///
    /// Those of [`RequestBuilder::send`].
    fn send_observed(self) -> impl Future<Output = Result<Response, reqwest::Error>> + Send;
}

impl SendObserved for RequestBuilder {
    async fn send_observed(self) -> Result<Response, reqwest::Error> {
        let (client, request) = self.build_split();
        let mut request = request?;
        let (method, url) = (request.method().clone(), request.url().clone());
        let target = Target {
            scheme: Some(url.scheme()),
            host: url.host_str(),
            port: url.port(),
            path: url.path(),
            query: url.query(),
        };
        let mut call = SHARED.open(&method, target, request.headers_mut());
        let sent = client
            .execute(request)
            .in_context(call.context.clone())
            .instrument(call.span.clone())
            .await;
        match &sent {
            Ok(response) => call.finish(response.status().as_u16()),
            Err(error) => {
                // The message has the whole URL in it, which is not shown as it is.
                let shown = target.shown(&SHARED.redactor);
                let message = error.to_string().replace(url.as_str(), &shown);
                call.fail_as(&obs_model::type_name_of::<reqwest::Error>(), &message);
            }
        }
        sent
    }
}
