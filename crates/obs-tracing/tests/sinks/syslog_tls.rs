//! Lines sent to syslog servers over TLS.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use obs_delivery::{Pem, TlsConfig};
use obs_tracing::sink::{Facility, LogSink, SyslogConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Logs, eventually, standing_clock};
use crate::syslog::{check, log};
use crate::syslog_receiver::{Framing, Received, streams};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn trusted(&self) -> TlsConfig {
        TlsConfig::new().with_roots(Pem::bytes(self.0.pem()))
    }
}

/// A stream whose end must be said, not merely happen.
struct Strict {
    stream: StreamOwned<ServerConnection, TcpStream>,
    was_ended: Arc<AtomicBool>,
}

impl Read for Strict {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(room);
        // OK because without `close_notify` the end is an error.
        if matches!(read, Ok(0)) {
            self.was_ended.store(true, Ordering::Release);
        }
        read
    }
}

struct Server {
    url: String,
    received: Received,
    /// Whether a client said that it ends.
    was_ended: Arc<AtomicBool>,
}

/// A server for `localhost`, which asks clients for certificates of this authority.
fn serve(authority: &Authority, clients: Option<&Authority>) -> Server {
    let (certificate, key) = authority.issue("localhost");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(clients.0.pem().as_bytes()).unwrap();
            roots.add(root).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let was_ended = Arc::new(AtomicBool::new(false));
    let for_streams = Arc::clone(&was_ended);
    let accept = move || {
        loop {
            let (mut stream, _) = listener.accept().ok()?;
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            // OK because a client that we do not trust, or that does not trust us, is only sent away.
            if session.complete_io(&mut stream).is_ok() && !session.is_handshaking() {
                let stream = StreamOwned::new(session, stream);
                return Some(Strict { stream, was_ended: Arc::clone(&for_streams) });
            }
        }
    };
    let received = streams(accept, Framing::Counted, usize::MAX);
    Server { url: format!("syslog+tls://localhost:{port}"), received, was_ended }
}

fn config(url: &str, tls: TlsConfig) -> SyslogConfig {
    let mut config = SyslogConfig::new(url);
    config.facility = Facility::Local0;
    config.tls = tls;
    config
}

#[test]
fn a_server_with_a_root_that_is_trusted_gets_every_line() {
    let authority = Authority::new();
    let server = serve(&authority, None);
    let logs = Logs::new(config(&server.url, authority.trusted()), standing_clock());
    logs.send(|| log(0..3_000));
    check(&server.received, 3_000, "\n");
    logs.close();
    eventually("close_notify", || server.was_ended.load(Ordering::Acquire).then_some(()));
}

#[test]
fn a_server_may_ask_for_a_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = serve(&authority, Some(&clients));
    let (certificate, key) = clients.issue("service");
    let tls = authority.trusted().with_identity(Pem::bytes(certificate), Pem::bytes(key));
    let logs = Logs::new(config(&server.url, tls), standing_clock());
    logs.send(|| log(0..100));
    check(&server.received, 100, "\n");
    logs.close();
}

#[test]
fn a_server_that_is_not_trusted_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serve(&authority, None);
    for tls in [other.trusted(), TlsConfig::new()] {
        let logs = Logs::new(config(&server.url, tls), standing_clock());
        logs.log(|| log(0..10));
        let error = logs.handle.shutdown_blocking(Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().contains("10 log lines were not sent to sink"), "{error}");
    }
}

#[test]
fn a_certificate_that_cannot_be_read_is_said_at_the_start() {
    let tls = TlsConfig::new().with_roots(Pem::file("/nowhere/root.pem"));
    let sink = LogSink::new("syslog", config("syslog+tls://localhost", tls));
    let error = Logs::with(sink, standing_clock()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/root.pem cannot be read"), "{error}");
}
