//! The HTTP client, for asking a model and for the load.

/// A client that trusts the system's certificates.
///
/// # Errors
///
/// The system's certificates cannot be used.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    // An error says that a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tcp_nodelay(true).build()
}
