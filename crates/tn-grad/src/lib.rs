//! Differentiation, Dag → Dag: [`vjp`] (reverse mode) and [`jvp`] (forward mode).
//!
//! Both walk the dag once and add their nodes to it, so forward and derivative share whatever they have in common, and both compose: a
//! Hessian product is the [`jvp_of`] the gradients' roots. A chain of n contractions gets O(n) adjoint nodes, since every environment is a
//! product of what the sweep has already made.
//!
//! **Conventions.** The inner product is Re⟨a, b⟩; `vjp` is the adjoint of the Jacobian in it, and the gradient of a complex leaf is
//! dL/dRe + i·dL/dIm. At kinks see [`tn_ir::scalar`].
//!
//! **Slices.** A node inside a nest stands for one value a round. What its cotangent gives to a value outside leaves through a `Collect`, which sums
//! over the rounds; `At` and `Collect` are each other's transposes.

mod forward;
mod reverse;

pub use forward::{jvp, jvp_of};
pub use reverse::vjp;

use tn_ir::dag::{ArrayId, Dag, Op};

/// Which nodes depend (differentiably) on the given arrays.
fn active(dag: &Dag, wrt: &[ArrayId]) -> Vec<bool> {
    let mut active = vec![false; dag.len()];
    for id in dag.ids() {
        active[id.0 as usize] = match dag.op(id) {
            Op::Leaf(a) => wrt.contains(a),
            Op::MaxAbs { .. } => false,
            op => op.args().iter().any(|a| active[a.0 as usize]),
        };
    }
    active
}
