//! When to stop.

use crate::Options;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Of the time of a search, the part that is left to its caller at most.
const MOST_KEPT: f64 = 0.9;

/// The wall clock and the stop flag of a search.
pub(crate) struct Clock<'a> {
    start: Instant,
    end: Option<Duration>,
    /// Nanoseconds kept for what the caller does afterwards.
    kept: AtomicU64,
    /// Nanoseconds set aside for the end of what is being done.
    aside: AtomicU64,
    opts: &'a Options,
}

impl<'a> Clock<'a> {
    pub fn new(opts: &'a Options) -> Self {
        Self {
            start: Instant::now(),
            end: opts.max_time,
            kept: AtomicU64::new(0),
            aside: AtomicU64::new(0),
            opts,
        }
    }

    /// Keeps some seconds for what follows the search: the time is over that much earlier.
    pub fn reserve(&mut self, seconds: f64) {
        if let Some(e) = self.end {
            self.end = Some(e.saturating_sub(Duration::from_secs_f64(seconds.max(0.0))));
        }
    }

    /// Gives back seconds that were reserved.
    pub fn release(&mut self, seconds: f64) {
        self.end = self.end.map(|e| e + Duration::from_secs_f64(seconds.max(0.0)));
    }

    /// Keeps some seconds for the caller, in place of what was kept for it before; some of the time stays.
    pub fn keep(&self, seconds: f64) {
        if let Some(end) = self.end {
            let most = MOST_KEPT * end.as_secs_f64();
            self.kept.store((seconds.clamp(0.0, most) * 1e9) as u64, Ordering::Relaxed);
        }
    }

    /// Sets some seconds aside for the end of what is being done, in place of what was: until then, the time is over that much earlier.
    pub fn set_aside(&self, seconds: f64) {
        self.aside.store((seconds.max(0.0) * 1e9) as u64, Ordering::Relaxed);
    }

    /// When the search is over, if there is a limit.
    fn end(&self) -> Option<Duration> {
        let nanos = self.kept.load(Ordering::Relaxed) + self.aside.load(Ordering::Relaxed);
        self.end.map(|e| e.saturating_sub(Duration::from_nanos(nanos)))
    }

    /// Seconds since the start.
    pub fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Seconds left, if there is a limit.
    pub fn left(&self) -> Option<f64> {
        self.end().map(|e| e.as_secs_f64() - self.elapsed())
    }

    /// Whether the search was asked to stop.
    pub fn stopped(&self) -> bool {
        self.opts.progress.as_ref().is_some_and(|p| p.stopped())
    }

    /// Whether the time is over or the search was asked to stop.
    pub fn over(&self) -> bool {
        self.stopped() || self.end().is_some_and(|e| self.start.elapsed() >= e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_set_aside_comes_off_the_time() {
        let hour = Duration::from_secs(3600);
        let opts = Options { max_time: Some(hour), ..Options::default() };
        let clock = Clock::new(&opts);
        let is_left = |seconds: f64| clock.left().is_some_and(|l| (seconds - 600.0..=seconds).contains(&l));
        clock.keep(1000.0);
        assert!(is_left(2600.0));
        // some of the time stays, however long the caller will take
        clock.keep(1e6);
        assert!(is_left(3600.0 * (1.0 - MOST_KEPT) + 1e-3));
        clock.keep(1000.0);
        clock.set_aside(1000.0);
        assert!(is_left(1600.0));
        clock.set_aside(3000.0);
        assert!(clock.over());
        clock.set_aside(0.0);
        assert!(is_left(2600.0));
    }
}
