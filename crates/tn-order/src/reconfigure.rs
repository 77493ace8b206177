//! Exact reconfiguration of subtrees: small windows of a tree, each solved by dynamic programming.
//!
//! Annealing leaves single steps that are not the best where they cost too little to matter to its temperature; in a tree of a
//! thousand equal steps they add up. Subtree reconfiguration is cotengra's name for it (Gray, Kourtis, Quantum 5, 410 (2021)).

use crate::Minimize;
use crate::exact::{Bounds, Exact, Proof};
use crate::portfolio::{Candidate, Search};

/// The leaves of a window.
const LEAVES: usize = 8;
/// Passes over the tree.
const PASSES: usize = 4;
/// A window that costs less than this part (log2) of the tree is left alone.
const WORTH: f64 = -20.0;
/// Windows that are solved in all.
const WINDOWS: usize = 10_000;
/// The least gain (log2 of a window's cost).
const GAIN: f64 = 1e-6;

/// The best tree of the simplified network with its windows solved exactly; none if nothing is gained.
pub(crate) fn reconfigure(search: &Search<'_>, best: &Candidate) -> Option<Candidate> {
    if best.core.len() < 2 || search.clock.over() || search.is_late() {
        return None;
    }
    let kind = match search.kind {
        Minimize::Size | Minimize::Peak => Minimize::Bytes,
        other => other,
    };
    let (mut forest, look) = search.forest(&best.core, (kind, true), &best.sliced)?;
    search.clock.set_aside(look);
    let max_size = search.limits.size.unwrap_or(f64::INFINITY);
    let worth = forest.total() + WORTH;
    let mut busy = vec![false; forest.nodes()];
    let (mut exact, mut path) = (Exact::default(), Vec::new());
    let (mut gained, mut left) = (false, WINDOWS);
    for pass in 0..PASSES {
        let mut changed = false;
        for top in forest.contractions() {
            if left == 0 || search.clock.over() {
                break;
            }
            let Some(window) = forest.window_at(top as usize, LEAVES, pass % 2 == 0, &mut busy) else {
                continue;
            };
            window.release(&mut busy);
            if window.value < worth {
                continue;
            }
            left -= 1;
            let shift = (window.value - 900.0).max(0.0);
            let bounds = Bounds {
                upper: (window.value - shift - GAIN).exp2(),
                max_size: (max_size - shift).exp2() * (1.0 + 1e-9),
                shift,
                work: u64::MAX,
                threads: 1,
            };
            let (_, proof) = exact.solve(&window.sub, kind, bounds, &|| false, &mut path);
            if proof == Proof::Optimal {
                forest.replace(&window, &path);
                changed = true;
            }
        }
        gained |= changed;
        if !changed {
            break;
        }
    }
    search.clock.set_aside(0.0);
    if !gained {
        return None;
    }
    let c = search.rate_core(forest.path(), &best.sliced);
    c.guide.better(&best.guide).then_some(c)
}
