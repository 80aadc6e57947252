//! Log lines go to the file and the server that the settings name.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use obskit::config::LogOutputSettings;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_go_to_every_output_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/app.log");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("syslog+tcp://{}", listener.local_addr().unwrap());
    let received = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let file = format!("file:{}", path.display());
    let obskit = obskit::init("shop")
        .settings(move |settings| {
            settings.admin.enabled = false;
            settings.log.outputs = vec![LogOutputSettings::new(file)];
            let mut syslog = LogOutputSettings::new(url);
            syslog.level = Some(obs_model::Level::Warn);
            syslog.syslog.facility = Some("local0".into());
            syslog.fields = vec![("zone".into(), "eu-1".into())];
            settings.log.output = vec![syslog];
        })
        .start()
        .await
        .unwrap();
    assert!(obskit.logs().takes_log_crate());
    log::info!(target: "shop::pay", cents = 950; "paid");
    tracing::warn!(target: "shop::pay", cents = 7, "too little");
    obskit.shutdown().await.unwrap();

    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours: Vec<_> = lines.iter().filter(|line| line["target"] == "shop::pay").collect();
    assert_eq!(ours.len(), 2, "{text}");
    assert_eq!((&ours[0]["message"], &ours[0]["metadata"]["cents"]), (&"paid".into(), &950.into()));

    let sent = tokio::task::spawn_blocking(|| received.join().unwrap()).await.unwrap();
    assert!(!sent.contains("paid"), "{sent}");
    let start = sent.find("<132>1 ").expect("one of facility local0 and severity 4");
    for part in [" shop::pay [obskit@32473 ", " cents=\"7\"", " zone=\"eu-1\"", "] too little"] {
        assert!(sent[start..].contains(part), "{part}: {sent}");
    }
}
