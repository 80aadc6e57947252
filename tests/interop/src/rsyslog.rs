//! Debian's rsyslog, which writes down what it received and how it understood it.

use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use crate::{Process, eventually, free_port};

/// The name that a client has to prove over TLS.
const CLIENT: &str = "service.example";

/// A server with ports, a socket, certificates and a folder of its own.
#[derive(Debug)]
pub struct Rsyslog {
    folder: tempfile::TempDir,
    udp: u16,
    tcp: u16,
    tls: u16,
    _process: Process,
}

impl Rsyslog {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    ///
    /// It cannot be started, or does not listen within a minute.
    #[must_use]
    pub fn start() -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        if let Err(error) = write_certificates(folder.path()) {
            panic!("no certificates: {error}");
        }
        let (udp, tcp, tls) = (free_udp_port(), free_port(), free_port());
        let config = folder.path().join("rsyslog.conf");
        if let Err(error) = std::fs::write(&config, config_text(folder.path(), udp, tcp, tls)) {
            panic!("{} cannot be written: {error}", config.display());
        }
        let mut command = Command::new("/usr/sbin/rsyslogd");
        command
            .arg("-n")
            .arg("-f")
            .arg(&config)
            .arg("-i")
            .arg(folder.path().join("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::start(&mut command);
        for port in [tcp, tls] {
            eventually("listening", Duration::from_secs(60), || {
                TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
        Self { folder, udp, tcp, tls, _process: process }
    }

    /// Where it listens: with UDP, with TCP, with TLS for clients that prove who they are, and on a Unix socket.
    #[must_use]
    pub fn urls(&self) -> [String; 4] {
        [
            format!("syslog://127.0.0.1:{}", self.udp),
            format!("syslog+tcp://127.0.0.1:{}", self.tcp),
            format!("syslog+tls://localhost:{}", self.tls),
            format!("syslog+unix://{}", self.folder.path().join("socket").display()),
        ]
    }

    /// A file in PEM form: `root`, `client` or `client-key`.
    #[must_use]
    pub fn pem(&self, name: &str) -> PathBuf {
        pem(self.folder.path(), name)
    }

    /// What came so far by one input: `imudp`, `imptcp`, `imtcp` (which is TLS) or `imuxsock`.
    #[must_use]
    pub fn received(&self, input: &str) -> Vec<Value> {
        let path = self.folder.path().join("received");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // OK because a line that is being written is read when it is whole.
        let read = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        read.filter(|message| message["input"] == input).collect()
    }
}

fn config_text(folder: &Path, udp: u16, tcp: u16, tls: u16) -> String {
    let [root, server, key] = ["root", "server", "server-key"].map(|name| pem(folder, name));
    let properties = [
        ("input", "inputname"),
        ("priority", "pri"),
        ("version", "protocol-version"),
        ("hostname", "hostname"),
        ("app", "app-name"),
        ("process", "procid"),
        ("id", "msgid"),
        ("data", "structured-data"),
        ("message", "msg"),
    ];
    let properties: String = properties
        .iter()
        .map(|(name, property)| {
            format!(r#"  property(outname="{name}" name="{property}" format="jsonf")"#) + "\n"
        })
        .collect();
    format!(
        r#"global(
  workDirectory="{folder}"
  parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{root}"
  defaultNetstreamDriverCertFile="{server}"
  defaultNetstreamDriverKeyFile="{key}"
)
module(load="imudp")
module(load="imptcp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["{CLIENT}"])
module(load="imuxsock" sysSock.use="off")
template(name="fields" type="list" option.jsonf="on") {{
{properties}  property(outname="at" name="timereported" dateFormat="rfc3339" format="jsonf")
}}
ruleset(name="keep") {{ action(type="omfile" file="{folder}/received" template="fields") }}
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="keep")
input(type="imptcp" address="127.0.0.1" port="{tcp}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="keep")
input(type="imuxsock" socket="{folder}/socket" useSpecialParser="off" parseHostname="on" ignoreTimestamp="off" useSysTimeStamp="off" rateLimit.interval="0" ruleset="keep")
"#,
        folder = folder.display(),
        root = root.display(),
        server = server.display(),
        key = key.display(),
    )
}

/// A root, a certificate for `localhost` and one for the client, each with its key.
fn write_certificates(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    std::fs::write(pem(folder, "root"), root.pem())?;
    for (file, name) in [("server", "localhost"), ("client", CLIENT)] {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &root)?;
        std::fs::write(pem(folder, file), certificate.pem())?;
        std::fs::write(pem(folder, &format!("{file}-key")), key.serialize_pem())?;
    }
    Ok(())
}

fn pem(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pem"))
}

/// A port that was free a moment ago.
fn free_udp_port() -> u16 {
    match UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()) {
        Ok(address) => address.port(),
        Err(error) => panic!("no free port: {error}"),
    }
}
