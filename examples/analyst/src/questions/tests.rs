//! Every rule reads its own examples, and every statement of a rule returns rows.

use super::*;
use crate::database::{Database, DatabaseConfig, Query};
use crate::error::AnalystError;
use crate::telemetry::Telemetry;

async fn with_rules() -> (Database, Rules, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = DatabaseConfig::new(directory.path().join("analyst.db"));
    let database = Database::open(config, Telemetry::default()).expect("the embedded data loads");
    let rules = Rules::new(database.places().await.expect("the airports can be read"));
    (database, rules, directory)
}

#[tokio::test]
async fn every_example_is_read_by_its_own_rule_and_answered_with_rows_a_chart_and_a_sentence() {
    let (database, rules, _directory) = with_rules().await;
    let mut examples = 0;
    for rule in Rules::descriptions() {
        for question in rule.examples {
            let plan = rules.plan(question).unwrap_or_else(|error| panic!("{question}: {error}"));
            assert_eq!(plan.planner, Planner::Rule(rule.id), "{question}");
            let query = Query::rule(plan.sql.clone(), plan.parameters.clone());
            let done =
                database.run(query).await.unwrap_or_else(|error| panic!("{question}: {error}"));
            assert!(!done.table.rows.is_empty(), "{question}: no rows by {}", done.sql);
            assert!(!done.sql.contains(":airport") && !done.sql.contains(":count"), "{}", done.sql);
            if let Some(kind) = plan.chart {
                let chart = crate::chart::create(kind, &plan.title, &done.table);
                assert!(chart.is_ok(), "{question}: {chart:?}");
            }
            let answer = plan.answer.say(&done.table);
            assert!(answer.ends_with('.') && !answer.contains('{'), "{question}: {answer}");
            examples += 1;
        }
    }
    assert!(examples >= 60, "{examples} examples");
}

#[tokio::test]
async fn answers_state_what_the_files_say() {
    let (database, rules, _directory) = with_rules().await;
    // The figures were counted in the CSV files with another program.
    let cases = [
        (
            "What are the 5 busiest airports?",
            "DFW leads with 1,103 departures, ahead of ORD (1,095) and ATL (846).",
        ),
        (
            "How many bird strikes were there in Hawaii?",
            "352 strikes were reported, 15 of them with damage; they cost 6,476 US dollars.",
        ),
        (
            "How many flights are there from ORD to LGA?",
            "33 flights cover the 733 miles; their average delay is 6.8 minutes and the longest 72.",
        ),
        (
            "In which phase of flight do bird strikes happen?",
            "Of 10,000 strikes: Approach 46.2 %, Climb 19.6 %, Take-off run 15.9 %.",
        ),
        ("How many airports are in Texas?", "TX has 209 airports in 192 cities."),
    ];
    for (question, expected) in cases {
        let plan = rules.plan(question).expect("a rule reads it");
        let done = database.run(Query::rule(plan.sql, plan.parameters)).await.expect("it runs");
        assert_eq!(plan.answer.say(&done.table), expected);
    }
}

#[tokio::test]
async fn parameters_narrow_the_statement_down() {
    let (database, rules, _directory) = with_rules().await;
    let plan = rules.plan("What are the 3 busiest routes from Dallas in March?").expect("a rule");
    assert_eq!(plan.title, "Busiest routes at DFW in March");
    let done = database.run(Query::rule(plan.sql, plan.parameters)).await.expect("it runs");
    assert_eq!(done.table.rows.len(), 3);
    assert!(
        done.sql.contains("origin = 'DFW' AND month = 3") && done.sql.contains("LIMIT 3"),
        "{}",
        done.sql
    );
    // The statement that is shown can be run as it stands.
    let again = database.run(Query::statement(done.sql)).await.expect("it runs");
    assert_eq!(again.table, done.table);
}

#[tokio::test]
async fn a_question_that_no_rule_reads_gets_suggestions() {
    let (_database, rules, _directory) = with_rules().await;
    for question in
        ["", "?", "Why do birds sing?", "How many clouds fly to the moon?", "DROP TABLE flights"]
    {
        let error = rules.plan(question).expect_err("no rule reads it");
        let AnalystError::UnknownQuestion { suggestions, .. } = &error else {
            panic!("{question}: {error:?}")
        };
        assert_eq!((suggestions.len(), error.status()), (3, 422), "{question}");
        for suggestion in suggestions {
            assert!(rules.plan(suggestion).is_ok(), "{suggestion}");
        }
    }
    let error = rules.plan("How severe are strikes by ducks?").expect_err("no rule reads it");
    assert!(
        matches!(&error, AnalystError::UnknownQuestion { suggestions, .. }
        if suggestions.iter().all(|text| text.contains("strikes"))),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_airport_that_the_data_lacks_is_named() {
    let (_database, rules, _directory) = with_rules().await;
    for question in ["What is the average delay at Narnia?", "Busiest routes from Narnia"] {
        let error = rules.plan(question).expect_err("there is no such airport");
        assert!(
            matches!(&error, AnalystError::UnknownAirport { given } if given == "narnia"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_parameter_that_a_rule_cannot_use_is_not_ignored() {
    let (_database, rules, _directory) = with_rules().await;
    let error =
        rules.plan("How many flights per month in Texas?").expect_err("no rule takes a state here");
    assert_eq!(error.error_type(), "unknown_question");
}
