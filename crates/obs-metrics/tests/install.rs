//! The registry as the process's recorder; alone in its file because a recorder can be installed only once.

use metrics::counter;
use obs_metrics::Registry;

#[test]
fn an_installed_registry_records_what_any_thread_does_and_a_second_one_is_refused() {
    let registry = Registry::default();
    registry.install().unwrap();
    std::thread::spawn(|| counter!("everywhere_total").increment(3)).join().unwrap();
    assert_eq!(registry.value("everywhere_total", &[]), Some(3.0));

    let error = Registry::default().install().unwrap_err();
    assert!(error.is_already_installed());
    assert!(error.to_string().contains("another recorder is installed"), "{error}");
}
