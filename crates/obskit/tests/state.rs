//! The series store over a restart; a process of its own, as the recorder is global.

use obs_query::promql::{Engine, QueryValue};

/// What `sum(kept_total)` was a little before the newest sample.
fn kept(store: &obs_query::SeriesStore) -> Option<f64> {
    let engine = Engine::default();
    let query = engine.parse("sum(last_over_time(kept_total[1h]))").unwrap();
    let at = store.stats().newest?;
    match engine.instant(store, &query, at, &|| false).unwrap().value {
        QueryValue::Vector(points) => points.first()?.value.as_float(),
        other => panic!("a sum is a vector: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_store_is_in_the_state_folder_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "[state]\ndir = {:?}\n[metrics]\nsample_interval = \"100ms\"\n[admin]\nport = 0\n",
        folder.path().join("state")
    );
    let file = folder.path().join("obskit.toml");
    std::fs::write(&file, settings).unwrap();

    let start = || obskit::init("kept").without_environment().config_file(&file).unwrap().start();
    let obs = start().await.unwrap();
    metrics::counter!("kept_total", "host" => "a").increment(7);
    let begun = std::time::Instant::now();
    while kept(obs.store()) != Some(7.0) {
        assert!(begun.elapsed().as_secs() < 30, "the counter does not arrive in the store");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    obs.shutdown().await.unwrap();

    // Recorder and subscriber are of the process, so what is in the file is read without them.
    let path = folder.path().join("state").join("obskit.redb");
    let (state, opening) =
        obs_store::Store::open(&path, obs_store::StoreOptions::default()).unwrap();
    assert!(!opening.is_loss(), "{opening}");
    let store = std::sync::Arc::new(obs_query::SeriesStore::new(obs_query::StoreConfig::default()));
    let config = obs_query::persist::PersistConfig::default();
    let (_persistence, recovery) =
        obs_query::persist::Persistence::open(std::sync::Arc::clone(&store), &state, config)
            .unwrap();
    assert!(recovery.samples > 0 && recovery.skipped == 0, "{recovery:?}");
    assert_eq!(kept(&store), Some(7.0));
}
