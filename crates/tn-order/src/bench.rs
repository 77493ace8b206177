//! A window on the inner loop for the benches; not part of the interface.

use crate::anneal::Annealer;
use crate::model::Model;
use crate::rng::Rng;
use crate::sub::Sub;
use crate::{Minimize, Network, Tree};

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
