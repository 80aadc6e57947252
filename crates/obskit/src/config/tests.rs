//! Settings from files and the environment, good and bad.

use std::io::Write;

use super::*;

fn read(text: &str) -> Result<Settings, Vec<String>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut settings = Settings::default();
    let prefix = format!("{}:", file.path().display());
    match settings.read_file(file.path()) {
        Ok(()) => Ok(settings),
        Err(error) => Err(error
            .problems()
            .iter()
            .map(|problem| problem.to_string().replacen(&prefix, "", 1))
            .collect()),
    }
}

fn environment(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let mut settings = Settings::default();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.read_environment(variables).map_err(|error| error.to_string())?;
    Ok(settings)
}

#[test]
fn a_file_sets_what_it_names_and_leaves_the_rest() {
    let settings = read(
        r#"
        [service]
        name = "checkout"
        [metrics]
        sample_interval = "1s"
        max_series = 1000
        [admin]
        port = 0
        [[alerts.webhooks]]
        name = "team"
        url = "http://127.0.0.1:9/hook"
        [[alerts.rules]]
        id = "failures"
        signal = "ratio"
        metric = 'requests_total{status="error"}'
        denominator = "requests_total"
        window = "1m"
        threshold = 0.2
        duration = "30s"
        severity = "critical"
        channels = ["team"]
        "#,
    )
    .unwrap();
    assert_eq!(settings.service.name, "checkout");
    assert_eq!(settings.metrics.sample_interval, Duration::from_secs(1));
    assert_eq!((settings.metrics.max_series, settings.admin.port), (1_000, 0));
    assert_eq!(settings.metrics.retention, Settings::default().metrics.retention);
    let rule = &settings.alerts.rules[0];
    assert_eq!((rule.signal, rule.threshold), (SignalKind::Ratio, 0.2));
    assert_eq!((rule.window.as_secs(), rule.duration.as_secs()), (60, 30));
    assert_eq!(rule.severity, obs_model::Severity::Critical);
    assert_eq!(rule.channels, ["team"]);
    assert!(settings.validate().is_ok());
}

#[test]
fn every_problem_of_a_file_is_reported_with_its_place() {
    let problems = read(concat!(
        "[metrics]\n",
        "enabled = \"maybe\"\n",
        "sampel_interval = \"5s\"\n",
        "[admim]\n",
        "port = 1\n",
        "[admin]\n",
        "port = 70000\n",
        "token = \"hunter2\"\n",
        "[[alerts.rules]]\n",
        "id = \"x\"\n",
        "operator = \"=>\"\n",
        "denominator = \"a{b=\"\n",
    ))
    .unwrap_err();
    let expected = [
        "2:11: metrics.enabled is \"maybe\": expected true or false",
        "3:1: unknown key metrics.sampel_interval: expected one of enabled, business, namespace, idle_timeout, sqlx, exemplars, created_lines, sample_interval, retention, max_series, max_store_mib",
        "4:2: unknown section \"admim\": expected one of service, metrics, state, query, log, traces, operations, otlp, remote_write, loki, elasticsearch, errors, alerts, health, profiling, admin, shutdown",
        "7:8: admin.port is \"70000\": expected a port from 0 to 65535",
        "8:9: admin.token is not acceptable: expected at least 8 printable ASCII characters without spaces",
        "9:1: this entry of alerts.rules lacks metric, threshold",
        "9:1: a rule has a denominator exactly when its signal is ratio",
        "11:12: alerts.rules.operator is \"=>\": expected >, >=, <, <=, == or !=",
    ];
    for line in expected {
        assert!(problems.iter().any(|problem| problem == line), "{line}\nis not in\n{problems:#?}");
    }
    let selector =
        problems.iter().find(|problem| problem.starts_with("12:15: alerts.rules.denominator"));
    assert!(
        selector.is_some_and(|text| text.contains("expected a series selector (")),
        "{problems:#?}"
    );
    assert_eq!(problems.len(), expected.len() + 1, "{problems:#?}");
}

#[test]
fn a_file_that_is_not_toml_or_not_there_says_so() {
    let problems = read("[metrics\nenabled = ").unwrap_err();
    assert!(problems[0].contains("not TOML"), "{problems:?}");
    let mut settings = Settings::default();
    let error = settings.read_file(Path::new("does/not/exist.toml")).unwrap_err();
    assert!(error.to_string().contains("does/not/exist.toml: cannot be read"), "{error}");
}

#[test]
fn the_usual_variables_and_our_own_set_the_same_setting_and_ours_wins() {
    let settings = environment(&[
        ("ENABLE_METRICS", "false"),
        ("PROMETHEUS_PORT", "1"),
        ("METRICS_PORT", "2"),
        ("ALERT_CHECK_INTERVAL_MS", "1500"),
        ("ERROR_TRACKING_ENABLED", "0"),
        ("BUSINESS_METRICS_ENABLED", "no"),
        ("LOG_LEVEL", "debug"),
        ("OBSKIT_LOG_LEVEL", "warn"),
        ("LOG_FORMAT", ""),
        ("OTEL_SERVICE_NAME", "renamed"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b"),
    ])
    .unwrap();
    assert!(!settings.metrics.enabled && !settings.errors.enabled && !settings.metrics.business);
    assert_eq!(settings.admin.port, 2);
    assert_eq!(settings.alerts.check_interval, Duration::from_millis(1_500));
    assert_eq!(settings.log.level, "warn");
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.service.name, "renamed");
    assert_eq!(settings.otlp.headers, [("x-key".to_owned(), "a b".to_owned())]);
}

#[test]
fn every_bad_variable_is_reported_and_secrets_are_not_repeated() {
    let error = environment(&[
        ("METRICS_PORT", "http"),
        ("ALERT_CHECK_INTERVAL_MS", "soon"),
        ("OBSKIT_ADMIN_TOKEN", "hunter2"),
    ])
    .unwrap_err();
    for part in
        ["METRICS_PORT: \"http\"", "ALERT_CHECK_INTERVAL_MS", "OBSKIT_ADMIN_TOKEN: not acceptable"]
    {
        assert!(error.contains(part), "{part} is missing from {error}");
    }
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn settings_that_do_not_go_together_are_refused_together() {
    let mut settings = Settings::default();
    settings.admin.address = "0.0.0.0".parse().unwrap();
    settings.metrics.retention = settings.metrics.sample_interval;
    settings.alerts.webhooks =
        vec![WebhookSettings::new("a", "http://h"), WebhookSettings::new("a", "http://h")];
    settings.loki.user = Some(String::from("writer"));
    settings.elasticsearch.fallback = Some(String::from("http://search-2:9200"));
    let error = settings.validate().unwrap_err();
    assert_eq!(error.problems().len(), 6, "{error}");
}

#[test]
fn settings_that_are_shown_keep_their_secrets() {
    let settings = environment(&[
        ("OBSKIT_ADMIN_TOKEN", "correct-horse"),
        ("OTEL_API_KEY", "key-material"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=header-material"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:url-material@collector:4318"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-key=header-material"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://user:url-material@collector:4318"),
        ("OBSKIT_REMOTE_WRITE_ENDPOINT", "http://user:url-material@mimir/api/v1/push"),
        ("OBSKIT_REMOTE_WRITE_HEADERS", "x-scope=header-material"),
        ("OBSKIT_REMOTE_WRITE_PASSWORD", "pass-material"),
        ("OBSKIT_REMOTE_WRITE_TOKEN", "key-material"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://user:url-material@collector:4318"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-key=header-material"),
        ("OBSKIT_LOKI_ENDPOINT", "http://user:url-material@loki:3100"),
        ("OBSKIT_LOKI_HEADERS", "x-key=header-material"),
        ("OBSKIT_LOKI_TOKEN", "key-material"),
        ("OBSKIT_LOKI_PASSWORD", "pass-material"),
        ("OBSKIT_ELASTICSEARCH_ENDPOINT", "http://user:url-material@search:9200"),
        ("OBSKIT_ELASTICSEARCH_HEADERS", "x-key=header-material"),
        ("OBSKIT_ELASTICSEARCH_API_KEY", "key-material"),
        ("OBSKIT_ELASTICSEARCH_PASSWORD", "pass-material"),
    ])
    .unwrap();
    let shown = format!("{settings:?}");
    for secret in
        ["correct-horse", "key-material", "header-material", "url-material", "pass-material"]
    {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
    assert!(shown.contains("x-key"), "{shown}");
}

#[test]
fn the_documented_settings_are_the_ones_that_exist() {
    let mut table =
        String::from("| key | variables | default | what it does |\n|---|---|---|---|\n");
    for setting in reference() {
        let variables: Vec<String> = std::iter::once(setting.own_variable())
            .chain(setting.variables.iter().map(|name| (*name).to_owned()))
            .map(|name| format!("`{name}`"))
            .collect();
        let (key, default, meaning) = (setting.key, setting.default, setting.meaning);
        table += &format!("| `{key}` | {} | {default} | {meaning} |\n", variables.join(", "));
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/configuration.md");
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains(&table), "docs/src/configuration.md should contain this table:\n{table}");
}

#[test]
fn metrics_and_spans_are_exported_by_otlp_unless_the_variable_names_others() {
    for (given, expected) in [("otlp", true), ("prometheus, otlp", true), ("none", false)] {
        let variables = [("OTEL_METRICS_EXPORTER", given), ("OTEL_TRACES_EXPORTER", given)];
        let settings = environment(&variables).unwrap();
        assert_eq!((settings.otlp.metrics, settings.otlp.traces), (expected, expected), "{given}");
    }
    let settings = environment(&[
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "250"),
    ])
    .unwrap();
    assert_eq!(settings.otlp.metrics_interval, Duration::from_secs(5));
    assert_eq!(settings.otlp.metrics_compression, Compression::None);
    assert_eq!(settings.otlp.metrics_timeout, Some(Duration::from_millis(250)));
}

#[test]
fn the_temporality_of_metrics_is_read_in_any_case() {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for (given, expected) in [
        ("cumulative", Temporality::Cumulative),
        ("Delta", Temporality::Delta),
        ("LOWMEMORY", Temporality::LowMemory),
    ] {
        let settings = environment(&[(VARIABLE, given)]).unwrap();
        assert_eq!(settings.otlp.metrics_temporality, expected, "{given}");
    }
    let error = environment(&[(VARIABLE, "low_memory")]).unwrap_err().to_string();
    assert!(error.contains(VARIABLE), "{error}");
    assert!(error.contains("expected cumulative, delta or lowmemory"), "{error}");
}

#[test]
fn where_log_lines_are_sent_is_read_from_the_usual_variables() {
    let settings = environment(&[
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://collector:4318/v1/logs"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OBSKIT_LOKI_LABELS", "cluster=eu,team=payments"),
        ("OBSKIT_LOKI_LABEL_FIELDS", "level, environment,"),
        ("OBSKIT_LOKI_LEVEL", "warn"),
    ])
    .unwrap();
    let logs = &settings.otlp.logs;
    assert!(!logs.enabled);
    assert_eq!(logs.endpoint.as_deref(), Some("http://collector:4318/v1/logs"));
    assert_eq!(logs.timeout, Some(Duration::from_millis(250)));
    assert_eq!(logs.compression, Compression::None);
    assert_eq!(settings.loki.labels[1], ("team".to_owned(), "payments".to_owned()));
    assert_eq!(settings.loki.label_fields, ["level", "environment"]);
    assert_eq!(settings.loki.level, obs_model::Level::Warn);
    let error = environment(&[
        ("OBSKIT_LOKI_LABEL_FIELDS", " , "),
        ("OBSKIT_ELASTICSEARCH_LEVEL", "loud"),
        ("OBSKIT_ELASTICSEARCH_ENDPOINT", "search:9200"),
    ])
    .unwrap_err();
    for part in ["LABEL_FIELDS", "ELASTICSEARCH_LEVEL", "ELASTICSEARCH_ENDPOINT"] {
        assert!(error.contains(part), "{part} is missing from {error}");
    }
}

#[test]
fn how_many_spans_and_lines_go_together_is_read_from_the_usual_variables() {
    let mut settings = environment(&[
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "128"),
        ("OTEL_BSP_SCHEDULE_DELAY", "250"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "20"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "30"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-team=payments"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "700"),
    ])
    .unwrap();
    let (spans, lines) = (settings.otlp.traces_batch, settings.otlp.logs.batch);
    assert_eq!((spans.items, spans.queue, spans.wait), (64, 128, Duration::from_millis(250)));
    assert_eq!((lines.items, lines.queue, lines.wait), (10, 20, Duration::from_millis(30)));
    assert_eq!(settings.otlp.traces_timeout, Some(Duration::from_millis(700)));
    let headers = settings.otlp.traces_headers.clone().unwrap();
    assert_eq!(headers, [("x-team".to_owned(), "payments".to_owned())]);
    settings.service.name = "shop".to_owned();
    settings.validate().unwrap();
    settings.otlp.logs.batch.queue = 9;
    assert!(settings.validate().unwrap_err().to_string().contains("otlp.logs_batch is 10"));
    let error = environment(&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")]).unwrap_err();
    assert!(error.contains("OTEL_BSP_MAX_QUEUE_SIZE"), "{error}");
}

#[test]
fn how_lines_and_traces_are_chosen_is_read_and_checked() {
    let settings = environment(&[
        ("LOG_FORMAT", "logfmt"),
        ("OBSKIT_LOG_COLORS", "never"),
        ("OBSKIT_LOG_MEMORY_MIB", "0"),
        ("OBSKIT_LOG_CALLSITE_LIMIT", "100/10s"),
        ("OBSKIT_LOG_KEEP_ONE_IN", "trace=100, debug=10"),
        ("OBSKIT_LOG_REDACTION", "hash"),
        ("OBSKIT_LOG_REDACTION_KEY", "000102030405060708090a0b0c0d0e0f"),
        ("OBSKIT_LOG_SECRET_FIELDS", "iban, tax_id"),
        ("OBSKIT_LOG_NOT_SECRET", "email"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OBSKIT_TRACES_RULES", "/health*=0,/checkout=0.5"),
        ("OTEL_PROPAGATORS", "b3, tracecontext"),
        ("OBSKIT_TRACES_SPAN_METRICS", "0"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OBSKIT_TRACES_TAIL", "true"),
        ("OBSKIT_TRACES_BAGGAGE", "tenant, plan"),
        ("OBSKIT_TRACES_BAGGAGE_ON_LINES", "tenant"),
    ])
    .unwrap();
    let log = &settings.log;
    assert_eq!((log.format, log.colors), (LogFormat::Logfmt, Colors::Never));
    assert_eq!(log.callsite_limit, Some((100, Duration::from_secs(10))));
    assert_eq!(log.keep_one_in, [(obs_model::Level::Trace, 100), (obs_model::Level::Debug, 10)]);
    let redactor = log.redaction.redactor();
    assert!(redactor.field("tax_id", "DE 123").starts_with("[hash:"));
    assert_eq!(redactor.text("to ann@example.org"), "to ann@example.org");
    assert!(!format!("{settings:?}").contains("[0, 1, 2"));
    let traces = &settings.traces;
    assert_eq!((traces.sampler.as_str(), traces.sampler_share), ("traceidratio", 0.25));
    assert_eq!(traces.rules, [("/health*".to_owned(), 0.0), ("/checkout".to_owned(), 0.5)]);
    assert_eq!((log.memory_bytes, traces.span_metrics), (0, 0));
    assert_eq!(settings.otlp.traces_protocol, Some(OtlpProtocol::Grpc));
    assert_eq!(settings.otlp.traces_compression, Compression::None);
    assert!(traces.tail);
    assert_eq!(
        (&traces.baggage[..], &traces.baggage_on_lines[..]),
        (&["tenant".to_owned(), "plan".to_owned()][..], &["tenant".to_owned()][..])
    );

    for (name, bad) in [
        ("OBSKIT_LOG_COLORS", "red"),
        ("OBSKIT_LOG_CALLSITE_LIMIT", "0/10s"),
        ("OBSKIT_LOG_CALLSITE_LIMIT", "100"),
        ("OBSKIT_LOG_KEEP_ONE_IN", "warn=10"),
        ("OBSKIT_LOG_KEEP_ONE_IN", "debug=0"),
        ("OBSKIT_LOG_REDACTION_KEY", "+00102030405060708090a0b0c0d0e0f"),
        ("OBSKIT_LOG_NOT_SECRET", "mail"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OBSKIT_TRACES_RULES", "=1"),
        ("OTEL_PROPAGATORS", "xray"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
    ] {
        let error = environment(&[(name, bad)]).unwrap_err();
        assert!(error.contains(name) && error.contains("expected"), "{name}={bad}: {error}");
    }

    let mut settings = Settings::default();
    settings.service.name = String::from("x");
    settings.log.redaction.mode = Redaction::Hash;
    assert_eq!(settings.validate().unwrap_err().problems().len(), 1);
}

#[test]
fn operations_that_may_wait_hold_their_thread_or_must_end_are_named() {
    let settings = environment(&[
        ("OBSKIT_OPERATIONS_WAITING", "consume, websocket"),
        ("OBSKIT_OPERATIONS_MAY_BLOCK", "render"),
        ("OBSKIT_OPERATIONS_LONGEST", "checkout=30s, a=b=1h30m,"),
    ])
    .unwrap();
    let operations = &settings.operations;
    assert_eq!(operations.waiting, ["consume", "websocket"]);
    assert_eq!(operations.may_block, ["render"]);
    assert_eq!(
        operations.longest,
        [
            ("checkout".to_owned(), Duration::from_secs(30)),
            ("a=b".to_owned(), Duration::from_secs(5_400))
        ]
    );
    let many = "a,".repeat(1_001);
    for (name, bad) in [
        ("OBSKIT_OPERATIONS_WAITING", ","),
        ("OBSKIT_OPERATIONS_MAY_BLOCK", many.as_str()),
        ("OBSKIT_OPERATIONS_LONGEST", "checkout"),
        ("OBSKIT_OPERATIONS_LONGEST", "=5s"),
        ("OBSKIT_OPERATIONS_LONGEST", "checkout=0s"),
        ("OBSKIT_OPERATIONS_LONGEST", "checkout=8d"),
    ] {
        let error = environment(&[(name, bad)]).unwrap_err();
        assert!(error.contains(name) && error.contains("expected from 1 to 1000"), "{error}");
    }
}

#[test]
fn credentials_of_a_push_go_together() {
    let mut settings = Settings::default();
    settings.service.name = String::from("x");
    settings.remote_write.user = Some(String::from("u"));
    settings.remote_write.token = Some(String::from("t"));
    settings.remote_write.fallback = Some(String::from("http://h"));
    let error = settings.validate().unwrap_err();
    assert_eq!(error.problems().len(), 3, "{error}");
}

#[test]
fn log_lines_go_where_a_list_or_tables_say_each_under_a_name_of_its_own() {
    let list = "stderr, file:/var/log/a.log,file:b.log,syslog+tls://[::1]:601";
    let settings = environment(&[("OBSKIT_LOG_OUTPUTS", list)]).unwrap();
    let all = settings.log.all_outputs();
    let shown: Vec<_> =
        all.iter().map(|output| (output.name.as_deref().unwrap(), output.path())).collect();
    assert_eq!(
        shown,
        [
            ("stderr", None),
            ("file", Some("/var/log/a.log")),
            ("file-2", Some("b.log")),
            ("syslog", None)
        ]
    );
    let usual = Settings::default().log.all_outputs();
    assert_eq!((usual.len(), usual[0].url.as_str()), (1, "stdout"));
    for bad in ["stdout, gopher://h", "syslog:h", "file:", ",", "stdout:", "loki:h", "https://h"] {
        let error = environment(&[("OBSKIT_LOG_OUTPUTS", bad)]).unwrap_err();
        assert!(error.contains("expected stdout, stderr, file:PATH"), "{bad}: {error}");
    }

    let list = "loki://h, loki+https://h,elasticsearchs://h/i,otlp+grpc://h:4317";
    let mut settings = environment(&[("OBSKIT_LOG_OUTPUTS", list)]).unwrap();
    settings.loki.endpoint = Some("http://h".to_owned());
    let all = settings.log.outputs_beside(settings.section_sinks());
    let names: Vec<_> = all.iter().filter_map(|output| output.name.as_deref()).collect();
    assert_eq!(names, ["loki-2", "loki-3", "elasticsearch", "otlp"]);

    let settings = read(
        r#"
        [log]
        outputs = "stdout"
        [[log.output]]
        url = "file:///var/log/audit.log"
        name = "audit"
        level = "warn"
        only_targets = ["shop::audit"]
        without_fields = "kind=probe"
        fields = "zone=eu-1"
        rotate = "daily"
        max_mib = 10
        keep_files = 3
        keep_mib = 20
        keep_for = "7d"
        compress = true
        format = "logfmt"
        mode = 0o600
        sync = "write"
        reopen_on_sighup = true
        [[log.output]]
        url = "syslog+tcp://logs-1"
        hostname = "web-1"
        app_name = "shop"
        message_id = "line"
        framing = "line_feed"
        fallback = "syslog+tcp://logs-2"
        facility = "local0"
        body = "json"
        enterprise = 4711
        "#,
    )
    .unwrap();
    let [_, audit, syslog] = &settings.log.all_outputs()[..] else { panic!("three outputs") };
    assert_eq!(audit.name.as_deref(), Some("audit"));
    assert_eq!(
        (audit.path(), audit.level),
        (Some("/var/log/audit.log"), Some(obs_model::Level::Warn))
    );
    assert_eq!(audit.only_targets, ["shop::audit"]);
    assert_eq!(audit.without_fields, [("kind".to_owned(), "probe".to_owned())]);
    assert_eq!(audit.file.rotate, Some(OutputRotation::Daily));
    assert_eq!((audit.file.max_bytes, audit.file.keep_bytes), (Some(10 << 20), Some(20 << 20)));
    assert_eq!(audit.file.keep_for, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!((audit.file.format, audit.file.mode), (LogFormat::Logfmt, Some(0o600)));
    assert_eq!((audit.file.sync, audit.file.reopen_on_sighup), (OutputSync::Write, true));
    assert_eq!(syslog.syslog.hostname.as_deref(), Some("web-1"));
    assert_eq!(syslog.syslog.app_name.as_deref(), Some("shop"));
    assert_eq!(syslog.syslog.message_id.as_deref(), Some("line"));
    assert_eq!(syslog.syslog.framing, OutputFraming::LineFeed);
    assert_eq!(syslog.syslog.fallback.as_deref(), Some("syslog+tcp://logs-2"));
    assert_eq!((syslog.syslog.body, syslog.syslog.enterprise), (SyslogBody::Json, Some(4_711)));
}

#[test]
fn what_is_wrong_with_an_output_is_said_where_it_stands() {
    let problems = read(
        "[[log.output]]\nurl = \"file:a.log\"\nfacility = \"local0\"\nrotate = \"weekly\"\n\
         mode = \"0444\"\nsync = \"always\"\nformat = \"xml\"\n\
         [[log.output]]\nlevel = \"loud\"\n",
    )
    .unwrap_err();
    for (place, part) in [
        ("3:1", "unknown key log.output.facility: expected one of url, name, level"),
        ("4:10", "log.output.rotate is \"weekly\": expected hourly or daily"),
        ("5:8", "log.output.mode is \"0444\": expected octal permissions"),
        ("6:8", "log.output.sync is \"always\": expected never, rotation or write"),
        ("7:10", "log.output.format is \"xml\": expected json, logfmt or text"),
        ("8:1", "this entry of log.output lacks url"),
        ("9:9", "log.output.level is \"loud\""),
    ] {
        let found =
            problems.iter().any(|problem| problem.starts_with(place) && problem.contains(part));
        assert!(found, "{place} {part}: {problems:#?}");
    }
    assert_eq!(problems.len(), 7, "{problems:#?}");

    let mut settings = Settings::default();
    settings.service.name = String::from("x");
    let mut stdout = LogOutputSettings::new("stdout");
    stdout.level = Some(obs_model::Level::Warn);
    let mut syslog = LogOutputSettings::new("syslog+tls://host:0");
    syslog.tls.key_file = Some("key.pem".into());
    syslog.syslog.facility = Some("local9".into());
    let mut search = LogOutputSettings::new("elasticsearch://u:s3cret-9@search:9200");
    search.http.password = Some("pass-material".into());
    search.name = Some("otlp_logs".into());
    settings.log.output = vec![stdout, LogOutputSettings::new("stderr"), syslog, search];
    let shown = format!("{settings:?}");
    assert!(!shown.contains("s3cret-9") && !shown.contains("pass-material"), "{shown}");
    let error = settings.validate().unwrap_err().to_string();
    let mut parts = vec![
        "names stdout and stderr",
        "stdout has options",
        "log.output: certificate_file and key_file go together: expected both or neither",
        "user and password of log.output go together: expected both or neither",
        "\"otlp_logs\" as the sink of a section",
    ];
    if cfg!(feature = "tracing") {
        parts.extend(["has no port that is one", "\"local9\" is no facility"]);
    }
    if cfg!(feature = "elasticsearch") {
        parts.push("expected elasticsearch://host:port/index");
    }
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("s3cret-9"), "{error}");
}
