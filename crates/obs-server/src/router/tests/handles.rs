//! Tests of the paths that read from errors, alerts, health and the profiler.

use super::*;

#[cfg(feature = "errors")]
mod errors {
    use std::fmt;

    use obs_errors::{Details, ErrorConfig, ErrorTracker};
    use obs_model::{Context, CorrelationId};

    use super::*;

    #[derive(Debug)]
    struct Broken(std::num::ParseIntError);

    impl fmt::Display for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("read the <b>amount</b>")
        }
    }

    impl std::error::Error for Broken {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    fn admin() -> (Admin, String) {
        let admin = Admin::new();
        let tracker = ErrorTracker::new(ErrorConfig::default(), Arc::clone(&admin.clock) as _);
        let correlation = CorrelationId::from_bytes(b"req-77").unwrap();
        let _entered = Context::new().with_correlation(correlation).with_user("<u-1>").enter();
        let error = Broken("x".parse::<i32>().unwrap_err());
        let details = Details { input: Some(&"amount=<x>"), ..Details::default() };
        let fingerprint = tracker.capture_with(&error, details).fingerprint.to_string();
        tracker.capture(&std::io::Error::other("disk is full"));
        tracker.capture(&std::io::Error::other("disk is full"));
        (admin.with(|state| state.with_errors(tracker)), fingerprint)
    }

    #[tokio::test]
    async fn groups_events_and_statistics_are_told_in_json() {
        let (admin, fingerprint) = admin();
        let groups = admin.get("/api/obskit/v1/errors").await.json();
        assert_eq!(groups["groups"].as_array().unwrap().len(), 2);
        let group = admin.get(&format!("/api/obskit/v1/errors/{fingerprint}")).await.json();
        assert_eq!(group["group"]["count"], 1);
        assert_eq!(group["group"]["lastSeen"], "2026-01-05T10:00:00.000Z");
        let event = &group["events"][0];
        assert_eq!(event["message"], "read the <b>amount</b>");
        assert_eq!(event["chain"], json!(["invalid digit found in string"]));
        assert_eq!(event["context"], json!({"correlationId": "req-77", "user": "<u-1>"}));
        assert_eq!(event["input"], "amount=<x>");
        assert_eq!(event["mechanism"], "captured");
        let statistics = admin.get("/api/obskit/v1/errors/statistics").await.json();
        assert_eq!((&statistics["total"], &statistics["lastHour"]), (&json!(3), &json!(3)));
        assert_eq!(statistics["uniqueFingerprints"], 2);
        assert_eq!(statistics["top"][0]["count"], 2);
    }

    #[tokio::test]
    async fn a_group_that_is_unknown_or_badly_named_is_refused() {
        let (admin, _) = admin();
        for (name, status, part) in [
            ("xyz", StatusCode::BAD_REQUEST, "32 hexadecimal digits"),
            ("%FF", StatusCode::BAD_REQUEST, ""),
            ("00000000000000000000000000000000", StatusCode::NOT_FOUND, "no error group"),
        ] {
            for path in ["/api/obskit/v1/errors/", "/errors/"] {
                let (given, _, message) = admin.get(&format!("{path}{name}")).await.refusal();
                assert_eq!(given, status, "{path}{name}");
                assert!(message.contains(part), "{message}");
            }
        }
        let (status, code, _) = Admin::new().get("/api/obskit/v1/errors").await.refusal();
        assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"));
    }

    #[tokio::test]
    async fn the_console_lists_groups_and_shows_events_with_everything_escaped() {
        let (admin, fingerprint) = admin();
        let first = admin.get("/").await;
        assert!(first.text().contains(&format!("/errors/{fingerprint}")), "{}", first.text());
        let page = admin.get(&format!("/errors/{fingerprint}")).await;
        assert_eq!(page.status, StatusCode::OK);
        for part in [
            "read the &lt;b&gt;amount&lt;/b&gt;",
            "caused by: invalid digit found in string",
            "req-77",
            "&lt;u-1&gt;",
            "amount=&lt;x&gt;",
        ] {
            assert!(page.text().contains(part), "{part} is missing in {}", page.text());
        }
        for answer in [&first, &page] {
            assert!(!answer.text().contains("<b>amount") && !answer.text().contains("<u-1>"));
        }
    }
}

#[cfg(feature = "alerts")]
mod alerts {
    use obs_alerts::{AlertConfig, AlertEngine, LogChannel, Rule};
    use obs_model::{Accepted, AlertEvent, DropReason, Severity, Sink};

    use super::*;

    struct Full;

    impl Sink<AlertEvent> for Full {
        fn accept(&self, _: AlertEvent) -> Accepted {
            Accepted::Dropped(DropReason::QueueFull)
        }
    }

    fn admin() -> Admin {
        let admin = Admin::new();
        let engine =
            AlertEngine::new(AlertConfig::default(), store(), Arc::clone(&admin.clock) as _)
                .unwrap();
        engine.add_channel("log", Arc::new(LogChannel)).unwrap();
        engine.add_channel("full", Arc::new(Full)).unwrap();
        let disk =
            Rule::closure(
                "disk",
                "Disk <full>",
                Severity::High,
                |context| Ok(context.now() <= NOW),
            );
        engine.add_rule(disk.with_description("no room left")).unwrap();
        let slow = Rule::closure("slow", "Slow", Severity::Low, |_| Ok(true));
        engine.add_rule(slow).unwrap();
        engine.evaluate(NOW);
        admin.clock.advance(Duration::from_secs(60));
        engine.evaluate(NOW.plus(Duration::from_secs(60)));
        admin.with(|state| state.with_alerts(Arc::new(engine)))
    }

    #[tokio::test]
    async fn active_alerts_history_and_rules_are_told_in_json() {
        let admin = admin();
        let active = admin.get("/api/obskit/v1/alerts").await.json();
        assert_eq!(active["alerts"].as_array().unwrap().len(), 1);
        assert_eq!(active["alerts"][0]["name"], "Slow");
        assert_eq!(active["alerts"][0]["state"], "firing");
        let history = admin.get("/api/obskit/v1/alerts/history?hours=2").await.json();
        assert_eq!(history["hours"], 2);
        let ended = history["alerts"].as_array().unwrap();
        let ended = ended.iter().find(|alert| alert["ruleId"] == "disk").unwrap();
        assert_eq!((&ended["state"], &ended["severity"]), (&json!("resolved"), &json!("high")));
        assert_eq!(ended["message"], "no room left");
        assert_eq!(ended["resolvedAt"], "2026-01-05T10:01:00.000Z");
        let rules = admin.get("/api/obskit/v1/alerts/rules").await.json();
        assert_eq!(rules["rules"].as_array().unwrap().len(), 2);
        assert_eq!(
            (&rules["rules"][0]["id"], &rules["rules"][0]["health"]),
            (&json!("disk"), &json!("ok"))
        );
        let (status, _, message) =
            admin.get("/api/obskit/v1/alerts/history?hours=0").await.refusal();
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(message.contains("from 1 to 8760"), "{message}");
    }

    #[tokio::test]
    async fn a_test_alert_goes_to_the_channel_that_is_named() {
        let admin = admin();
        for (query, expected, part) in [
            ("?channel=log", StatusCode::ACCEPTED, "accepted"),
            ("?channel=full", StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
            ("?channel=pager", StatusCode::NOT_FOUND, "log"),
            ("", StatusCode::BAD_REQUEST, "full"),
        ] {
            let path = format!("/api/obskit/v1/alerts/test{query}");
            let answer = admin.send(Method::POST, &path, &[]).await;
            assert_eq!(answer.status, expected, "{query}");
            assert!(answer.text().contains(part), "{}", answer.text());
        }
        let foreign = [("origin", "http://evil.example")];
        let answer =
            admin.send(Method::POST, "/api/obskit/v1/alerts/test?channel=log", &foreign).await;
        assert_eq!(answer.refusal().0, StatusCode::FORBIDDEN);
        let off =
            Admin::new().send(Method::POST, "/api/obskit/v1/alerts/test?channel=log", &[]).await;
        assert_eq!(off.refusal().1, "not_enabled");
    }

    #[tokio::test]
    async fn the_console_shows_what_fires_and_what_has_ended() {
        let page = admin().get("/").await;
        for part in ["Alerts firing", ">Slow<", "Disk &lt;full&gt;", "fired for 1 min", "just now"]
        {
            assert!(page.text().contains(part), "{part} is missing in {}", page.text());
        }
    }
}

#[cfg(feature = "profiling")]
mod profiling {
    use obs_profiling::CpuProfiler;

    use super::*;

    fn admin() -> Admin {
        Admin::new().with(|state| state.with_profiler(CpuProfiler::new()))
    }

    #[tokio::test]
    async fn a_profile_is_gzipped_and_a_second_caller_is_told_when_to_come_back() {
        let router = admin().router();
        let path = "/debug/pprof/profile?seconds=1&hz=250";
        let first = tokio::spawn(send(router.clone(), Method::GET, path, &[], ""));
        // Let the first request begin; it takes a second, and nothing else is asked of it meanwhile.
        tokio::task::yield_now().await;
        let second = send(router.clone(), Method::GET, path, &[], "").await;
        assert_eq!(second.headers[header::RETRY_AFTER], "1");
        assert_eq!(second.refusal().0, StatusCode::TOO_MANY_REQUESTS);
        let first = first.await.unwrap();
        assert_eq!(first.status, StatusCode::OK);
        assert_eq!(first.headers[header::CONTENT_TYPE], "application/octet-stream");
        assert_eq!(first.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"profile\"");
        assert_eq!(first.body[..2], [0x1f, 0x8b]);
        assert_eq!(send(router, Method::HEAD, path, &[], "").await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_profile_that_cannot_be_taken_is_refused_with_what_is_accepted() {
        for (query, part) in [
            ("?seconds=0", "from 1 to 600"),
            ("?seconds=601", "from 1 to 600"),
            ("?seconds=1.5", "a whole number"),
            ("?seconds=1&hz=0", "from 1 to 1000"),
            ("?hz=fast", "\"fast\""),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let path = format!("/debug/pprof/profile{query}");
                let answer = admin().send(method.clone(), &path, &[]).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {query}");
                if method == Method::GET {
                    assert!(answer.refusal().2.contains(part), "{}", answer.text());
                }
            }
        }
        let (status, code, _) = Admin::new().get("/debug/pprof/profile").await.refusal();
        assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"));
        let page = Admin::new().get("/debug/pprof/").await;
        assert!(page.text().contains("Profiling is switched off."));
        assert!(admin().get("/debug/pprof/").await.text().contains("go tool pprof"));
    }
}

#[cfg(feature = "health")]
mod health {
    use obs_health::{Check, CheckOutcome, Criticality, HealthConfig, HealthRegistry};

    use super::*;

    fn admin(database: fn() -> CheckOutcome) -> (Admin, HealthRegistry) {
        let admin = Admin::new().with_token();
        let config = HealthConfig { version: Some("1.4.2".into()), ..HealthConfig::default() };
        let health = HealthRegistry::new(config, Arc::clone(&admin.clock) as _);
        let check = move || async move { database().with_detail("connections", 3_u64) };
        health.add(Check::new("database", check)).unwrap();
        let mail = Check::new("mail", || async { CheckOutcome::unhealthy("<relay> refused") });
        health.add(mail.with_criticality(Criticality::NonCritical)).unwrap();
        let handle = health.clone();
        (admin.with(|state| state.with_health(handle)), health)
    }

    #[tokio::test]
    async fn health_is_told_to_everybody_with_a_status_that_a_probe_understands() {
        let (admin, registry) = admin(CheckOutcome::healthy);
        for (path, status) in [
            ("/api/health", StatusCode::OK),
            ("/api/health/ready", StatusCode::OK),
            ("/api/health/live", StatusCode::OK),
            ("/api/health/startup", StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let answer = admin.send(Method::GET, path, &[("host", "10.0.0.7:9464")]).await;
            assert_eq!(answer.status, status, "{path}");
            assert!(answer.json()["status"].is_string(), "{path}");
        }
        registry.set_started();
        assert_eq!(admin.get("/api/health/startup").await.status, StatusCode::OK);
        let report = admin.get("/api/health").await.json();
        assert_eq!((&report["status"], &report["version"]), (&json!("degraded"), &json!("1.4.2")));
        assert_eq!(report["timestamp"], "2026-01-05T10:00:00.000Z");
        let database = &report["checks"]["database"];
        assert_eq!(
            (&database["status"], &database["details"]),
            (&json!("healthy"), &json!({"connections": 3}))
        );
        assert_eq!(report["metrics"]["uptime"], 0.0);
    }

    #[tokio::test]
    async fn a_failing_critical_check_answers_503() {
        let (admin, _) = admin(|| CheckOutcome::unhealthy("connection refused"));
        for path in ["/api/health", "/api/health/ready"] {
            let answer = admin.get(path).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(answer.json()["checks"]["database"]["message"], "connection refused");
        }
        assert_eq!(admin.get("/api/health/live").await.status, StatusCode::OK);
        let head = admin.send(Method::HEAD, "/api/health", &[]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
        let (status, code, _) = Admin::new().get("/api/health").await.refusal();
        assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"));
    }

    #[tokio::test]
    async fn the_console_shows_each_check_and_the_worst_of_them_beside_the_name() {
        let (admin, _) = admin(|| CheckOutcome::unhealthy("connection refused"));
        let bearer = format!("Bearer {TOKEN}");
        let page = admin.send(Method::GET, "/", &[("authorization", &bearer)]).await;
        for part in [
            "Unhealthy",
            "connection refused",
            "&lt;relay&gt; refused",
            "connections 3",
            "critical",
        ] {
            assert!(page.text().contains(part), "{part} is missing in {}", page.text());
        }
    }
}

#[cfg(feature = "tracing")]
mod traces {
    use obs_model::{Context, Resource};
    use obs_tracing::{LogConfig, LogOutput};

    use super::*;

    /// A listener that shows a trace of two spans, of which the inner one failed.
    fn admin() -> Admin {
        let admin = Admin::new();
        let mut config = LogConfig::new(Resource::new("test"));
        config.output = LogOutput::Writer(Box::new(std::io::sink()));
        config.span_memory = Some(1 << 20);
        config.clock = Arc::clone(&admin.clock) as _;
        let (dispatch, handle) = obs_tracing::build(config).unwrap();
        let _entered = Context::new().with_user("<u-1>").enter();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info_span!("order", order = 42, password = "hunter2").in_scope(|| {
                admin.clock.advance(Duration::from_millis(20));
                tracing::info_span!("pay").in_scope(|| tracing::error!("declined"));
            });
        });
        admin.with(|state| state.with_tracing(handle))
    }

    #[tokio::test]
    async fn finished_spans_are_searched_and_a_trace_is_told_as_a_tree() {
        let admin = admin();
        let found = |path: &str| {
            let path = format!("/api/obskit/v1/spans/finished{path}");
            let admin = &admin;
            async move { admin.get(&path).await.json()["spans"].clone() }
        };
        let all = found("").await;
        assert_eq!((&all[0]["name"], &all[1]["name"]), (&json!("order"), &json!("pay")));
        assert_eq!(all[0]["durationMs"], 20.0);
        assert_eq!(all[0]["fields"]["order"], 42);
        assert_eq!(all[0]["fields"]["userId"], "<u-1>");
        assert_eq!(all[0]["start"], "2026-01-05T10:00:00.000Z");
        assert!(!all.to_string().contains("hunter2"));
        let names = |spans: Value| -> Vec<String> {
            let spans = spans.as_array().unwrap().iter();
            spans.map(|span| span["name"].as_str().unwrap().to_owned()).collect()
        };
        let trace = all[0]["traceId"].as_str().unwrap();
        for (query, expected) in [
            ("?status=error", vec!["pay"]),
            ("?status=ok&min_duration_ms=20", vec!["order"]),
            ("?name=pay&user=%3Cu-1%3E", vec!["pay"]),
            ("?correlation=none", vec![]),
            ("?text=42&from=2026-01-05T10:00:00Z&to=1767607300", vec!["order"]),
            ("?limit=1", vec!["order"]),
            (&format!("?trace={trace}&text=PA"), vec!["order", "pay"]),
        ] {
            assert_eq!(names(found(query).await), expected, "{query}");
        }
        let tree = admin.get(&format!("/api/obskit/v1/traces/{trace}")).await.json();
        assert_eq!(tree["traceId"], trace);
        let depths: Vec<_> =
            tree["spans"].as_array().unwrap().iter().map(|s| &s["depth"]).collect();
        assert_eq!(depths, [0, 1]);
        assert_eq!(tree["spans"][1]["parentIndex"], 0);
        assert_eq!(tree["spans"][1]["parentSpanId"], tree["spans"][0]["spanId"]);
    }

    #[tokio::test]
    async fn a_search_that_is_not_understood_and_an_unknown_trace_are_refused() {
        let admin = admin();
        for (path, status, part) in [
            ("spans/finished?status=maybe", StatusCode::BAD_REQUEST, "error or ok"),
            ("spans/finished?trace=xyz", StatusCode::BAD_REQUEST, "32 lower-case"),
            ("spans/finished?from=noon", StatusCode::BAD_REQUEST, "RFC 3339"),
            ("spans/finished?limit=0", StatusCode::BAD_REQUEST, "1 to 1000"),
            ("traces/xyz", StatusCode::BAD_REQUEST, "32 lower-case"),
            ("traces/0000000000000000000000000000000a", StatusCode::NOT_FOUND, "no finished span"),
        ] {
            let (given, _, message) = admin.get(&format!("/api/obskit/v1/{path}")).await.refusal();
            assert_eq!(given, status, "{path}");
            assert!(message.contains(part), "{path}: {message}");
        }
        let (status, code, _) = Admin::new().get("/api/obskit/v1/spans/finished").await.refusal();
        assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"));
    }
}
