//! The same line by libraries that do not speak `tracing`, and by hand.

use std::cell::RefCell;
use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::sync::Mutex;

use obs_model::{Clock, SystemClock};
use slog::{Drain, Logger, o};

use crate::Task;
use crate::lines::{file, to_a_file};

fn log(logger: &Logger, times: u64) {
    let span = logger.new(o!("method" => "GET", "route" => "/orders/{id}"));
    for order in 0..times {
        slog::info!(span, "order paid";
            "order" => order, "user" => "u-17", "total" => 9.5, "cached" => true, "attempt" => 2);
    }
}

pub(crate) fn slog_to_a_sink() -> Result<Task, Box<dyn Error>> {
    let drain = Mutex::new(slog_json::Json::default(std::io::sink())).map(slog::Fuse);
    let logger = Logger::root(drain, o!());
    Ok(Task { work: Box::new(move |times| log(&logger, times)), settle: Box::new(|| {}) })
}

pub(crate) fn slog_to_a_file() -> Result<Task, Box<dyn Error>> {
    let (file, lines) = file()?;
    let drain = slog_async::Async::new(slog_json::Json::default(file).fuse())
        .chan_size(8_192)
        .overflow_strategy(slog_async::OverflowStrategy::Block)
        .build();
    let logger = Logger::root(drain.fuse(), o!());
    Ok(to_a_file(move |times| log(&logger, times), (), lines))
}

/// What the line costs when everything about it is known: a bound, not a library.
pub(crate) fn by_hand_to_a_sink() -> Result<Task, Box<dyn Error>> {
    thread_local! {
        static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let clock = SystemClock::new();
    let work = move |times| {
        for order in 0..times {
            LINE.with_borrow_mut(|line| {
                line.clear();
                // OK because a vector takes every write.
                let _ = write!(
                    line,
                    r#"{{"timestamp":{},"level":"INFO","message":"order paid","method":"GET","#,
                    clock.now().as_millis()
                );
                let _ = writeln!(
                    line,
                    r#""route":"/orders/{{id}}","order":{order},"user":"u-17","total":9.5,"cached":true,"attempt":2}}"#
                );
                black_box(line);
            });
        }
    };
    Ok(Task { work: Box::new(work), settle: Box::new(|| {}) })
}
