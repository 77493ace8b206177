//! The search as the user sees it: one line on a terminal, and what Ctrl-C does.

use crate::Talk;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tn_driver::{Figure, Seen, Watch};

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
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    region: String,
    place: usize,
    of: usize,
    /// Of the region; or of the whole plan, where a limit is on that.
    best: Option<Figure>,
    whole: bool,
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
        watch.tell = Some(Arc::new(move |seen: &Seen<'_>| lock(&told).get_or_insert_default().see(seen)));
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
    fn see(&mut self, seen: &Seen<'_>) {
        match *seen {
            Seen::Plan(best) => (self.best, self.whole) = (Some(best), true),
            Seen::Region { name, place, of, best } => {
                let best = if self.whole { self.best } else { best };
                *self = State { region: name.to_owned(), place, of, best, whole: self.whole };
            }
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

/// `planning z (1 of 3): best 10^13.12 multiply-adds, 4 s left`
fn text(state: Option<&State>, elapsed: Duration, limit: Option<Duration>) -> String {
    let time = match limit {
        Some(limit) => format!("{:.0} s left", limit.saturating_sub(elapsed).as_secs_f64().ceil()),
        None => format!("{:.0} s", elapsed.as_secs_f64()),
    };
    let Some(s) = state else { return format!("planning: {time}") };
    let part = if s.of > 1 { format!(" ({} of {})", s.place, s.of) } else { String::new() };
    let best = match &s.best {
        Some(best) => format!("best {best}"),
        None => "no plan within the limit yet".to_owned(),
    };
    let rest = format!("{part}: {best}, {time}");
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
    use tn_order::Minimize;

    #[test]
    fn the_line_says_what_counts_and_fits() {
        let best = |minimize, log10| Some(Figure { minimize, log10 });
        let mut state = State::default();
        state.see(&Seen::Region { name: "z", place: 2, of: 3, best: best(Minimize::Macs, 13.117) });
        let (elapsed, limit) = (Duration::from_millis(5800), Some(Duration::from_secs(10)));
        let line = |state: &State| text(Some(state), elapsed, limit);
        assert_eq!(line(&state), "planning z (2 of 3): best 10^13.12 multiply-adds, 5 s left");
        let long = State { region: "a_very_long_name_".repeat(9), ..state.clone() };
        let text_of = text(Some(&long), Duration::from_secs(1_000_000), None);
        assert!(text_of.chars().count() <= COLUMNS && text_of.contains('…'), "{text_of}");
        // a limit on the whole plan: orders of regions say nothing
        let region = |place| Seen::Region { name: "y", place, of: 2, best: None };
        state.see(&region(1));
        assert_eq!(line(&state), "planning y (1 of 2): no plan within the limit yet, 5 s left");
        state.see(&Seen::Plan(Figure { minimize: Minimize::Time, log10: -2.0 }));
        state.see(&region(2));
        assert_eq!(line(&state), "planning y (2 of 2): best 10.00 ms, 5 s left");
        assert_eq!(text(None, Duration::from_secs(2), None), "planning: 2 s");
    }
}
