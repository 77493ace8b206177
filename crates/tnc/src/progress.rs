//! The search as the user sees it: one line on a terminal, and what Ctrl-C does.

use crate::Talk;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tn_driver::{Seen, Watch};

/// A search that is over sooner shows nothing.
const QUIET: Duration = Duration::from_millis(300);
/// How often the line is rewritten.
const TICK: Duration = Duration::from_millis(100);
/// Back to the first column, and away with what stands there.
const CLEAR: &str = "\r\x1b[2K";
/// The longest line: a terminal has at least 80 columns, and a line that wraps cannot be rewritten.
const COLUMNS: usize = 79;

/// The flag of the search that runs now, for the handler.
static RUNNING: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
/// Whether there is a line to clear.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// While it lives, the search is watched.
pub struct Progress {
    /// For the options of the search.
    pub watch: Watch,
    line: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

/// What the line says.
#[derive(Clone, Debug, PartialEq)]
struct State {
    region: String,
    place: usize,
    of: usize,
    log10_macs: f64,
    log2_max_size: f64,
}

impl Progress {
    /// Begins: with a line if stderr is a terminal and nobody asked for quiet, and with Ctrl-C as the end of the search if `stoppable`.
    /// `limit` is the time that the search may take.
    pub fn start(talk: Talk, stoppable: bool, limit: Option<Duration>) -> Progress {
        let mut watch = Watch::default();
        if stoppable && install() {
            *lock(&RUNNING) = Some(watch.stop.clone());
        }
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        if talk.quiet || dumb || !std::io::stderr().is_terminal() {
            return Progress { watch, line: None };
        }
        let state: Arc<Mutex<Option<State>>> = Arc::default();
        let told = state.clone();
        watch.tell = Some(Arc::new(move |seen: &Seen<'_>| *lock(&told) = Some(State::of(seen))));
        let (end, ended) = mpsc::channel();
        let began = Instant::now();
        let draw = move || {
            while ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                if began.elapsed() >= QUIET {
                    let text = text(lock(&state).as_ref(), began.elapsed(), limit);
                    SHOWN.store(true, Ordering::Relaxed);
                    show(&format!("{CLEAR}{text}"));
                }
            }
            clear();
        };
        let thread = std::thread::Builder::new().spawn(draw).ok();
        Progress { watch, line: thread.map(|t| (end, t)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *lock(&RUNNING) = None;
        if let Some((end, thread)) = self.line.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

impl State {
    fn of(seen: &Seen<'_>) -> State {
        State {
            region: seen.region.to_owned(),
            place: seen.place,
            of: seen.of,
            log10_macs: seen.report.log10_macs,
            log2_max_size: seen.report.log2_max_size,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn clear() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        show(CLEAR);
    }
}

/// `planning z (1 of 3): best 10^13.12 multiply-adds, largest 2^27.0 elements, 4 s left`
fn text(state: Option<&State>, elapsed: Duration, limit: Option<Duration>) -> String {
    let time = match limit {
        Some(limit) => format!("{:.0} s left", limit.saturating_sub(elapsed).as_secs_f64().ceil()),
        None => format!("{:.0} s", elapsed.as_secs_f64()),
    };
    let Some(s) = state else { return format!("planning: {time}") };
    let part = if s.of > 1 { format!(" ({} of {})", s.place, s.of) } else { String::new() };
    let rest = format!(
        "{part}: best 10^{:.2} multiply-adds, largest 2^{:.1}, {time}",
        s.log10_macs, s.log2_max_size
    );
    let room = COLUMNS.saturating_sub("planning ".len() + rest.chars().count());
    let mut name = s.region.clone();
    if name.chars().count() > room {
        name = name.chars().take(room.saturating_sub(1)).chain(['…']).collect();
    }
    format!("planning {name}{rest}")
}

/// Installs the handler, once. The first Ctrl-C in a search ends the search; any other ends the process.
fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| ctrlc::set_handler(interrupted).is_ok())
}

fn interrupted() {
    let first = lock(&RUNNING).as_ref().is_some_and(|stop| !stop.swap(true, Ordering::Relaxed));
    clear();
    if !first {
        // What a shell reports for a process that SIGINT ended.
        std::process::exit(130);
    }
    show("stopping with the best plan so far; once more to quit\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_counts_and_fits() {
        let state = State { region: "z".into(), place: 2, of: 3, log10_macs: 13.117, log2_max_size: 27.0 };
        let left = text(Some(&state), Duration::from_millis(5800), Some(Duration::from_secs(10)));
        assert_eq!(left, "planning z (2 of 3): best 10^13.12 multiply-adds, largest 2^27.0, 5 s left");
        let long = State { region: "a_very_long_name_".repeat(9), ..state };
        let text_of = text(Some(&long), Duration::from_secs(1_000_000), None);
        assert!(text_of.chars().count() <= COLUMNS && text_of.contains('…'), "{text_of}");
        assert_eq!(text(None, Duration::from_secs(2), None), "planning: 2 s");
    }
}
