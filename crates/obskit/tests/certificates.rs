//! What is sent over TLS trusts the roots that the settings name, and shows the certificate that they name.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, Uri};
use axum::routing::any;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use obskit::config::TlsSettings;
use obskit::{ExportFormat, Signal};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The path of each request.
type Requests = Arc<Mutex<Vec<String>>>;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, in PEM form.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// Issues a certificate into two files of `folder`, and says where they are.
    fn issue_into(&self, folder: &Path, name: &str) -> [String; 2] {
        let (certificate, key) = self.issue(name);
        [("pem", certificate), ("key", key)].map(|(kind, pem)| write(folder, name, kind, &pem))
    }
}

fn write(folder: &Path, name: &str, kind: &str, pem: &str) -> String {
    let path = folder.join(format!("{name}.{kind}"));
    std::fs::write(&path, pem).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What servers of Elasticsearch and of OTLP say when they took everything; others do not look.
async fn take(
    State(requests): State<Requests>,
    uri: Uri,
) -> ([(HeaderName, &'static str); 1], &'static str) {
    requests.lock().unwrap().push(uri.path().to_owned());
    let is_elasticsearch = uri.path().ends_with("/_bulk");
    let body = if is_elasticsearch { r#"{"errors":false,"items":[]}"# } else { "" };
    ([(HeaderName::from_static("grpc-status"), "0")], body)
}

/// Serves HTTP/1 and HTTP/2 to those whose certificates `clients` issued; returns the host and port.
async fn serve(authority: &Authority, clients: &Authority, requests: &Requests) -> String {
    let (certificate, key) = authority.issue("localhost");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(clients.0.pem().as_bytes()).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let router = Router::new().fallback(any(take)).with_state(Arc::clone(requests));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
                if is_http2 {
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(io, service).await;
                } else {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(io, service).await;
                }
            });
        }
    });
    format!("localhost:{port}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_destination_trusts_and_shows_the_certificates_of_its_settings() {
    let (first, second, clients) = (Authority::new(), Authority::new(), Authority::new());
    let (at_first, at_second) = (Requests::default(), Requests::default());
    let one = serve(&first, &clients, &at_first).await;
    let two = serve(&second, &clients, &at_second).await;
    let folder = tempfile::tempdir().unwrap();
    let root = write(folder.path(), "first", "pem", &first.0.pem());
    let other_root = write(folder.path(), "second", "pem", &second.0.pem());
    let [certificate, key] = clients.issue_into(folder.path(), "client");
    let config = folder.path().join("obskit.toml");
    let output = format!(
        "[[log.output]]\nurl = \"loki+https://{one}/output\"\nroot_file = \"{root}\"\n\
         certificate_file = \"{certificate}\"\nkey_file = \"{key}\"\n\
         [[log.output]]\nurl = \"loki+https://{one}/unknown\"\nroot_file = \"{root}\"\nname = \"unknown\"\n"
    );
    std::fs::write(&config, output).unwrap();

    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("https://{one}")),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL".to_owned(), "grpc".to_owned()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE".to_owned(), root.clone()),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE".to_owned(), certificate.clone()),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY".to_owned(), key.clone()),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT".to_owned(), format!("https://{two}/v1/metrics")),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE".to_owned(), other_root),
        ("OBSKIT_REMOTE_WRITE_ENDPOINT".to_owned(), format!("https://{one}/api/v1/push")),
        ("OBSKIT_LOKI_ENDPOINT".to_owned(), format!("https://{one}")),
        ("OBSKIT_ELASTICSEARCH_ENDPOINT".to_owned(), format!("https://{one}")),
    ];
    for section in ["REMOTE_WRITE", "LOKI", "ELASTICSEARCH"] {
        for (name, path) in
            [("ROOT_FILE", &root), ("CERTIFICATE_FILE", &certificate), ("KEY_FILE", &key)]
        {
            variables.push((format!("OBSKIT_{section}_{name}"), path.clone()));
        }
    }
    let obs = obskit::init("certified")
        .without_environment()
        .config_file(&config)
        .unwrap()
        .settings(move |settings| {
            settings.read_environment(variables).unwrap();
            settings.admin.enabled = false;
            settings.shutdown_deadline = std::time::Duration::from_secs(10);
        })
        .start()
        .await
        .unwrap();
    metrics::counter!("jobs_total").increment(1);
    tracing::info_span!("checkout").in_scope(|| tracing::info!("paid"));
    let mut tls = TlsSettings::default();
    tls.root_file = Some(root.into());
    let by_hand =
        || obs.export_to(Signal::ALL, ExportFormat::Otlp, format!("https://{one}/by-hand"));
    tls.certificate_file = Some(certificate.into());
    let refused = by_hand().tls(tls.clone()).export().await.unwrap_err();
    assert!(refused.is_config() && refused.to_string().contains("key_file"), "{refused}");
    tls.key_file = Some(key.into());
    let report = by_hand().tls(tls).export().await.unwrap();
    assert!(Signal::ALL.iter().all(|signal| report.delivered(*signal) > 0), "{report:?}");
    let undelivered = obs.shutdown().await.unwrap_err().to_string();

    let sent = |requests: &Requests| {
        let mut paths = requests.lock().unwrap().clone();
        paths.sort();
        paths.dedup();
        paths
    };
    let expected = [
        "/_bulk",
        "/api/v1/push",
        "/by-hand/v1/logs",
        "/by-hand/v1/metrics",
        "/by-hand/v1/traces",
        "/loki/api/v1/push",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "/output/loki/api/v1/push",
        "/v1/logs",
    ];
    assert_eq!(sent(&at_first), expected);
    assert_eq!(sent(&at_second), ["/v1/metrics"]);
    assert!(undelivered.contains("unknown"), "it shows no certificate: {undelivered}");
}
