//! The settings say which operations may wait, and which must end.

use std::time::{Duration, Instant};

use obskit::logs::OperationFilter;

#[tokio::test]
async fn operations_that_are_named_may_wait_or_must_end() {
    let obs = obskit::init("shop")
        .without_environment()
        .settings(|settings| {
            let variables = [
                ("OBSKIT_ADMIN_ENABLED", "false"),
                ("OBSKIT_OPERATIONS_STUCK_AFTER", "1ms"),
                ("OBSKIT_OPERATIONS_WAITING", "consume,checkout"),
                ("OBSKIT_OPERATIONS_LONGEST", "checkout=1ms,report=1d"),
            ];
            let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            settings.read_environment(variables).unwrap();
        })
        .start()
        .await
        .unwrap();
    let spans = [
        tracing::info_span!("consume"),
        tracing::info_span!("checkout"),
        tracing::info_span!("import"),
    ];
    let in_flight = obs.logs().in_flight().expect("open spans are watched");
    let stuck = || {
        let all = in_flight.operations(&OperationFilter::default());
        let stuck = all.operations.iter().filter(|operation| operation.stuck);
        let mut names: Vec<String> = stuck.map(|operation| operation.name.to_owned()).collect();
        names.sort_unstable();
        names
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while stuck().len() < 2 && Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    assert_eq!(stuck(), ["checkout", "import"]);
    drop(spans);
    obs.shutdown().await.unwrap();
}
