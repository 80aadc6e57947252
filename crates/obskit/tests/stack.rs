//! The files of `deploy/stack`: a service's variables lead to its ports, and its dashboard asks for series that there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use obs_query::promql::{ParseOptions, parse};
use serde_json::Value;

fn stack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/stack")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(stack().join(path)).unwrap()
}

#[test]
fn the_variables_of_the_stack_lead_a_service_to_the_ports_that_it_opens() {
    let compose = read("compose.yaml");
    let text = read("service.env");
    let variables = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut settings = obskit::config::Settings::default();
    settings.service.name = "checkout".to_owned();
    settings.read_environment(variables).unwrap();
    settings.validate().unwrap();
    for (endpoint, expected) in [
        (&settings.otlp.traces_endpoint, "http://127.0.0.1:4318/v1/traces"),
        (&settings.loki.endpoint, "http://127.0.0.1:3100"),
        (&settings.remote_write.endpoint, "http://127.0.0.1:9090/api/v1/write"),
    ] {
        assert_eq!(endpoint.as_deref(), Some(expected));
        let port = expected.split([':', '/']).nth(4).unwrap();
        assert!(compose.contains(&format!("\"127.0.0.1:{port}:{port}\"")), "{port}");
    }
    assert_eq!(settings.admin.port, 9464);
    for port in [16686, 3000] {
        assert!(compose.contains(&format!("\"127.0.0.1:{port}:{port}\"")), "{port}");
    }
    assert!(compose.contains("--web.enable-remote-write-receiver"), "or Prometheus refuses it");
}

#[test]
fn every_file_that_compose_and_kubernetes_mount_is_there() {
    let mounted = read("compose.yaml");
    let mounted = mounted.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let mounted: Vec<String> =
        mounted.map(|line| line.split(':').next().unwrap().to_owned()).collect();
    let kustomize = read("kustomization.yaml");
    let generated = kustomize.lines().filter_map(|line| {
        let file = line.strip_prefix("      - ")?;
        Some(file.split('=').next_back().unwrap().to_owned())
    });
    let all: Vec<String> = mounted.into_iter().chain(generated).collect();
    assert!(all.len() >= 9, "{all:?}");
    for path in all {
        assert!(stack().join(&path).exists(), "{path}");
    }
}

/// All sources of the crates, in one text.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn the_dashboard_asks_in_promql_for_series_that_the_crates_record() {
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboards/service.json")).unwrap();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut code = String::new();
    for name in ["obs-tracing", "obs-metrics", "obs-delivery"] {
        sources(&crates.join(name).join("src"), &mut code);
    }
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            read("grafana/provisioning/datasources/stack.yaml")
                .contains(&format!("uid: {}", panel["datasource"]["uid"].as_str().unwrap()))
        );
        if panel["datasource"]["type"] != "prometheus" {
            continue;
        }
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            let query = parse(&query, ParseOptions::default())
                .unwrap_or_else(|error| panic!("{error}: {query}"));
            let selectors = query.selectors().unwrap();
            asked.extend(selectors.iter().map(|one| one.metric_name().unwrap().to_owned()));
        }
    }
    assert!(asked.len() >= 11, "{asked:?}");
    for name in asked {
        let family = name.strip_suffix("_bucket").unwrap_or(&name);
        assert!(code.contains(&format!("\"{family}\"")), "nothing records {name}");
    }
}

#[test]
#[ignore = "needs promtool, from Debian's package prometheus"]
fn promtool_accepts_the_configuration_of_prometheus() {
    let config = stack().join("prometheus/prometheus.yml");
    let output = Command::new("promtool").args(["check", "config"]).arg(config).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
