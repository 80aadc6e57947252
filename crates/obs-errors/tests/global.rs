//! The tracker of the process; a file of its own because it can be set only once.

mod support;

use obs_errors::Details;
use support::tracker;

#[tokio::test]
async fn the_free_functions_do_nothing_until_a_tracker_is_set() {
    let error = || "x".parse::<u8>();
    let failed = error().unwrap_err();
    assert_eq!(obs_errors::capture(&failed), None);
    assert_eq!(obs_errors::run(error), Err(failed.clone()));
    let watched = obs_errors::watch(async move { error() });
    assert!(obs_errors::global().is_none());

    let (tracker, _) = tracker(|_| {});
    obs_errors::set_global(tracker.clone()).expect("none is set yet");
    assert_eq!(
        watched.await,
        Err(failed.clone()),
        "a future uses the tracker that is set by its end"
    );
    assert_eq!(obs_errors::run(error), Err(failed.clone()));
    let captured = obs_errors::capture(&failed).expect("a tracker is set");
    let details = Details { error_type: Some("Named"), ..Details::default() };
    let named = obs_errors::capture_with(&failed, details).expect("a tracker is set");
    assert_ne!(captured.fingerprint, named.fingerprint);
    let event = tracker.event(captured.id).expect("it is kept");
    assert!(event.stack[0].file.as_deref().is_some_and(|file| file.ends_with("tests/global.rs")));
    assert_eq!(tracker.statistics().total, 4);

    let again = obs_errors::set_global(tracker).unwrap_err();
    assert!(again.is_already_set());
}
