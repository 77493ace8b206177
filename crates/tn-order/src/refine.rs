//! Annealing runs: schedules around the sweeps of [`crate::anneal`].

use crate::Minimize;
use crate::anneal::{Annealer, Snapshot};
use crate::clock::Clock;
use crate::rng::Rng;
use crate::sub::Sub;

/// The schedule of one annealing run: inverse temperatures rise linearly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Sweeps in all (a sweep looks at every node once).
    pub sweeps: u32,
    /// The first and the last inverse temperature, per log2 of cost.
    pub beta: (f64, f64),
    /// Seconds on the clock at which to be cold; sweeps are then a mere unit of progress.
    pub until: Option<(f64, f64)>,
}

/// Words of a row from which on a node takes longer in proportion.
const WIDE: usize = 16;

/// What a run must respect.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub kind: Minimize,
    /// Whether the overhead of a step counts: with slices there may be many more steps.
    pub overhead: bool,
    /// log2 of the largest result.
    pub limit: Option<f64>,
    /// Legs that must not be sliced.
    pub keep: &'a [bool],
    /// The legs that are sliced from the start.
    pub sliced: &'a [u32],
    /// Whether the slices may be exchanged.
    pub exchange: bool,
}

/// Anneals from `path` and returns the best tree seen; where there is a limit, the best that fits, or the last one if
/// none did. Stops early when the clock is over.
pub(crate) fn anneal(
    sub: &Sub,
    path: &[(u32, u32)],
    frame: Frame<'_>,
    plan: Schedule,
    rng: &mut Rng,
    clock: &Clock<'_>,
) -> Snapshot {
    let mut s = Annealer::new(sub, (frame.kind, frame.overhead), path, frame.limit);
    if !frame.sliced.is_empty() {
        s.set_sliced(frame.sliced);
    }
    let mut best = s.snapshot();
    let mut best_fits = s.fits();
    if sub.n < 3 {
        return best;
    }
    let mut done = 0.0f64;
    let mut k = 0u32;
    // the clock is read about every 20,000 nodes, more often where rows are long
    let stride = (20_000 / (sub.n * sub.w.div_ceil(WIDE)) as u32).clamp(1, 256);
    while done < 1.0 {
        if k.is_multiple_of(stride) {
            if clock.over() {
                break;
            }
            if let Some((from, to)) = plan.until {
                done = (clock.elapsed() - from) / (to - from).max(1e-6);
            }
        }
        if plan.until.is_none() {
            done = f64::from(k) / f64::from(plan.sweeps);
        }
        let beta = plan.beta.0 + (plan.beta.1 - plan.beta.0) * done.min(1.0);
        let t = (1.0 / beta) as f32;
        s.sweep(t, rng);
        if frame.exchange && k % 4 == 3 {
            s.exchange(t, frame.keep, rng);
        }
        k += 1;
        if (beta > 3.0 && k.is_multiple_of(8)) || k == plan.sweeps {
            let (value, fits) = (s.total(), s.fits());
            if (fits, -value) > (best_fits, -best.value + 1e-6) {
                best = s.snapshot();
                best_fits = fits;
            }
        }
    }
    let (value, fits) = (s.total(), s.fits());
    if (fits, -value) > (best_fits, -best.value) {
        best = s.snapshot();
    }
    best
}
