//! Products, views and sums of placements: what a copy tensor or a diagonal takes part in is computed on its support.

use super::Context;
use tn_ir::dag::{DagId, Op};

/// Members of a class that the rule looks at.
const LOOKED_AT: usize = 4;

/// Placements that are equal to a node. The node itself may be newer than the lists of members.
fn placements(cx: &Context<'_>, n: DagId) -> Vec<DagId> {
    let members = cx.joint.members(cx.joint.known_class(n)).iter().copied();
    let mut all: Vec<DagId> =
        std::iter::once(n).chain(members).filter(|&m| cx.joint.dag.is_placement(m)).collect();
    all.dedup();
    all.truncate(LOOKED_AT);
    all
}

/// P(A)·B = P'(A·B), where P puts A on diagonals or repeats it; the same for views and sums.
pub fn on_support(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    match cx.joint.dag.op(n).clone() {
        Op::Einsum2 { a, b, .. } => {
            let mut made = vec![];
            for (first, operand) in [(true, a), (false, b)] {
                for placed in placements(cx, operand) {
                    made.extend(cx.joint.dag.product_on_support(n, first, placed));
                }
            }
            made
        }
        Op::Einsum1 { a, .. } => {
            let all = placements(cx, a);
            all.into_iter().filter_map(|placed| cx.joint.dag.view_on_support(n, placed)).collect()
        }
        Op::Add { terms } => {
            let equal = |t: DagId| placements(cx, t).first().copied().unwrap_or(t);
            let terms: Vec<DagId> = terms.iter().map(|t| equal(t.1)).collect();
            cx.joint.dag.sum_on_support(n, &terms).into_iter().collect()
        }
        _ => vec![],
    }
}
