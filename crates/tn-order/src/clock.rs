//! When to stop.

use crate::Options;
use std::time::{Duration, Instant};

/// The wall clock and the stop flag of a search.
#[derive(Clone)]
pub(crate) struct Clock<'a> {
    start: Instant,
    end: Option<Duration>,
    opts: &'a Options,
}

impl<'a> Clock<'a> {
    pub fn new(opts: &'a Options) -> Self {
        Self { start: Instant::now(), end: opts.max_time, opts }
    }

    /// Keeps some seconds for what follows the search: the time is over that much earlier.
    pub fn reserve(&mut self, seconds: f64) {
        if let Some(e) = self.end {
            self.end = Some(e.saturating_sub(Duration::from_secs_f64(seconds.max(0.0))));
        }
    }

    /// Seconds since the start.
    pub fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Seconds left, if there is a limit.
    pub fn left(&self) -> Option<f64> {
        self.end.map(|e| e.as_secs_f64() - self.elapsed())
    }

    /// Whether the time is over or the search was asked to stop.
    pub fn over(&self) -> bool {
        self.opts.progress.as_ref().is_some_and(|p| p.stopped())
            || self.end.is_some_and(|e| self.start.elapsed() >= e)
    }
}
