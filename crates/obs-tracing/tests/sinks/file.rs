//! A file that lines are appended to: rotation, what is kept, and files that others move.

use std::fs;
#[cfg(any(feature = "file-gzip", feature = "file-zstd"))]
use std::io::Read;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use obs_model::{Context, ManualClock, Resource, SystemClock};
use obs_tracing::sink::{FileCompression, FileConfig, FileSync, LogSink, RotationPeriod};
use obs_tracing::{LogConfig, LogFormat, LogOutput};
use serde_json::Value;

use crate::support::{Logs, eventually, impatient, standing_clock};

/// What the output of the process got.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Folder {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        Self { folder, path }
    }

    fn config(&self, change: impl FnOnce(&mut FileConfig)) -> FileConfig {
        let mut config = FileConfig::new(&self.path);
        change(&mut config);
        config
    }

    /// The rotated files, the oldest first.
    fn rotated(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut rotated: Vec<_> = entries.filter(|path| *path != self.path).collect();
        rotated.sort();
        rotated
    }

    fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        self.rotated().iter().map(name).collect()
    }

    /// The numbers in all files, the oldest first.
    fn numbers(&self) -> Vec<u64> {
        let all = self.rotated().into_iter().chain([self.path.clone()]);
        all.flat_map(|path| numbers(&path)).collect()
    }
}

/// The numbers of the lines of a file, each of which must be whole.
fn numbers(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|end| end == "gz") {
        #[cfg(feature = "file-gzip")]
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else if path.extension().is_some_and(|end| end == "zst") {
        #[cfg(feature = "file-zstd")]
        zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    assert!(text.is_empty() || text.ends_with('\n'), "{} ends within a line", path.display());
    let read = |line| serde_json::from_str::<Value>(line).expect("a line is JSON");
    text.lines().map(|line| read(line)["metadata"]["number"].as_u64().unwrap()).collect()
}

fn log(numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| tracing::info!(number, "counted"));
}

#[test]
fn a_file_in_another_form_has_the_lines_that_the_output_writes_in_it() {
    for format in [LogFormat::Json, LogFormat::Logfmt, LogFormat::Text] {
        let folder = Folder::new();
        let written = Output::default();
        let mut config = LogConfig::new(Resource::new("test service"));
        config.output = LogOutput::Writer(Box::new(written.clone()));
        config.format = format;
        config.clock = standing_clock();
        config.sinks.push(LogSink::new("file", folder.config(|file| file.format = format)));
        let (dispatch, handle) = obs_tracing::build(config).unwrap();
        let context = Context::new().with_user("u 1").with_correlation("c-1".parse().unwrap());
        let _entered = context.with_tool("search").enter();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!("plain");
            tracing::warn!(
                a = "x=\"y\"",
                b = -1.5,
                c = true,
                "d e" = "\u{85}é\\",
                "q\"k\n\u{7f}ü 日"
            );
            let error = std::io::Error::other("gone \"away\"");
            let _span = tracing::info_span!("pay", order = 7, session_id = "s 1").entered();
            tracing::error!(error = &error as &dyn std::error::Error, agent_id = 4, "failed");
            tracing::error!(error.name = "E", error.stack = "caused by: x\ncaused by: y", "{{}}");
            tracing::info!(list = ?[1, 2], empty = "", "");
        });
        handle.shutdown_blocking(Duration::from_secs(20)).unwrap();
        let expected = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(expected.lines().count(), 5, "{expected}");
        assert_eq!(fs::read_to_string(&folder.path).unwrap(), expected, "{format:?}");
    }
}

#[test]
fn lines_are_appended_to_a_file_in_folders_that_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/app.log");
    for (round, sync) in [FileSync::Never, FileSync::EveryWrite].into_iter().enumerate() {
        let mut config = FileConfig::new(&path);
        config.sync = sync;
        config.mode = 0o600;
        let logs = Logs::new(config, standing_clock());
        logs.send(|| log(round as u64 * 100..round as u64 * 100 + 100));
        assert_eq!(numbers(&path), (0..round as u64 * 100 + 100).collect::<Vec<_>>());
        logs.close();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let folder = Folder::new();
    fs::write(&folder.path, "a file").unwrap();
    let mut config = FileConfig::new(folder.path.join("below/app.log"));
    let start = |config: FileConfig| {
        let started = Logs::with(LogSink::new("file", config), standing_clock());
        started.map(|_| ()).unwrap_err().to_string()
    };
    let error = start(config.clone());
    assert!(
        error.contains("sink \"file\": the folder") && error.contains("app.log/below"),
        "{error}"
    );

    let error = start(FileConfig::new(folder.folder.path()));
    assert!(error.contains("cannot be opened: Is a directory"), "{error}");

    config.path = PathBuf::from("/");
    config.mode = 0o1_444;
    config.rotation.max_bytes = Some(0);
    config.keep.files = Some(0);
    config.keep.bytes = Some(0);
    config.keep.age = Some(Duration::ZERO);
    let error = start(config);
    for part in
        ["names no file", "mode is 0o1444", "max_bytes", "keep.files", "keep.bytes", "keep.age"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn no_file_exceeds_its_size_and_no_line_is_lost_between_them() {
    let folder = Folder::new();
    let logs = Logs::new(
        folder.config(|config| {
            config.rotation.max_bytes = Some(2_000);
            config.keep.files = None;
            config.sync = FileSync::OnRotation;
        }),
        standing_clock(),
    );
    logs.send(|| log(0..500));
    assert!(folder.rotated().len() > 20, "{:?}", folder.names());
    for path in folder.rotated() {
        let length = fs::metadata(&path).unwrap().len();
        assert!((1_600..=2_000).contains(&length), "{} has {length}", path.display());
    }
    assert_eq!(folder.numbers(), (0..500).collect::<Vec<_>>());
    assert_eq!(folder.names()[0], "app-20231114T221320.123Z.log");
    assert_eq!(folder.names()[1], "app-20231114T221320.124Z.log", "names stay apart and sort");

    let long = "x".repeat(5_000);
    logs.send(|| tracing::info!(number = 500, long, "longer than a file"));
    logs.send(|| log(501..503));
    assert_eq!(folder.numbers(), (0..503).collect::<Vec<_>>());
    logs.close();
}

#[test]
fn a_new_file_is_begun_with_the_first_line_of_the_next_period() {
    let folder = Folder::new();
    let clock = standing_clock();
    let rotated = |clock: &Arc<ManualClock>, every| {
        let config = folder.config(|config| config.rotation.every = Some(every));
        let logs = Logs::new(config, Arc::<ManualClock>::clone(clock));
        logs.send(|| log([1]));
        clock.advance(Duration::from_secs(46 * 60));
        logs.send(|| log([2]));
        let count = folder.rotated().len();
        clock.advance(Duration::from_secs(60));
        logs.send(|| log([3]));
        assert_eq!(folder.rotated().len(), count + 1, "{:?}", folder.names());
        // OK because a clock that goes back is no reason to begin a file.
        clock.set(obs_model::Timestamp::from_millis(1_700_000_000_123));
        logs.send(|| log([4]));
        assert_eq!(folder.rotated().len(), count + 1);
        logs.close();
    };
    rotated(&clock, RotationPeriod::Hour);
    assert_eq!(folder.names(), ["app-20231114T230020.123Z.log"], "at 22:13, 22:59 and 23:00");
    assert_eq!(folder.numbers(), [1, 2, 3, 4]);

    let midnight = 1_700_000_000_123 + 106 * 60_000 - 47 * 60_000;
    fs::remove_file(&folder.path).unwrap();
    let clock = Arc::new(ManualClock::at(obs_model::Timestamp::from_millis(midnight)));
    let config = folder.config(|config| config.rotation.every = Some(RotationPeriod::Day));
    let logs = Logs::new(config, Arc::<ManualClock>::clone(&clock));
    logs.send(|| log([5]));
    clock.advance(Duration::from_secs(47 * 60));
    logs.send(|| log([6]));
    assert_eq!(folder.names().len(), 1, "23:12 and 23:59");
    clock.advance(Duration::from_secs(60));
    logs.send(|| log([7]));
    assert_eq!(folder.names()[1], "app-20231115T000020.123Z.log");
    logs.close();
}

#[test]
fn a_file_of_an_earlier_period_is_rotated_after_a_restart() {
    let folder = Folder::new();
    fs::write(&folder.path, "{\"metadata\":{\"number\":0}}\n").unwrap();
    let earlier = std::time::SystemTime::now() - Duration::from_secs(2 * 3_600);
    fs::File::options().append(true).open(&folder.path).unwrap().set_modified(earlier).unwrap();
    let config = folder.config(|config| config.rotation.every = Some(RotationPeriod::Hour));
    let logs = Logs::new(config.clone(), Arc::new(SystemClock::new()));
    logs.send(|| log([1]));
    assert_eq!(folder.rotated().len(), 1);
    logs.close();

    let mut config = config;
    config.rotation.at_start = true;
    for start in 0..2 {
        let logs = Logs::new(config.clone(), Arc::new(SystemClock::new()));
        assert_eq!(folder.rotated().len(), 2, "start {start}: an empty file is not rotated");
        logs.close();
    }
    assert_eq!(folder.rotated().iter().flat_map(|path| numbers(path)).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn only_so_many_rotated_files_are_kept_and_nothing_else_is_removed() {
    let folder = Folder::new();
    let others =
        ["app-notes.log", "app-20231114T221320.123Z.txt", "other-20200101T000000.000Z.log"];
    for other in others {
        fs::write(folder.folder.path().join(other), "mine").unwrap();
    }
    let ours = |folder: &Folder| {
        let names = folder.names().into_iter().filter(|name| !others.contains(&name.as_str()));
        names.collect::<Vec<_>>()
    };
    let clock = standing_clock();
    let logs = Logs::new(
        folder.config(|config| {
            config.rotation.max_bytes = Some(1_000);
            config.keep.files = Some(3);
        }),
        Arc::<ManualClock>::clone(&clock),
    );
    logs.send(|| log(0..200));
    eventually("pruning", || (ours(&folder).len() == 3).then_some(()));
    let left: Vec<u64> = ours(&folder)
        .iter()
        .flat_map(|name| numbers(&folder.folder.path().join(name)))
        .chain(numbers(&folder.path))
        .collect();
    assert_eq!(left, (200 - left.len() as u64..200).collect::<Vec<_>>(), "the newest are kept");
    logs.close();

    // What is kept is also bounded by age and by size.
    clock.advance(Duration::from_secs(3_600));
    let aged = folder.config(|config| {
        config.keep.age = Some(Duration::from_secs(1_800));
        config.keep.files = None;
    });
    let logs = Logs::new(aged, Arc::<ManualClock>::clone(&clock));
    eventually("pruning by age", || ours(&folder).is_empty().then_some(()));
    logs.close();
    let small = folder.config(|config| {
        config.rotation.max_bytes = Some(1_000);
        config.keep.files = None;
        config.keep.bytes = Some(2_500);
    });
    let logs = Logs::new(small, clock);
    logs.send(|| log(0..200));
    eventually("pruning by size", || (ours(&folder).len() == 2).then_some(()));
    logs.close();
    assert!(others.iter().all(|other| folder.folder.path().join(other).is_file()));
}

#[test]
fn rotated_files_are_compressed_also_those_of_a_process_that_was_killed_over_it() {
    let folder = Folder::new();
    let left = folder.folder.path().join("app-20200101T000000.000Z.log");
    fs::write(&left, "{\"metadata\":{\"number\":0}}\n").unwrap();
    fs::write(left.with_extension("log.gz.tmp"), "half of i").unwrap();
    let kinds: &[(FileCompression, &str)] = &[
        #[cfg(feature = "file-gzip")]
        (FileCompression::Gzip, "gz"),
        #[cfg(feature = "file-zstd")]
        (FileCompression::Zstd, "zst"),
    ];
    let mut next = 1;
    for &(kind, end) in kinds {
        let logs = Logs::new(
            folder.config(|config| {
                config.rotation.max_bytes = Some(1_000);
                config.keep.files = None;
                config.compression = kind;
            }),
            standing_clock(),
        );
        logs.send(|| log(next..next + 50));
        next += 50;
        eventually("compression", || {
            let names = folder.names();
            let is_done = names.iter().all(|name| name.ends_with(".gz") || name.ends_with(".zst"));
            (is_done && names.iter().any(|name| name.ends_with(end))).then_some(())
        });
        assert_eq!(folder.numbers(), (0..next).collect::<Vec<_>>());
        logs.close();
    }
}

#[test]
fn a_file_that_is_renamed_removed_or_emptied_by_others_is_followed() {
    let folder = Folder::new();
    let config = folder.config(|_| {});
    let reopen = config.reopen();
    let logs = Logs::new(config, standing_clock());
    let moved = folder.folder.path().join("app.log.1");
    logs.send(|| log([1]));
    fs::rename(&folder.path, &moved).unwrap();
    logs.send(|| log([2]));
    assert_eq!((numbers(&moved), numbers(&folder.path)), (vec![1], vec![2]));

    fs::remove_file(&folder.path).unwrap();
    logs.send(|| log([3]));
    assert_eq!(numbers(&folder.path), [3]);

    fs::File::create(&folder.path).unwrap();
    logs.send(|| log([4]));
    assert_eq!(numbers(&folder.path), [4], "it was emptied in place");

    fs::remove_dir_all(folder.folder.path()).unwrap();
    logs.send(|| log([5]));
    assert_eq!(numbers(&folder.path), [5], "the folder is made again");

    reopen.reopen();
    logs.send(|| log([6]));
    assert_eq!(numbers(&folder.path), [5, 6]);
    logs.close();
}

#[test]
fn a_burst_that_the_queue_of_the_sinks_holds_is_written_whole() {
    let folder = Folder::new();
    let sink = LogSink::new("file", folder.config(|_| {}));
    let logs = Logs::with(sink, standing_clock()).unwrap();
    logs.send(|| log(0..20_000));
    assert_eq!(numbers(&folder.path), (0..20_000).collect::<Vec<_>>());
    logs.close();
}

#[test]
fn a_line_that_a_crash_cut_is_ended_before_the_next() {
    let folder = Folder::new();
    fs::write(&folder.path, "{\"metadata\":{\"number\":0}}\n{\"mess").unwrap();
    let logs = Logs::new(folder.config(|_| {}), standing_clock());
    logs.send(|| log([1]));
    let text = fs::read_to_string(&folder.path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1], "{\"mess");
    assert!(lines[2].starts_with("{\"timestamp\":"));
    logs.close();
}

#[test]
fn rotation_that_fails_costs_no_lines_and_is_tried_again() {
    let folder = Folder::new();
    let clock = standing_clock();
    let blocked = folder.folder.path().join("app-20231114T221320.123Z.log");
    fs::create_dir(&blocked).unwrap();
    let config = folder.config(|config| config.rotation.max_bytes = Some(1_000));
    let logs = Logs::new(config, Arc::<ManualClock>::clone(&clock));
    logs.send(|| log(0..50));
    assert_eq!(numbers(&folder.path), (0..50).collect::<Vec<_>>());
    fs::remove_dir(&blocked).unwrap();
    logs.send(|| log(50..51));
    assert_eq!(folder.rotated().len(), 0, "not before a minute is over");
    clock.advance(Duration::from_secs(60));
    logs.send(|| log(51..52));
    assert_eq!(folder.rotated().len(), 1);
    assert_eq!(numbers(&folder.path), [51]);
    logs.close();
}

#[test]
#[cfg(target_os = "linux")]
fn lines_wait_while_the_disk_is_full() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/full", &folder.path).unwrap();
    let logs = Logs::new(folder.config(|_| {}), standing_clock());
    logs.log(|| log(0..1_000));
    let error = logs.handle.flush_blocking(Duration::from_millis(100)).unwrap_err().to_string();
    assert!(error.contains("1000 log lines were not sent to sink"), "{error}");
    fs::remove_file(&folder.path).unwrap();
    logs.send(|| log(1_000..1_001));
    assert_eq!(numbers(&folder.path), (0..1_001).collect::<Vec<_>>());
    logs.close();
}

#[test]
#[cfg(unix)]
fn a_write_that_hangs_is_waited_for_and_not_made_twice() {
    use std::io::BufRead as _;
    // A pipe takes 64 KiB, and then nothing until somebody reads.
    let folder = Folder::new();
    assert!(std::process::Command::new("mkfifo").arg(&folder.path).status().unwrap().success());
    let config = folder.config(|_| {});
    let mut delivery = impatient(&config);
    delivery.timeout = Duration::from_millis(30);
    let sink = LogSink::new("pipe", config).with_delivery(delivery);
    let logs = Logs::with(sink, standing_clock()).unwrap();
    logs.log(|| log(0..2_000));
    let error = logs.handle.flush_blocking(Duration::from_millis(200)).unwrap_err();
    assert!(error.is_undelivered());
    let pipe = fs::File::open(&folder.path).unwrap();
    let reader = std::thread::spawn(move || {
        let lines = std::io::BufReader::new(pipe).lines();
        let read = |line: String| serde_json::from_str::<Value>(&line).expect("a line is JSON");
        lines.map(|line| read(line.unwrap())["metadata"]["number"].as_u64().unwrap()).collect()
    });
    logs.close();
    let numbers: Vec<u64> = reader.join().unwrap();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
}
