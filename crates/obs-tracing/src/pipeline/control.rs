//! Levels that are changed while the service runs, and go back by themselves.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::Level;
use parking_lot::{Condvar, Mutex};

use super::filter::LevelControl;
use crate::Error;

/// The most levels that are set at once, and the longest that one of them stays.
const MAX_LEVELS: usize = 64;
const MAX_TIME: Duration = Duration::from_hours(24);

const THREAD_NAME: &str = "obskit-log-level";

/// Steers which lines are written while the service runs: for an admin interface. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use obs_model::{Level, Resource};
/// use obs_tracing::{LogConfig, LogOutput};
///
/// # let mut config = LogConfig::new(Resource::new("checkout"));
/// # config.output = LogOutput::Writer(Box::new(std::io::sink()));
/// # let (_dispatch, handle) = obs_tracing::build(config)?;
/// let control = handle.control();
/// control.set_level(Some("checkout::db"), Level::Debug, Some(Duration::from_secs(600)))?;
/// assert_eq!(control.effective_filter(), "info,checkout::db=DEBUG");
/// assert_eq!(control.levels()[0].target.as_deref(), Some("checkout::db"));
/// control.reset_level(Some("checkout::db"));
/// assert_eq!(control.effective_filter(), "info");
/// # Ok::<(), obs_tracing::Error>(())
/// ```
#[derive(Clone)]
pub struct LogControl(Arc<Shared>);

/// A level that was set for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetLevel {
    /// The target and everything below it; `None` is every target that has no level of its own.
    pub target: Option<String>,
    /// The least important level that is written.
    pub level: Level,
    /// When it goes back; `None` is not by itself.
    pub until: Option<Instant>,
}

struct Shared {
    filter: LevelControl,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    base: String,
    levels: Vec<TargetLevel>,
    /// Whether a thread waits for the next level to go back.
    is_watched: bool,
}

impl State {
    fn effective(&self) -> String {
        let mut text = self.base.clone();
        for one in &self.levels {
            text.push(',');
            if let Some(target) = &one.target {
                text.push_str(target);
                text.push('=');
            }
            text.push_str(one.level.as_str());
        }
        text
    }
}

impl LogControl {
    pub(crate) fn new(filter: LevelControl) -> Self {
        let state = State { base: filter.text(), levels: Vec::new(), is_watched: false };
        Self(Arc::new(Shared { filter, state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Lets `log::max_level` follow the filter from now on.
    #[cfg(feature = "log")]
    pub(crate) fn follow_log_crate(&self) {
        // OK because the level changes only under this lock.
        let _state = self.0.state.lock();
        self.0.filter.follow_log_crate();
    }

    /// Whether `log::max_level` follows the filter.
    #[cfg(feature = "log")]
    pub(crate) fn follows_log_crate(&self) -> bool {
        self.0.filter.follows_log_crate()
    }

    /// The filter without the levels that were set for a while.
    #[must_use]
    pub fn filter(&self) -> String {
        self.0.state.lock().base.clone()
    }

    /// The filter as it works now.
    #[must_use]
    pub fn effective_filter(&self) -> String {
        self.0.filter.text()
    }

    /// Exchanges the filter; levels that were set for a while stay.
    ///
    /// # Errors
    ///
    /// The text is neither a level nor a list of directives; the old filter stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), Error> {
        let mut state = self.0.state.lock();
        let before = std::mem::replace(&mut state.base, filter.to_owned());
        // The filter alone must be one, whatever is added to it.
        super::filter::check_filter(filter)
            .and_then(|()| self.0.filter.set(&state.effective()))
            .inspect_err(|_| state.base = before)
    }

    /// The levels that were set for a while.
    #[must_use]
    pub fn levels(&self) -> Vec<TargetLevel> {
        self.0.state.lock().levels.clone()
    }

    /// Writes what a target says from `level` on, for a time (24 hours at most) or until it is reset. Without a target
    /// it holds for all that have no level of their own.
    ///
    /// # Errors
    ///
    /// The target is not one, or too many levels are set.
    pub fn set_level(
        &self,
        target: Option<&str>,
        level: Level,
        time: Option<Duration>,
    ) -> Result<(), Error> {
        let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"_:.-/".contains(&byte);
        if target.is_some_and(|target| target.is_empty() || !target.bytes().all(is_path)) {
            let problem =
                format!("the target {target:?} is not one: expected a path such as my_crate::db");
            return Err(Error::config(vec![problem]));
        }
        let until = time.map(|time| Instant::now() + time.min(MAX_TIME));
        let mut state = self.0.state.lock();
        let before = state.levels.clone();
        state.levels.retain(|one| one.target.as_deref() != target);
        if state.levels.len() >= MAX_LEVELS {
            state.levels = before;
            let problem = format!("{MAX_LEVELS} levels are set already: reset some");
            return Err(Error::config(vec![problem]));
        }
        state.levels.push(TargetLevel { target: target.map(str::to_owned), level, until });
        if let Err(error) = self.0.filter.set(&state.effective()) {
            state.levels = before;
            return Err(error);
        }
        if until.is_some() && !std::mem::replace(&mut state.is_watched, true) {
            let shared = Arc::clone(&self.0);
            let watching = std::thread::Builder::new()
                .name(THREAD_NAME.to_owned())
                .spawn(move || watch(&shared));
            if let Err(source) = watching {
                state.is_watched = false;
                state.levels = before;
                // OK because this filter worked before.
                let _ = self.0.filter.set(&state.effective());
                return Err(Error::thread(THREAD_NAME, source));
            }
        }
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Takes a level back before its time; whether there was one.
    pub fn reset_level(&self, target: Option<&str>) -> bool {
        let mut state = self.0.state.lock();
        let before = state.levels.len();
        state.levels.retain(|one| one.target.as_deref() != target);
        // OK because this filter was read before.
        let _ = self.0.filter.set(&state.effective());
        let was_set = state.levels.len() < before;
        drop(state);
        self.0.changed.notify_all();
        was_set
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl")
            .field("filter", &self.effective_filter())
            .finish_non_exhaustive()
    }
}

/// Lets levels go back when their time is over, and ends when none is left that does.
fn watch(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        let now = Instant::now();
        let before = state.levels.len();
        state.levels.retain(|one| one.until.is_none_or(|until| until > now));
        if state.levels.len() < before {
            // OK because this filter was read before.
            let _ = shared.filter.set(&state.effective());
        }
        let Some(next) = state.levels.iter().filter_map(|one| one.until).min() else {
            state.is_watched = false;
            return;
        };
        shared.changed.wait_until(&mut state, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> LogControl {
        LogControl::new(LevelControl::new("info,noisy=error", Level::Info).unwrap())
    }

    #[test]
    fn a_level_goes_back_when_its_time_is_over() {
        let control = control();
        control.set_level(Some("db"), Level::Debug, Some(Duration::from_millis(1))).unwrap();
        control.set_level(Some("kept"), Level::Trace, None).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while control.effective_filter().contains("db") && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(control.effective_filter(), "info,noisy=error,kept=TRACE");
    }

    #[test]
    fn levels_stay_when_the_filter_changes_and_mistakes_change_nothing() {
        let control = control();
        control.set_level(None, Level::Warn, None).unwrap();
        control.set_level(Some("db"), Level::Debug, None).unwrap();
        control.set_level(Some("db"), Level::Trace, None).unwrap();
        control.set_filter("error").unwrap();
        assert_eq!(control.effective_filter(), "error,WARN,db=TRACE");
        assert!(control.set_filter("loud").unwrap_err().is_config());
        assert!(control.set_level(Some("a b"), Level::Info, None).unwrap_err().is_config());
        assert_eq!((control.filter(), control.levels().len()), ("error".to_owned(), 2));
        assert!(control.reset_level(None) && !control.reset_level(None));
        assert_eq!(control.effective_filter(), "error,db=TRACE");
        for number in 0..MAX_LEVELS {
            let _ = control.set_level(Some(&format!("t{number}")), Level::Info, None);
        }
        assert_eq!(control.levels().len(), MAX_LEVELS);
    }
}
