//! Traces that are kept because an alert fires that may be about them.

use std::sync::Arc;
use std::time::Duration;

use obs_alerts::AlertEngine;
use obs_model::{AlertState, Labels};
use obs_tracing::{LinkedTraces, TailSampler};

/// The labels whose values are names of spans or routes.
const NAMES: [&str; 4] = ["span", "path", "endpoint", "route"];

/// The labels that a request's first span has as a field of the same name.
const FIELDS: [&str; 1] = ["method"];

/// Looks every `interval` for alerts that fire, and asks for traces like those that each is about.
pub(crate) async fn keep(engine: Arc<AlertEngine>, sampler: TailSampler, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let active = engine.active();
        for alert in active.iter().filter(|alert| alert.state == AlertState::Firing) {
            if let Some(traces) = linked(&alert.labels) {
                sampler.keep_linked(traces, interval * 2);
            }
        }
    }
}

/// The traces that an alert with these labels is about, if they say.
fn linked(labels: &Labels) -> Option<LinkedTraces> {
    let name = NAMES.iter().find_map(|name| labels.get(name))?;
    let traces = LinkedTraces::new().with_name(name);
    let fields = FIELDS.iter().filter_map(|name| Some((*name, labels.get(name)?)));
    Some(fields.fold(traces, |traces, (name, value)| traces.with_label(name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_about_the_traces_that_its_labels_name() {
        for (labels, expected) in [
            (
                vec![("path", "/pay"), ("method", "POST")],
                Some(LinkedTraces::new().with_name("/pay").with_label("method", "POST")),
            ),
            (vec![("span", "charge")], Some(LinkedTraces::new().with_name("charge"))),
            (vec![("method", "POST")], None),
            (vec![], None),
        ] {
            let linked = linked(&Labels::new(labels.iter().copied()).unwrap());
            assert_eq!(format!("{linked:?}"), format!("{expected:?}"), "{labels:?}");
        }
    }
}
