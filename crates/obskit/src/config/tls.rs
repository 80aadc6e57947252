//! The certificates of what is sent over TLS.

use std::path::PathBuf;

use super::value::{Expected, filled};

/// Whom to trust over TLS, and how to prove who is asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSettings {
    /// Roots to trust, in a file in PEM form; those of the operating system unless set.
    pub root_file: Option<PathBuf>,
    /// The certificate to show, with those between it and the root behind it, in a file in PEM form.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate, in a file in PEM form.
    pub key_file: Option<PathBuf>,
}

impl TlsSettings {
    /// These, and for what they do not set the others: a certificate and its key come from the same.
    #[cfg(feature = "otlp")]
    pub(crate) fn or(&self, others: &Self) -> Self {
        let root_file = self.root_file.as_ref().or(others.root_file.as_ref()).cloned();
        let identity = if self.certificate_file.is_some() { self } else { others };
        let Self { certificate_file, key_file, .. } = identity.clone();
        Self { root_file, certificate_file, key_file }
    }

    /// What is wrong with them, and with the files that they name; `of` says whose they are.
    pub(crate) fn problems(&self, of: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.certificate_file.is_some() != self.key_file.is_some() {
            let together = "certificate_file and key_file go together: expected both or neither";
            problems.push(format!("{of}: {together}"));
        }
        #[cfg(any(
            feature = "elasticsearch",
            feature = "loki",
            feature = "otlp",
            feature = "push",
            feature = "syslog-tls"
        ))]
        problems.extend(self.problem_of_files().map(|problem| format!("{of}: {problem}")));
        problems
    }
}

#[cfg(any(
    feature = "elasticsearch",
    feature = "loki",
    feature = "otlp",
    feature = "push",
    feature = "syslog-tls"
))]
impl TlsSettings {
    /// What a transport needs; the files are read when that is made.
    pub(crate) fn config(&self) -> obs_delivery::TlsConfig {
        use obs_delivery::{Pem, TlsConfig};

        let mut tls = TlsConfig::new();
        if let Some(roots) = &self.root_file {
            tls = tls.with_roots(Pem::file(roots));
        }
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            tls = tls.with_identity(Pem::file(certificate), Pem::file(key));
        }
        tls
    }

    fn problem_of_files(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        // OK to let other errors pass: the system's roots are needed only where TLS is spoken, which says so then.
        self.config().client_config().err().filter(|error| error.is_config()).map(|e| e.to_string())
    }
}

/// The path of a file.
pub(super) fn path(text: &str) -> Result<PathBuf, Expected> {
    filled(text, "a path").map(PathBuf::from)
}
