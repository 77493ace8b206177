//! Products, views and sums of placements, and their transposes: what a copy tensor or a diagonal takes part in is computed on its support.

use super::Context;
use tn_ir::dag::{DagId, Op};

/// Members of a class that the rule looks at.
const LOOKED_AT: usize = 6;

/// Nodes that are equal to a node. The node itself may be newer than the lists of members.
fn members(cx: &Context<'_>, n: DagId) -> Vec<DagId> {
    let others = cx.joint.members(cx.joint.known_class(n)).iter().copied().filter(|&m| m != n);
    std::iter::once(n).chain(others).take(LOOKED_AT).collect()
}

/// Placements that are equal to a node.
fn placements(cx: &Context<'_>, n: DagId) -> Vec<DagId> {
    let mut all = members(cx, n);
    all.retain(|&m| cx.joint.dag.is_placement(m));
    all
}

/// P(A)·B = P'(A·B), where P puts A on diagonals or repeats it; the same for views and sums; and what the transpose of P reads of a product or a
/// sum is a product or a sum of what it reads.
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
            let mut made: Vec<DagId> =
                all.into_iter().filter_map(|placed| cx.joint.dag.view_on_support(n, placed)).collect();
            for m in members(cx, a) {
                made.extend(cx.joint.dag.reduced_on_support(n, m));
            }
            made
        }
        Op::Add { terms } => {
            let equal = |t: DagId| placements(cx, t).first().copied().unwrap_or(t);
            let terms: Vec<DagId> = terms.iter().map(|t| equal(t.1)).collect();
            cx.joint.dag.sum_on_support(n, &terms).into_iter().collect()
        }
        _ => vec![],
    }
}
