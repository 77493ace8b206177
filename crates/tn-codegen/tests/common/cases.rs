//! The plans that both targets are tested with.

use crate::common::*;
use tn_ir::dag::ArrayRole::{Const, Input, Param};
use tn_ir::dtype::DType;
use tn_ir::scalar::{Cmp, ScalarBuilder, ScalarFn, ScalarOp};
use tn_ir::size::Poly;
use tn_plan::ir::*;

#[path = "../../../tn-plan/tests/common/mod.rs"]
mod dags;

#[allow(dead_code)]
pub struct Case {
    pub plan: Plan,
    pub sizes: Vec<Vec<u64>>,
}

fn mul() -> ScalarFn {
    ScalarFn::product(false, false)
}

/// One contraction of a parameter and an input, for many shapes.
fn contraction(name: &str, dtype: DType, spec: &str, sizes: &[(char, u64)], f: ScalarFn) -> Case {
    let mut b = Builder::new(name, dtype);
    sizes.iter().for_each(|&(c, n)| {
        b.size(c, n);
    });
    let (ins, out) = spec.split_once("->").unwrap();
    let (l, r) = ins.split_once(',').unwrap();
    let w = b.leaf("w", Param, l);
    let x = b.leaf("x", Input, r);
    let y = b.output("y", out);
    b.entry(EntryKind::Forward);
    let (w, x, y) =
        (b.buffer(Class::Leaf(w), l), b.buffer(Class::Leaf(x), r), b.buffer(Class::Output(y), out));
    b.step((y, out), &[(w, l), (x, r)], f);
    Case { plan: b.plan, sizes: vec![vec![]] }
}

/// y = silu-like map of a linear layer with a run-time batch; forward, forward_saving, vjp, jvp.
fn layer(name: &str, dtype: DType) -> Case {
    let mut b = Builder::new(name, dtype);
    b.dynamic('b', 16, Some(64)).size('i', 19).size('o', 5);
    let (w, c, x) = (b.leaf("layer.w", Param, "oi"), b.leaf("shift", Const, "o"), b.leaf("x", Input, "bi"));
    let free = b.leaf("frozen", Param, "i");
    let _ = free;
    let y = b.output("y", "bo");
    // f(h, c) = (h + c)², f' = 2 (h + c)
    let (mut f, mut d) = (ScalarBuilder::new(), ScalarBuilder::new());
    let (h, k) = (f.push(ScalarOp::Arg(0)), f.push(ScalarOp::Arg(1)));
    let s = f.push(ScalarOp::Add(h, k));
    let s2 = f.push(ScalarOp::Mul(s, s));
    let f = f.finish(2, s2);
    let (h, k, t) = (d.push(ScalarOp::Arg(0)), d.push(ScalarOp::Arg(1)), d.push(ScalarOp::Arg(2)));
    let s = d.push(ScalarOp::Add(h, k));
    let two = d.real(2.0);
    let s = d.push(ScalarOp::Mul(two, s));
    let s = d.push(ScalarOp::Conj(s));
    let s = d.push(ScalarOp::Mul(s, t));
    let d = d.finish(3, s);
    for kind in [EntryKind::Forward, EntryKind::ForwardSaving, EntryKind::Vjp, EntryKind::Jvp] {
        b.entry(kind);
        let (wb, cb, xb) =
            (b.buffer(Class::Leaf(w), "oi"), b.buffer(Class::Leaf(c), "o"), b.buffer(Class::Leaf(x), "bi"));
        let saved = matches!(kind, EntryKind::ForwardSaving | EntryKind::Vjp);
        let h = b.buffer(if saved { Class::Saved } else { Class::Workspace }, "bo");
        if kind != EntryKind::Vjp {
            let yb = b.buffer(Class::Output(y), "bo");
            b.step((h, "bo"), &[(wb, "oi"), (xb, "bi")], mul());
            b.step((yb, "bo"), &[(h, "bo"), (cb, "o")], f.clone());
        }
        if kind == EntryKind::Jvp {
            let (tw, tx) = (b.buffer(Class::Tangent(w), "oi"), b.buffer(Class::Tangent(x), "bi"));
            let (th, ty) = (b.buffer(Class::Workspace, "bo"), b.buffer(Class::Jvp(y), "bo"));
            b.step((th, "bo"), &[(tw, "oi"), (xb, "bi")], mul());
            let add = b.make((th, "bo"), &[(wb, "oi"), (tx, "bi")], mul(), Write::Accumulate);
            b.push(Item::Step(Box::new(add)));
            b.step((ty, "bo"), &[(h, "bo"), (cb, "o"), (th, "bo")], d.clone());
        }
        if kind == EntryKind::Vjp {
            let (ct, gh) = (b.buffer(Class::Cotangent(y), "bo"), b.buffer(Class::Workspace, "bo"));
            let (gw, gx) = (b.buffer(Class::Grad(w), "oi"), b.buffer(Class::Grad(x), "bi"));
            b.step((gh, "bo"), &[(h, "bo"), (cb, "o"), (ct, "bo")], d.clone());
            b.step((gw, "oi"), &[(gh, "bo"), (xb, "bi")], ScalarFn::product(false, true));
            b.step((gx, "bi"), &[(gh, "bo"), (wb, "oi")], ScalarFn::product(false, true));
        }
    }
    Case { plan: b.plan, sizes: vec![vec![1], vec![7], vec![64]] }
}

/// A sliced contraction: y[a,c] += Σ_k A[a,s,k] B[k,s,c] for every s, after y is set to zero.
fn sliced(name: &str, dtype: DType) -> Case {
    let mut b = Builder::new(name, dtype);
    b.size('a', 6).size('s', 3).size('k', 9).size('c', 17);
    let (l, r, y) = (b.leaf("l", Param, "ask"), b.leaf("r", Input, "ksc"), b.output("y", "ac"));
    b.entry(EntryKind::Forward);
    let s = b.var("s");
    let (l, r, y) =
        (b.buffer(Class::Leaf(l), "ask"), b.buffer(Class::Leaf(r), "ksc"), b.buffer(Class::Output(y), "ac"));
    let t = b.buffer(Class::Workspace, "ck");
    let mut first = b.make((t, "ck"), &[(r, "k*c")], ScalarFn::identity(), Write::Set);
    first.ins[0].moves.push((s, Poly::from(17)));
    let mut second = b.make((y, "ac"), &[(l, "a*k"), (t, "ck")], mul(), Write::Accumulate);
    second.ins[0].moves.push((s, Poly::from(9)));
    b.push(Item::Zero { buffer: y });
    b.push(Item::Loop(Loop {
        var: s,
        trip: b.dims[&'s'],
        kind: LoopKind::Slice,
        body: vec![Item::Step(Box::new(first)), Item::Step(Box::new(second))],
    }));
    Case { plan: b.plan, sizes: vec![vec![]] }
}

/// An MPS overlap with a family of inputs: two steps a site, alternating buffers.
pub fn chain(name: &str, dtype: DType, sites: usize) -> Case {
    let mut b = Builder::new(name, dtype);
    b.size('l', 4).size('m', 4).size('s', 2).size('r', 4).size('q', 4);
    let cores: Vec<u32> = (0..sites).map(|k| b.leaf(&format!("psi.core[{k}]"), Param, "lsr")).collect();
    let others: Vec<u32> = (0..sites).map(|k| b.leaf(&format!("phi[{k}]"), Input, "msq")).collect();
    let start = b.leaf("start", Input, "lm");
    let y = b.output("y", "rq");
    b.entry(EntryKind::Forward);
    let (e0, e1) = (b.buffer(Class::Workspace, "lm"), b.buffer(Class::Workspace, "lm"));
    let t = b.buffer(Class::Workspace, "srm");
    let (start, y) = (b.buffer(Class::Leaf(start), "lm"), b.buffer(Class::Output(y), "rq"));
    b.step((e0, "lm"), &[(start, "lm")], ScalarFn::identity());
    for k in 0..sites {
        let (c, o) = (b.buffer(Class::Leaf(cores[k]), "lsr"), b.buffer(Class::Leaf(others[k]), "msq"));
        let (from, to) = if k % 2 == 0 { (e0, e1) } else { (e1, e0) };
        b.step((t, "srm"), &[(c, "lsr"), (from, "lm")], mul());
        b.step((to, "rq"), &[(t, "srm"), (o, "msq")], ScalarFn::product(false, true));
    }
    b.step((y, "rq"), &[(if sites.is_multiple_of(2) { e0 } else { e1 }, "rq")], ScalarFn::identity());
    Case { plan: b.plan, sizes: vec![vec![]] }
}

/// Steps that are no contractions: diagonal, broadcast, pad and concat, full sums, the largest modulus, comparisons.
fn odd_ones(name: &str, dtype: DType) -> Case {
    let mut b = Builder::new(name, dtype);
    b.size('a', 5).size('b', 5).size('c', 23).size('w', 46).size('o', 1);
    b.dynamic('n', 40, None);
    let (x, u) = (b.leaf("x", Input, "ac"), b.leaf("u", Input, "na"));
    let d = b.leaf("d", Param, "ab");
    let outs: Vec<u32> = [
        ("diag", "ac"),
        ("wide", "aw"),
        ("total", ""),
        ("largest", ""),
        ("pick", "ac"),
        ("sum_n", "a"),
        ("turn", "can"),
    ]
    .iter()
    .map(|(n, l)| b.output(n, l))
    .collect();
    b.entry(EntryKind::Forward);
    let (x, u, d) =
        (b.buffer(Class::Leaf(x), "ac"), b.buffer(Class::Leaf(u), "na"), b.buffer(Class::Leaf(d), "ab"));
    let o: Vec<BufferId> = ["ac", "aw", "", "", "ac", "a", "can"]
        .iter()
        .zip(&outs)
        .map(|(l, i)| b.buffer(Class::Output(*i), l))
        .collect();
    b.step((o[0], "ac"), &[(d, "aa"), (x, "ac")], mul());
    // wide = [x | 2x] along the second axis: two steps into one buffer.
    let mut s = b.make((o[1], "a0"), &[(x, "a0")], ScalarFn::identity(), Write::Set);
    let one = Poly::from(1);
    let axis = Axis { size: b.dims[&'c'], reduce: false };
    s.space.push(axis);
    s.ins[0].strides.push(one.clone());
    s.out.strides.push(one);
    let mut second = s.clone();
    second.out.offset = Poly::from(23);
    let mut f = ScalarBuilder::new();
    let (v, two) = (f.push(ScalarOp::Arg(0)), f.real(2.0));
    let r = f.push(ScalarOp::Mul(two, v));
    second.body = b.body(f.finish(1, r));
    b.push(Item::Step(Box::new(s)));
    b.push(Item::Step(Box::new(second)));
    b.step((o[2], ""), &[(x, "ac"), (d, "ab")], mul());
    let mut most = b.make((o[3], ""), &[(u, "na")], ScalarFn::identity(), Write::Set);
    most.fold = Fold::MaxAbs;
    b.push(Item::Step(Box::new(most)));
    let mut f = ScalarBuilder::new();
    let (v, w) = (f.push(ScalarOp::Arg(0)), f.push(ScalarOp::Arg(1)));
    let big = f.push(ScalarOp::Max(v, w));
    let small = f.push(ScalarOp::Min(v, w));
    let quarter = f.real(0.25);
    let q = f.push(ScalarOp::Select { cmp: Cmp::Gt, lhs: v, rhs: quarter, yes: big, no: small });
    let n = f.push(ScalarOp::Neg(q));
    let three = f.complex(tn_ir::Complex64::new(3.0, if dtype.is_complex() { 1.0 } else { 0.0 }));
    let q = f.push(ScalarOp::Div(n, three));
    let abs = f.push(ScalarOp::Abs(v));
    let q = f.push(ScalarOp::Sub(q, abs));
    b.step((o[4], "ac"), &[(x, "ac"), (o[0], "ac")], f.finish(2, q));
    b.step((o[5], "a"), &[(u, "na")], ScalarFn::identity());
    b.step((o[6], "can"), &[(x, "ac"), (u, "na")], mul());
    Case { plan: b.plan, sizes: vec![vec![1], vec![7], vec![2000]] }
}

/// Scalar functions of the language, on values where they are smooth.
fn functions(name: &str, dtype: DType) -> Case {
    let mut b = Builder::new(name, dtype);
    b.size('n', 37);
    let (w, x, y) = (b.leaf("w", Param, "n"), b.leaf("x", Input, "n"), b.output("y", "n"));
    b.entry(EntryKind::Forward);
    let (w, x, y) =
        (b.buffer(Class::Leaf(w), "n"), b.buffer(Class::Leaf(x), "n"), b.buffer(Class::Output(y), "n"));
    use ScalarOp::*;
    let mut f = ScalarBuilder::new();
    let (u, v) = (f.push(Arg(0)), f.push(Arg(1)));
    let e = f.push(Exp(u));
    let two = f.real(2.0);
    let p = f.push(Add(two, v));
    let l = f.push(Log(p));
    let q = f.push(Sqrt(p));
    let (s, c) = (f.push(Sin(u)), f.push(Cos(v)));
    let w3 = f.push(Pow(p, u));
    let mut parts = vec![e, l, q, s, c, w3];
    if !dtype.is_complex() {
        parts.push(f.push(Tanh(u)));
        parts.push(f.push(Erf(v)));
    }
    let mut sum = parts[0];
    for &t in &parts[1..] {
        sum = f.push(Add(sum, t));
    }
    let f = f.finish(2, sum);
    b.step((y, "n"), &[(w, "n"), (x, "n")], f);
    Case { plan: b.plan, sizes: vec![vec![]] }
}

/// A map in place, along rows and across a run-time size.
fn in_place(name: &str, dtype: DType) -> Case {
    let mut b = Builder::new(name, dtype);
    b.dynamic('b', 16, Some(64)).size('i', 19);
    let (w, x, y) = (b.leaf("w", Param, "i"), b.leaf("x", Input, "bi"), b.output("y", "ib"));
    b.entry(EntryKind::Forward);
    let (w, x, y) =
        (b.buffer(Class::Leaf(w), "i"), b.buffer(Class::Leaf(x), "bi"), b.buffer(Class::Output(y), "ib"));
    let t = b.buffer(Class::Workspace, "bi");
    b.step((t, "bi"), &[(x, "bi")], ScalarFn::identity());
    b.step((t, "bi"), &[(w, "i"), (t, "bi")], mul());
    b.step((t, "bi"), &[(t, "bi"), (t, "bi")], mul());
    b.step((y, "ib"), &[(t, "bi")], ScalarFn::identity());
    Case { plan: b.plan, sizes: vec![vec![1], vec![13]] }
}

/// The scheduler's plan of a random dag.
fn random(seed: u64) -> Case {
    let (dag, mut leaves, outputs) = dags::random_dag(seed);
    for (i, l) in leaves.iter_mut().enumerate().filter(|(_, l)| l.value.is_none()) {
        let fixed = l.dims.iter().all(|d| matches!(d, tn_ir::size::Dim::Const(_)));
        l.role = if fixed && i % 2 == 0 { Param } else { Input };
        l.axes.clear();
    }
    let kinds = [EntryKind::Forward, EntryKind::ForwardSaving, EntryKind::Vjp];
    let options = tn_plan::ScheduleOptions { in_place: seed.is_multiple_of(2), ..Default::default() };
    let mut plan = tn_plan::plan(&dag, leaves, outputs, Default::default(), &kinds, &options);
    plan.name = format!("random_{seed}");
    plan.dtype = DType::C128;
    let sizes = if plan.symbols.is_empty() {
        vec![vec![]]
    } else {
        vec![vec![1; plan.symbols.len()], vec![5; plan.symbols.len()]]
    };
    Case { plan, sizes }
}

/// A contraction that is multiplied in packed blocks, then once more onto the result; a letter of `dynamic` is a run-time size.
fn blocked(
    name: &str,
    dtype: DType,
    spec: &str,
    sizes: &[(char, u64)],
    dynamic: Option<char>,
    f: ScalarFn,
) -> Case {
    let mut b = Builder::new(name, dtype);
    for &(c, n) in sizes {
        if dynamic == Some(c) {
            b.dynamic(c, n, None)
        } else {
            b.size(c, n)
        };
    }
    let (ins, out) = spec.split_once("->").unwrap();
    let (l, r) = ins.split_once(',').unwrap();
    let (v, w, x) = (b.leaf("v", Input, l), b.leaf("w", Input, l), b.leaf("x", Input, r));
    let y = b.output("y", out);
    b.entry(EntryKind::Forward);
    let (v, w, x) = (b.buffer(Class::Leaf(v), l), b.buffer(Class::Leaf(w), l), b.buffer(Class::Leaf(x), r));
    let y = b.buffer(Class::Output(y), out);
    b.step((y, out), &[(v, l), (x, r)], f.clone());
    let more = b.make((y, out), &[(w, l), (x, r)], f, Write::Accumulate);
    b.push(Item::Step(Box::new(more)));
    let runs = if dynamic.is_some() { vec![vec![7], vec![67]] } else { vec![vec![]] };
    Case { plan: b.plan, sizes: runs }
}

/// Contractions whose kernels pack blocks: whole and broken tiles, one and several axes a group, one and several passes, run-time sizes.
pub fn all_blocked() -> Vec<Case> {
    use DType::*;
    let m = |a, k, c| vec![('a', a), ('k', k), ('c', c)];
    let axes = [('a', 3), ('i', 5), ('b', 4), ('k', 6), ('c', 7), ('j', 6)];
    let mut out = vec![];
    for (d, n) in [(F32, "f32"), (F64, "f64"), (C64, "c64"), (C128, "c128")] {
        let few = ["broken", "groups", "summed", "dots"];
        let mut add = |what: &str, spec: &str, sizes: &[(char, u64)], dynamic: Option<char>, conj: bool| {
            // compiling is what costs
            if d != F32 && !few.contains(&what) {
                return;
            }
            let f = ScalarFn::product(conj, false);
            out.push(blocked(&format!("blocked_{what}_{n}"), d, spec, sizes, dynamic, f));
        };
        add("broken", "ak,ck->ac", &m(13, 37, 29), None, true);
        add("whole", "ak,ck->ac", &m(12, 64, 32), None, false);
        add("deep", "ak,ck->ac", &m(21, 600, 18), None, false);
        add("groups", "aibk,kcjb->aicj", &axes, None, true);
        add("batch", "zak,zck->zac", &[('z', 3), ('a', 9), ('k', 30), ('c', 33)], None, false);
        add("strips", "ak,ck->ac", &m(16, 256, 208), None, false);
        let pieces = [('a', 32), ('p', 2), ('q', 2), ('r', 2), ('s', 2), ('c', 128)];
        add("direct", "apqrs,srqpc->ac", &pieces, None, false);
        add("dots", "ak,ck->ac", &m(3, 640, 6), None, false);
        let long = [('z', 2), ('a', 8), ('k', 8192), ('q', 2), ('c', 5)];
        add("dots_deep", "zaqk,zcqk->cza", &long, None, false);
        add(
            "lines",
            "apkq,pqbkc->abc",
            &[('a', 40), ('p', 2), ('k', 3), ('q', 2), ('b', 8), ('c', 4)],
            None,
            false,
        );
        add("rows", "ak,ck->ac", &m(64, 40, 32), Some('a'), false);
        add("columns", "ak,ck->ac", &m(32, 40, 64), Some('c'), false);
        add("summed", "ak,ck->ac", &m(32, 64, 32), Some('k'), true);
    }
    out
}

/// Every case.
pub fn all() -> Vec<Case> {
    use DType::*;
    let m = |a, k, c| vec![('a', a), ('k', k), ('c', c)];
    let mut out = vec![
        contraction("mat_f32", F32, "ak,kc->ac", &m(20, 33, 50), mul()),
        contraction("mat_f64", F64, "ak,kc->ac", &m(1, 300, 9), mul()),
        contraction("mat_c64", C64, "ak,kc->ac", &m(7, 5, 18), ScalarFn::product(true, false)),
        contraction("mat_c128", C128, "ak,kc->ca", &m(6, 11, 13), ScalarFn::product(true, true)),
        contraction("nt_f32", F32, "ak,ck->ac", &m(9, 70, 31), mul()),
        contraction("tn_f64", F64, "ka,kc->ca", &m(18, 4, 3), mul()),
        contraction("dot_f32", F32, "ak,ka->", &m(37, 41, 1), mul()),
        contraction("outer_f32", F32, "a,c->ca", &m(40, 1, 21), mul()),
        contraction("gate_f32", F32, "pq,iqj->ipj", &[('p', 2), ('q', 2), ('i', 16), ('j', 8)], mul()),
        contraction("last_f32", F32, "pq,iq->ip", &[('p', 2), ('q', 2), ('i', 33)], mul()),
        contraction("batch_f64", F64, "zak,zkc->zac", &[('z', 3), ('a', 5), ('k', 6), ('c', 10)], mul()),
        contraction("big_f32", F32, "ak,kc->ac", &m(33, 100, 200), mul()),
        contraction("long_f32", F32, "kl,kl->", &[('k', 3), ('l', 1000)], mul()),
    ];
    for (d, n) in [(F32, "f32"), (F64, "f64"), (C64, "c64"), (C128, "c128")] {
        out.push(layer(&format!("layer_{n}"), d));
        out.push(sliced(&format!("sliced_{n}"), d));
        out.push(odd_ones(&format!("odd_{n}"), d));
        out.push(chain(&format!("chain_{n}"), d, 12));
        out.push(in_place(&format!("in_place_{n}"), d));
        out.push(functions(&format!("functions_{n}"), d));
    }
    out.extend(all_blocked());
    out.extend((0..12).map(random));
    out.push(chain("chain_odd_f64", F64, 31));
    out
}
