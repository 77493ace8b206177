//! Maps of maps, and maps with fewer operations.

use super::Context;
use crate::cost::operations;
use crate::scalar;
use tn_ir::dag::{DagId, Op};
use tn_ir::scalar::{ScalarBuilder, ScalarFn, ScalarOp};

/// No function gets more arguments or operations.
const MAX_ARGS: usize = 8;
const MAX_OPS: usize = 256;

/// f(…, g(x, …), …) = h(…, x, …)
pub fn compose(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Map { f, args } = cx.joint.dag.op(n).clone() else { return vec![] };
    let mut made = vec![];
    for (k, &arg) in args.iter().enumerate() {
        let inner = cx.joint.find(arg, |op| matches!(op, Op::Map { .. })).next();
        let Some(Op::Map { f: g, args: inside }) = inner.map(|m| cx.joint.dag.op(m).clone()) else {
            continue;
        };
        // a map of numbers is one number: no need to compute it for every entry
        if cx.joint.dag.dims(arg).is_empty() && !cx.joint.dag.dims(n).is_empty() {
            continue;
        }
        let outer = cx.joint.dag.fns[f.0 as usize].clone();
        let inner = cx.joint.dag.fns[g.0 as usize].clone();
        let mut all: Vec<DagId> = vec![];
        let mut place = |x: DagId| {
            all.iter().position(|&y| y == x).unwrap_or_else(|| {
                all.push(x);
                all.len() - 1
            }) as u32
        };
        let inside: Vec<u32> = inside.iter().map(|&x| place(x)).collect();
        let outside: Vec<Option<u32>> =
            args.iter().enumerate().map(|(j, &x)| (j != k).then(|| place(x))).collect();
        if all.len() > MAX_ARGS || outer.ops.len() + inner.ops.len() > MAX_OPS {
            continue;
        }
        let mut b = ScalarBuilder::new();
        let given: Vec<u32> = (0..all.len() as u32).map(|i| b.push(ScalarOp::Arg(i))).collect();
        let refs: Vec<u32> = inside.iter().map(|&i| given[i as usize]).collect();
        let value = b.call(&inner, &refs);
        let refs: Vec<u32> = outside.iter().map(|o| o.map_or(value, |i| given[i as usize])).collect();
        let result = b.call(&outer, &refs);
        let composed = b.finish(all.len() as u32, result);
        made.extend(map(cx, composed, all, n));
    }
    made
}

/// The same function with fewer operations.
pub fn simplify(cx: &mut Context<'_>, n: DagId) -> Vec<DagId> {
    let Op::Map { f, args } = cx.joint.dag.op(n).clone() else { return vec![] };
    let old = cx.joint.dag.fns[f.0 as usize].clone();
    let complex = cx.joint.dag.dtype.is_complex();
    match scalar::simplified(&old, complex, cx.scalar) {
        Some(new) if operations(&new) < operations(&old) => map(cx, new, args, n).into_iter().collect(),
        _ => vec![],
    }
}

/// A map of the shape of `like`; arguments that the function does not read are kept only where they give the shape.
fn map(cx: &mut Context<'_>, f: ScalarFn, args: Vec<DagId>, like: DagId) -> Option<DagId> {
    let made = cx.joint.dag.map(f, args);
    (cx.joint.dag.dims(made) == cx.joint.dag.dims(like)).then_some(made)
}
