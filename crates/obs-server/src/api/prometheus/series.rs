//! `series`, `labels` and `label/{name}/values`: what there is to query.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use obs_model::Labels;
use obs_query::{Queryable as _, Selector, SeriesStore, TimeRange};

use super::answer::{self, Refusal};
use super::form::Form;
use super::pool::Wanted;
use super::{json, store};
use crate::router::App;

/// `series`: the label sets that the selectors of `match[]` find.
pub(super) async fn series(State(app): State<Arc<App>>, form: Form) -> Result<Response, Refusal> {
    let selectors = form.selectors()?;
    if selectors.is_empty() {
        return Err(Refusal::bad_data("no match[] parameter provided"));
    }
    let question = Question { selectors, range: form.range()?, limit: form.limit()? };
    question
        .answer(&app, |found, store, wanted| {
            let series = found.series(store, wanted)?;
            let (shown, warnings) = found.cut(&series);
            Ok(answer::success(&warnings, |out| json::array(out, shown, json::labels)))
        })
        .await
}

/// `labels`: the label names in use, of all series or of those that `match[]` finds.
pub(super) async fn names(State(app): State<Arc<App>>, form: Form) -> Result<Response, Refusal> {
    let question =
        Question { selectors: form.selectors()?, range: form.range()?, limit: form.limit()? };
    question
        .answer(&app, |asked, store, wanted| {
            let names = if asked.selectors.is_empty() {
                if asked.is_about_now(store) { store.label_names() } else { Vec::new() }
            } else {
                let series = asked.series(store, wanted)?;
                let names = series.iter().flat_map(|labels| labels.iter().map(|(name, _)| name));
                distinct(names)
            };
            Ok(asked.texts(&names))
        })
        .await
}

/// `label/{name}/values`: the values of one label. A name that is not a word of letters, digits and underscores is
/// given in its `U__` form.
pub(super) async fn values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    let name = unescaped(&name).unwrap_or(name);
    if name.is_empty() {
        return Err(Refusal::bad_data("invalid label name: \"\""));
    }
    let question =
        Question { selectors: form.selectors()?, range: form.range()?, limit: form.limit()? };
    question
        .answer(&app, move |asked, store, wanted| {
            let values = if asked.selectors.is_empty() {
                if asked.is_about_now(store) { store.label_values(&name) } else { Vec::new() }
            } else {
                let series = asked.series(store, wanted)?;
                distinct(series.iter().filter_map(|labels| labels.get(&name)))
            };
            Ok(asked.texts(&values))
        })
        .await
}

/// What series are asked about.
struct Question {
    selectors: Vec<Selector>,
    range: TimeRange,
    limit: usize,
}

impl Question {
    async fn answer(
        self,
        app: &Arc<App>,
        work: impl FnOnce(&Self, &SeriesStore, &Wanted) -> Result<Vec<u8>, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let store = store(app)?;
        let timeout = app.prometheus.engine.timeout;
        let body = app.queries.run(timeout, move |turn| work(&self, &store, &turn.wanted)).await?;
        Ok(answer::json_response(body))
    }

    /// The series that any of the selectors finds, in order and each once.
    fn series(&self, store: &SeriesStore, wanted: &Wanted) -> Result<Vec<Labels>, Refusal> {
        let mut found = Vec::new();
        for selector in &self.selectors {
            if wanted.is_canceled() {
                return Err(Refusal::new(answer::ErrorType::Canceled, "the request was given up"));
            }
            found.extend(store.series(selector, self.range));
        }
        if self.selectors.len() > 1 {
            found.sort();
            found.dedup();
        }
        Ok(found)
    }

    /// Whether the store may have anything from the time that is asked about.
    fn is_about_now(&self, store: &SeriesStore) -> bool {
        store.stats().newest.is_some_and(|newest| {
            let oldest = newest.minus(store.config().retention);
            self.range.start < newest && self.range.end >= oldest
        })
    }

    fn cut<'a, T>(&self, all: &'a [T]) -> (&'a [T], Vec<String>) {
        if self.limit == 0 || all.len() <= self.limit {
            (all, Vec::new())
        } else {
            (&all[..self.limit], answer::truncated())
        }
    }

    fn texts(&self, all: &[String]) -> Vec<u8> {
        let (shown, warnings) = self.cut(all);
        answer::success(&warnings, |out| {
            json::strings(out, shown.iter().map(String::as_str));
        })
    }
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let texts: BTreeSet<&str> = texts.collect();
    texts.into_iter().map(str::to_owned).collect()
}

/// A name that was escaped as `U__…`: underscores are doubled, anything else unusual is `_HEX_`.
fn unescaped(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut text = String::with_capacity(rest.len());
    while let Some((plain, after)) = rest.split_once('_') {
        text.push_str(plain);
        if let Some(after) = after.strip_prefix('_') {
            text.push('_');
            rest = after;
        } else {
            let (digits, after) = after.split_once('_')?;
            let is_hex = (1..=6).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = is_hex.then(|| u32::from_str_radix(digits, 16).ok())??;
            text.push(char::from_u32(code)?);
            rest = after;
        }
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_their_escaped_form() {
        for (escaped, name) in [
            ("U__http_2e_status", Some("http.status")),
            ("U__a__b", Some("a_b")),
            ("U___e9_t_e9_", Some("été")),
            ("U__plain", Some("plain")),
            ("U__a_", None),
            ("U__a_zz_", None),
            ("U__a_d800_", None),
            ("U__a_1234567_", None),
            ("instance", None),
        ] {
            assert_eq!(unescaped(escaped).as_deref(), name, "{escaped}");
        }
    }
}
