//! Whom to trust over TLS, and how to prove who is asking.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::Error;
use crate::error::Kind;

/// Certificates or a key in PEM form, RFC 7468.
#[derive(Clone)]
pub struct Pem(Source);

#[derive(Clone)]
enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Pem {
    /// PEM text that is at hand.
    #[must_use]
    pub fn bytes(pem: impl Into<Vec<u8>>) -> Self {
        Self(Source::Bytes(pem.into()))
    }

    /// A file, which is read when the transport is made.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        match &self.0 {
            Source::Bytes(bytes) => Ok(bytes.clone()),
            Source::File(path) => std::fs::read(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display())),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let pem = self.read()?;
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| {
                format!("{self} is not valid: {error:?}: certificates in PEM form")
            })?;
        if certificates.is_empty() {
            return Err(format!("{self} holds no certificate: certificates in PEM form"));
        }
        Ok(certificates)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|_| {
            format!("{self} holds no private key: PKCS #8, PKCS #1 or SEC 1 in PEM form")
        })
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Bytes(_) => f.write_str("the PEM text"),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whom to trust over TLS, and how to prove who is asking.
///
/// The default trusts the roots of the operating system, and proves nothing.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    roots: Vec<Pem>,
    identity: Option<(Pem, Pem)>,
}

impl TlsConfig {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This config with a root certificate or several, instead of those of the operating system.
    #[must_use]
    pub fn with_roots(mut self, roots: Pem) -> Self {
        self.roots.push(roots);
        self
    }

    /// This config with a client certificate, followed by those between it and the root, and its private key.
    #[must_use]
    pub fn with_identity(mut self, chain: Pem, key: Pem) -> Self {
        self.identity = Some((chain, key));
        self
    }

    /// What a transport of one's own needs to talk TLS: the settings of a client of rustls 0.23, with ring, and without
    /// a protocol of the application's (ALPN).
    ///
    /// # Errors
    ///
    /// `is_config` if a certificate or a key cannot be read; the message lists every problem. Another error if the
    /// operating system's root certificates cannot be loaded.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let mut problems = Vec::new();
        let checked = self.checked(&mut problems);
        if !problems.is_empty() {
            return Err(Kind::Tls { problems }.into());
        }
        checked.client_config(true).map_err(|source| Kind::Roots { source }.into())
    }

    pub(crate) fn checked(&self, problems: &mut Vec<String>) -> Checked {
        let mut roots = RootCertStore::empty();
        for pem in &self.roots {
            match pem.certificates() {
                Ok(certificates) => {
                    for certificate in certificates {
                        if let Err(error) = roots.add(certificate) {
                            problems.push(format!("tls: a root of {pem} is not valid: {error}"));
                        }
                    }
                }
                Err(problem) => problems.push(format!("tls: {problem}")),
            }
        }
        let identity = self.identity.as_ref().and_then(|(chain, key)| {
            let mut noted = |problem: String| problems.push(format!("tls: {problem}"));
            let chain = chain.certificates().map_err(&mut noted);
            let key = key.key().map_err(&mut noted);
            Some((chain.ok()?, key.ok()?))
        });
        let identity = identity.and_then(|(chain, key)| {
            let key = Arc::new(ring::default_provider()).key_provider.load_private_key(key);
            match key {
                Ok(key) => Some(rustls::sign::CertifiedKey::new(chain, key)),
                Err(error) => {
                    problems.push(format!("tls: the private key is not valid: {error}"));
                    None
                }
            }
        });
        if let Some(Err(error)) = identity.as_ref().map(|identity| identity.keys_match())
            && !matches!(error, rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown))
        {
            problems.push(format!("tls: the private key is not the certificate's: {error}"));
        }
        Checked { roots: (!self.roots.is_empty()).then_some(roots), identity }
    }
}

/// What could be read of a config.
pub(crate) struct Checked {
    roots: Option<RootCertStore>,
    identity: Option<rustls::sign::CertifiedKey>,
}

impl Checked {
    /// A config that carries its own crypto provider, so that the process's default is neither used nor set.
    pub(crate) fn client_config(
        self,
        needs_roots: bool,
    ) -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        let builder = match self.roots {
            Some(roots) => builder.with_root_certificates(roots),
            None if needs_roots => builder.with_platform_verifier()?,
            // Plain HTTP must also work where there are no root certificates, as in an empty container.
            None => builder.with_root_certificates(RootCertStore::empty()),
        };
        Ok(match self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(
                rustls::sign::SingleCertAndKey::from(identity),
            )),
            None => builder.with_no_client_auth(),
        })
    }
}
