//! TLS with roots and client certificates of one's own, and proxies, against servers on this machine.
#![cfg(feature = "http")]

use std::sync::Arc;
use std::time::Duration;

use obs_delivery::{
    HttpConfig, HttpTransport, Message, Pem, Proxy, SendError, TlsConfig, Transport,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Answers every request with 200, if the client proves that this authority knows it.
async fn serve(authority: &Authority, clients: Option<&Authority>) -> String {
    let identity = authority.issue("localhost");
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = builder.with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 1_024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("https://localhost:{port}/")
}

async fn send(url: &str, tls: TlsConfig) -> Result<(), SendError> {
    let config = HttpConfig::new(url).with_tls(tls).with_proxy(Proxy::Direct);
    let transport = HttpTransport::new(config).unwrap();
    let message = Message::new("{}");
    tokio::time::timeout(Duration::from_secs(10), transport.send(&message)).await.unwrap()
}

#[tokio::test]
async fn a_root_of_ones_own_is_trusted_and_only_that() {
    let (authority, other) = (Authority::new(), Authority::new());
    let url = serve(&authority, None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let roots = |pem: Pem| TlsConfig::new().with_roots(pem);
    send(&url, roots(Pem::bytes(authority.pem()))).await.unwrap();
    send(&url, roots(Pem::file(file))).await.unwrap();
    send(&url, roots(Pem::bytes(other.pem())).with_roots(Pem::bytes(authority.pem())))
        .await
        .unwrap();
    for tls in [roots(Pem::bytes(other.pem())), TlsConfig::new()] {
        let error = send(&url, tls).await.unwrap_err();
        assert!(!error.is_permanent() && error.to_string().starts_with("no connection"), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks_for_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let url = serve(&authority, Some(&clients)).await;
    let trusting = || TlsConfig::new().with_roots(Pem::bytes(authority.pem()));
    let with = |identity: Identity| {
        trusting().with_identity(Pem::bytes(identity.certificate), Pem::bytes(identity.key))
    };
    send(&url, with(clients.issue("client"))).await.unwrap();
    send(&url, with(authority.issue("client"))).await.unwrap_err();
    send(&url, trusting()).await.unwrap_err();
}

#[test]
fn what_is_wrong_with_certificates_keys_and_the_proxy_is_all_reported_and_no_secret() {
    let authority = Authority::new();
    let (one, two) = (authority.issue("one"), authority.issue("two"));
    let tls = TlsConfig::new()
        .with_roots(Pem::file("/nowhere/root.pem"))
        .with_roots(Pem::bytes("s3cret"))
        .with_identity(Pem::bytes(one.certificate), Pem::bytes(two.key));
    let proxy =
        Proxy::Explicit { url: "socks9://user:s3cret@proxy".to_owned(), except: Vec::new() };
    let config = HttpConfig::new("https://localhost/")
        .with_tls(tls)
        .with_proxy(proxy)
        .with_connect_timeout(Duration::ZERO);
    let shown = format!("{config:?}");
    let error = HttpTransport::new(config).unwrap_err();
    let text = error.to_string();
    for part in [
        "/nowhere/root.pem cannot be read",
        "holds no certificate",
        "the private key is not the certificate's",
        "the URL of the proxy is not valid",
        "connect_timeout is 0",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("s3cret") && !shown.contains("s3cret"), "{text} {shown}");
    let tls = TlsConfig::new().with_identity(Pem::bytes(authority.pem()), Pem::bytes("x"));
    let error = HttpTransport::new(HttpConfig::new("https://localhost/").with_tls(tls));
    assert!(error.unwrap_err().to_string().contains("holds no private key"));
}

#[tokio::test]
async fn requests_go_through_the_proxy_except_to_hosts_that_are_excepted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let (sender, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let through = |except: &[&str]| Proxy::Explicit {
        url: format!("http://user:pass@{proxy}"),
        except: except.iter().map(|host| (*host).to_owned()).collect(),
    };
    let send = async |url: String, proxy: Proxy| {
        let config = HttpConfig::new(url).with_proxy(proxy);
        HttpTransport::new(config).unwrap().send(&Message::new("{}")).await
    };
    send("http://collector.invalid/push".to_owned(), through(&["other.invalid"])).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("POST http://collector.invalid/push HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz"));
    let excepted = through(&["collector.invalid"]);
    send("http://collector.invalid/push".to_owned(), excepted).await.unwrap_err();
    send("http://collector.invalid/push".to_owned(), Proxy::Direct).await.unwrap_err();
    // The proxy as a server of its own, spoken to directly.
    send(format!("http://{proxy}/own"), through(&["127.0.0.0/8"])).await.unwrap();
    assert!(requests.recv().await.unwrap().starts_with("POST /own HTTP/1.1\r\n"));
    assert!(requests.try_recv().is_err());
}
