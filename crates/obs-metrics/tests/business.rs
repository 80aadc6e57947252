//! Business records: the families that count them, and summaries over windows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use obs_metrics::business::{
    Analysis, AnalysisKind, BusinessConfig, BusinessRecorder, Chart, Query,
};
use obs_metrics::{LabelRules, Registry, RegistryConfig};
use obs_model::{Clock, ManualClock, Timestamp};
use proptest::prelude::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn analysis<'a>(organization_id: &'a str, success: bool) -> Analysis<'a> {
    Analysis {
        organization_id,
        user_id: "u-1",
        data_source_type: "postgresql",
        kind: AnalysisKind::SqlQuery,
        success,
        duration: Duration::from_millis(1_500),
        tokens: 100,
        queries: 2,
        charts: 1,
    }
}

fn chart(chart_type: &str) -> Chart<'_> {
    Chart {
        chart_type,
        organization_id: "o-1",
        points: 40,
        duration: Duration::from_millis(250),
        success: true,
    }
}

fn query(organization_id: &str, success: bool) -> Query<'_> {
    Query {
        organization_id,
        data_source_type: "sqlite",
        complexity: "simple",
        rows: 7,
        duration: Duration::from_millis(20),
        success,
    }
}

fn recorder(registry: &Registry, config: BusinessConfig) -> (BusinessRecorder, Arc<ManualClock>) {
    // A little after a whole hour, so that windows have edges.
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(500_000 * HOUR + 90_000)));
    (BusinessRecorder::new(registry, config, clock.clone()), clock)
}

#[test]
fn each_record_is_counted_in_the_exact_families() {
    let registry = Registry::default();
    let (business, _) = recorder(&registry, BusinessConfig::default());
    business.record_analysis(&analysis("o-1", true));
    business.record_analysis(&analysis("o-1", false));
    business.record_chart(&chart("bar"));
    business.record_chart(&Chart { success: false, ..chart("bar") });
    business.record_query(&query("o-1", true));
    business.record_query(&query("o-1", false));
    business.record_session("o-1", "u-1");
    business.record_conversation(12);
    let value = |name: &str, labels: &[(&str, &str)]| registry.value(name, labels);
    let source = [("organization_id", "o-1"), ("data_source_type", "postgresql")];
    assert_eq!(value("successful_analyses_total", &source), Some(1.0));
    let of_type = [("chart_type", "bar"), ("organization_id", "o-1")];
    assert_eq!(value("charts_created_total", &of_type), Some(1.0));
    let source = [("organization_id", "o-1"), ("data_source_type", "sqlite")];
    assert_eq!(value("sql_queries_executed_total", &source), Some(2.0));
    assert_eq!(value("user_sessions_total", &[("organization_id", "o-1")]), Some(1.0));
    assert_eq!(value("conversation_message_count_bucket", &[("le", "20")]), Some(1.0));
    assert_eq!(value("business_tokens_total", &[("organization_id", "o-1")]), Some(200.0));
    for status in ["success", "error"] {
        let kind = [("kind", "sql_query"), ("status", status)];
        assert_eq!(value("business_analysis_duration_seconds_sum", &kind), Some(1.5));
        let of_type = [("chart_type", "bar"), ("status", status)];
        assert_eq!(value("business_chart_duration_seconds_sum", &of_type), Some(0.25));
        let labels = [("complexity", "simple"), ("data_source_type", "sqlite"), ("status", status)];
        assert_eq!(value("business_query_duration_seconds_sum", &labels), Some(0.02));
    }
}

#[test]
fn a_summary_says_what_was_recorded_in_its_window_and_nothing_else() {
    let registry = Registry::default();
    let (business, clock) = recorder(&registry, BusinessConfig::default());
    business.record_analysis(&analysis("o-old", true));
    clock.advance(Duration::from_hours(3));
    for organization in ["o-1", "o-2", "o-2"] {
        business.record_analysis(&analysis(organization, organization == "o-1"));
    }
    let dashboard = Analysis { kind: AnalysisKind::DashboardCreation, ..analysis("o-3", true) };
    business.record_analysis(&Analysis { user_id: "u-2", ..dashboard });
    for chart_type in ["line", "bar", "bar"] {
        business.record_chart(&chart(chart_type));
    }
    business.record_query(&query("o-3", true));
    business.record_session("o-3", "u-3");
    business.record_conversation(5);
    business.record_conversation(7);

    let summary = business.summary_of_last(Duration::from_hours(1));
    assert_eq!((summary.analyses.total, summary.analyses.successful), (4, 2));
    assert_eq!(summary.analyses.success_ratio(), Some(0.5));
    assert_eq!(summary.analyses.average_seconds(), Some(1.5));
    assert_eq!(summary.kind(AnalysisKind::SqlQuery).analyses.total, 3);
    assert_eq!(summary.kind(AnalysisKind::DashboardCreation).queries, 2);
    assert_eq!(summary.kind(AnalysisKind::ChartCreation).analyses.success_ratio(), None);
    assert_eq!((summary.charts.total, summary.points, summary.tokens), (3, 120, 400));
    assert_eq!((summary.queries.total, summary.rows), (1, 7));
    assert_eq!((summary.sessions, summary.conversations, summary.messages), (1, 2, 12));
    assert_eq!((summary.users(), summary.organizations()), (3, 3));
    let names = |named: Vec<obs_metrics::business::Named>| {
        named.iter().map(|named| named.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(summary.top_organizations(9)), ["o-2", "o-1", "o-3"]);
    assert_eq!(names(summary.top_organizations(1)), ["o-2"]);
    assert_eq!(names(summary.popular_chart_types(9)), ["bar", "line"]);
    assert_eq!(names(summary.top_data_sources(9)), ["postgresql", "sqlite"]);
    assert_eq!(names(summary.query_complexities(9)), ["simple"]);
    assert_eq!(summary.other, Default::default());

    let all = business.summary_of_last(Duration::from_hours(24 * 365));
    assert_eq!(all.analyses.total, 5);
    // It began a minute and a half after the hour.
    assert_eq!(all.from, Timestamp::from_millis(500_000 * HOUR + MINUTE));
    let none = business.summary(clock.now().plus(Duration::from_hours(1)), Timestamp::EPOCH);
    assert_eq!((none.analyses.total, none.from), (0, none.to));
}

#[test]
fn names_over_a_cap_are_counted_as_others_and_totals_stay_exact() {
    let registry = Registry::default();
    let config = BusinessConfig {
        max_names_per_bucket: 4,
        max_names: 20,
        hours: Duration::from_hours(48),
        ..BusinessConfig::default()
    };
    let (business, clock) = recorder(&registry, config);
    for id in 0..100 {
        business.record_session(&format!("o-{id}"), &format!("u-{id}"));
    }
    let summary = business.summary_of_last(Duration::from_secs(60));
    assert_eq!(summary.sessions, 100);
    assert_eq!((summary.organizations(), summary.users()), (4, 4));
    assert_eq!((summary.other.organizations.sessions, summary.other.users.sessions), (96, 96));
    let folded =
        |dimension| registry.value("obskit_business_folded_total", &[("dimension", dimension)]);
    assert_eq!((folded("organization"), folded("user")), (Some(96.0), Some(96.0)));

    // Over hours, all buckets together keep no more than the cap, and make room when they go.
    for hour in 0..40 {
        clock.advance(Duration::from_hours(1));
        for id in 0..4 {
            business.record_session(&format!("o-{hour}-{id}"), "u");
        }
    }
    let all = business.summary_of_last(Duration::from_hours(47));
    assert_eq!(all.sessions, 260);
    assert!(all.organizations() <= 10, "{}", all.organizations());
    clock.advance(Duration::from_hours(49));
    business.record_session("o-new", "u");
    let latest = business.summary_of_last(Duration::from_secs(60));
    assert_eq!((latest.organizations(), latest.other), (1, Default::default()));
}

#[test]
fn the_label_rules_of_the_registry_hold_in_summaries_too() {
    let label_rules = LabelRules::new().pseudonyms(b"key", &["organization_id"]).deny("user_id");
    let registry = Registry::new(RegistryConfig { label_rules, ..RegistryConfig::default() });
    let (business, _) = recorder(&registry, BusinessConfig::default());
    business.record_analysis(&analysis("acme", true));
    let summary = business.summary_of_last(Duration::from_secs(60));
    let shown = summary.top_organizations(1)[0].name.to_string();
    assert_ne!(shown, "acme");
    assert_eq!(summary.users(), 0);
    let labels = [("organization_id", &*shown), ("data_source_type", "postgresql")];
    assert_eq!(registry.value("successful_analyses_total", &labels), Some(1.0));
}

#[test]
fn a_clock_that_is_set_back_loses_nothing_that_is_still_kept() {
    let registry = Registry::default();
    let (business, clock) = recorder(&registry, BusinessConfig::default());
    business.record_session("o-1", "u-1");
    let later = clock.now();
    clock.set(later.minus(Duration::from_hours(2)));
    business.record_session("o-1", "u-1");
    clock.set(later);
    assert_eq!(business.summary_of_last(Duration::from_hours(3)).sessions, 2);
    assert_eq!(business.summary_of_last(Duration::from_secs(60)).sessions, 1);
    // So long ago that nothing is kept of it.
    clock.set(later.minus(Duration::from_hours(24 * 60)));
    business.record_session("o-1", "u-1");
    clock.set(later);
    assert_eq!(business.summary_of_last(Duration::from_hours(24 * 90)).sessions, 2);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Session(u8),
    Chart(u8),
    /// From so long before now, for so long, both in seconds.
    Summary(u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u32..7_200).prop_map(Step::Wait),
        (0_u8..4).prop_map(Step::Session),
        (0_u8..4).prop_map(Step::Chart),
        (0_u32..400_000, 0_u32..400_000).prop_map(|(before, long)| Step::Summary(before, long)),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn a_summary_is_what_a_list_of_all_records_says_of_the_time_that_it_covers(steps in steps()) {
        let registry = Registry::default();
        let config = BusinessConfig {
            minutes: Duration::from_hours(3),
            hours: Duration::from_hours(30),
            ..BusinessConfig::default()
        };
        let (business, clock) = recorder(&registry, config);
        let began = clock.now().as_millis() / MINUTE * MINUTE;
        let mut records: Vec<(i64, Option<u8>, Option<u8>)> = Vec::new();
        for step in steps {
            let now = clock.now().as_millis();
            match step {
                Step::Wait(seconds) => clock.advance(Duration::from_secs(u64::from(seconds))),
                Step::Session(id) => {
                    business.record_session(&format!("o-{id}"), "u");
                    records.push((now, Some(id), None));
                }
                Step::Chart(id) => {
                    business.record_chart(&chart(&format!("t-{id}")));
                    records.push((now, None, Some(id)));
                }
                Step::Summary(before, long) => {
                    let from = now - i64::from(before) * 1_000;
                    let to = (from + i64::from(long) * 1_000).min(now + 1);
                    let summary =
                        business.summary(Timestamp::from_millis(from), Timestamp::from_millis(to));
                    let covers = (summary.from.as_millis(), summary.to.as_millis());
                    let oldest_hour = now / HOUR * HOUR - 29 * HOUR;
                    prop_assert!(covers.0 <= from.max(oldest_hour).max(began), "{covers:?} {from}");
                    prop_assert!(covers.1 >= to, "{covers:?} {to}");
                    prop_assert!(covers.0 > from.max(oldest_hour) - HOUR);
                    if from >= now - 2 * HOUR {
                        prop_assert!(covers.0 > from - MINUTE && covers.1 < to + MINUTE);
                    }
                    let within: Vec<_> = records
                        .iter()
                        .filter(|(at, ..)| (covers.0..covers.1).contains(at))
                        .collect();
                    let sessions = within.iter().filter_map(|(_, id, _)| *id);
                    prop_assert_eq!(summary.sessions, sessions.clone().count() as u64);
                    let mut charts = BTreeMap::new();
                    for id in within.iter().filter_map(|(.., id)| *id) {
                        *charts.entry(format!("t-{id}")).or_insert(0) += 1;
                    }
                    let organizations: BTreeSet<String> = sessions
                        .map(|id| format!("o-{id}"))
                        .chain((!charts.is_empty()).then(|| "o-1".to_owned()))
                        .collect();
                    prop_assert_eq!(summary.organizations(), organizations.len());
                    let seen: BTreeMap<_, _> = summary
                        .popular_chart_types(99)
                        .into_iter()
                        .map(|named| (named.name.to_string(), named.counts.charts))
                        .collect();
                    prop_assert_eq!(seen, charts);
                }
            }
        }
    }
}
