//! Windows on the inner loop and on the graph of candidates for the benches; not part of the interface.

use crate::anneal::Annealer;
use crate::clock::Clock;
use crate::meet::meet;
use crate::model::Model;
use crate::objective::Limits;
use crate::portfolio::{Candidate, Search};
use crate::reconfigure::reconfigure;
use crate::rng::Rng;
use crate::simplify::Simplified;
use crate::sub::Sub;
use crate::{Minimize, Network, Options, Tree};

/// Anneals a valid tree of at least two tensors by `count` sweeps at a middling temperature; returns log2 of its multiply-adds.
pub fn sweeps(net: &Network, tree: &Tree, count: usize) -> f64 {
    let m = Model::new(net);
    let leaves: Vec<&[u32]> = m.legs.iter().map(Vec::as_slice).collect();
    let sub = Sub::new(&leaves, &m.out, &m.lg, m.grad.clone());
    let mut annealer = Annealer::new(&sub, (Minimize::Macs, false), &tree.ssa_path, None);
    let mut rng = Rng::new(0, 0);
    for _ in 0..count {
        annealer.sweep(0.3, &mut rng);
    }
    annealer.total()
}

/// What trees without slices are worth together (log2 of the objective).
pub struct Joined {
    /// The best of them.
    pub single: f64,
    /// The best tree that takes each part from whichever of them makes it best.
    pub met: f64,
    /// The same after windows of it were solved exactly.
    pub windows: f64,
}

/// Puts valid trees of one network, at least one, into one graph and takes the best tree out of it.
pub fn joined(net: &Network, trees: &[Tree], minimize: Minimize) -> Joined {
    let opts = Options { minimize, ..Options::default() };
    let model = Model::new(net);
    let simple = Simplified::none(&model);
    let limits = Limits { keep: vec![false; model.lg.len()], ..Limits::default() };
    let clock = Clock::new(&opts);
    let search = Search { model, simple, kind: minimize, limits, opts: &opts, clock, unit: 0.0 };
    let mut pool: Vec<Candidate> = trees.iter().map(|t| search.rate_core(t.ssa_path.clone(), &[])).collect();
    pool.sort_by(|a, b| a.score.value.total_cmp(&b.score.value));
    let single = pool[0].clone();
    let met = meet(&search, &pool, &single).unwrap_or_else(|| single.clone());
    let windows =
        reconfigure(&search, &met).filter(|c| c.score.better(&met.score)).unwrap_or_else(|| met.clone());
    Joined { single: single.score.value, met: met.score.value, windows: windows.score.value }
}
