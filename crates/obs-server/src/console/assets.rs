//! The console's style sheet, script and icon, compiled into the program.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// `GET /assets/console.css`
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("assets/console.css"))
}

/// `GET /assets/console.js`
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("assets/console.js"))
}

/// `GET /assets/icon.svg`
pub(crate) async fn icon() -> Response {
    file("image/svg+xml", include_str!("assets/icon.svg"))
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    // Browsers ask again each time, so that a new version of the service never meets an old file.
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}
