//! Takes the records of the `log` crate, so that lines of libraries that use it are lines like all others.

mod pairs;
mod places;

use log::{Log, Metadata, Record};
use obs_model::Level;
use smallvec::SmallVec;
use tracing_core::field::Value;
use tracing_core::{Dispatch, Event, LevelFilter, dispatcher};

use crate::pipeline::{Pipeline, thread};
use pairs::Pairs;
use places::{Origin, Place};

/// How many fields of a record need no memory of their own.
const USUAL_FIELDS: usize = 9;

/// Hands records to the subscriber that is current.
struct Bridge;

/// Becomes the logger of the process; `false` when there is one already, which stays.
pub(crate) fn install() -> bool {
    log::set_logger(&Bridge).is_ok()
}

/// Lets the macros of `log` stop at what no filter wants, before they do anything.
pub(crate) fn set_max_level(level: LevelFilter) {
    log::set_max_level(match level.into_level() {
        None => log::LevelFilter::Off,
        Some(tracing_core::Level::ERROR) => log::LevelFilter::Error,
        Some(tracing_core::Level::WARN) => log::LevelFilter::Warn,
        Some(tracing_core::Level::INFO) => log::LevelFilter::Info,
        Some(tracing_core::Level::DEBUG) => log::LevelFilter::Debug,
        Some(tracing_core::Level::TRACE) => log::LevelFilter::Trace,
    });
}

const fn level_of(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = level_of(metadata.level());
        !thread::is_suppressed()
            && dispatcher::get_default(|dispatch| {
                places::would_enable(dispatch, level, metadata.target())
            })
    }

    fn log(&self, record: &Record<'_>) {
        if !thread::is_suppressed() {
            dispatcher::get_default(|dispatch| hand_over(record, dispatch));
        }
    }

    fn flush(&self) {
        dispatcher::get_default(|dispatch| {
            if let Some(pipeline) = dispatch.downcast_ref::<Pipeline>() {
                pipeline.flush_lines();
            }
        });
    }
}

fn hand_over(record: &Record<'_>, dispatch: &Dispatch) {
    let level = level_of(record.level());
    let pairs = Pairs::of(record.key_values());
    let origin = Origin {
        level,
        target: record.target(),
        file: record.file_static(),
        line: record.line(),
        module: record.module_path_static(),
        pairs: &pairs,
    };
    let literal = record.args().as_str();
    let message: &dyn Value = match &literal {
        Some(text) => text,
        None => record.args(),
    };
    if let Some(place) = places::of(&origin) {
        if place.is_enabled(dispatch) {
            let given = pairs.0.iter().map(|pair| pair.given.as_value());
            emit(place, dispatch, given.chain([Some(message)]));
        }
    } else if places::would_enable(dispatch, level, record.target()) {
        let members = pairs.as_json();
        let given = [Some(&record.target() as &dyn Value), Some(&members), Some(message)];
        emit(places::shared(level), dispatch, given.into_iter());
    }
}

fn emit<'v>(
    place: &'static Place,
    dispatch: &Dispatch,
    values: impl Iterator<Item = Option<&'v dyn Value>>,
) {
    let metadata = place.metadata();
    let values: SmallVec<[_; USUAL_FIELDS]> = values.collect();
    dispatch.event(&Event::new(metadata, &metadata.fields().value_set_all(&values)));
}
