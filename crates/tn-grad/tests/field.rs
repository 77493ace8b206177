//! The check of dags against programs in a prime field: right dags pass, wrong ones do not.

use std::collections::HashMap;
use tn_ir::Complex64;
use tn_ir::build::ProgramBuilder;
use tn_ir::dag::{ArrayId, ArrayRole, Coef, Dag, DagId, Op};
use tn_ir::dag_build::Labelled;
use tn_ir::dtype::DType;
use tn_ir::eval::{self, Dense};
use tn_ir::field::{self, Options, Report};
use tn_ir::fuzz::{self, Rng, Shape};
use tn_ir::ids::Id;
use tn_ir::lower::lower;
use tn_ir::naive;
use tn_ir::normalise::normalise;
use tn_ir::program::{ConstValue, Program, Structure};
use tn_ir::regions::regions;
use tn_ir::scalar::{ScalarBuilder, ScalarOp};
use tn_ir::size::SymbolId;

/// A random program, its normal form and its dag with derivatives.
fn case(seed: u64, derive: bool) -> (Program, Program, Dag) {
    let mut rng = Rng(seed);
    let shape = Shape {
        dtype: if seed.is_multiple_of(2) { DType::F64 } else { DType::C128 },
        nonlinear: !seed.is_multiple_of(3),
        dynamic: seed.is_multiple_of(5),
        logs: seed.is_multiple_of(7),
        steps: 2 + rng.below(8),
    };
    let program = fuzz::program(&mut rng, shape);
    let normal = normalise(&program).unwrap();
    let regions = regions(&normal, tn_ir::regions::RegionRules::default());
    let slices = (seed % 4) as usize;
    let trees: Vec<_> = regions.iter().map(|r| fuzz::tree(&mut rng, r, slices)).collect();
    let mut dag = lower(&normal, &regions, &trees).unwrap();
    if derive {
        let given = |a: &tn_ir::dag::Array| a.role != ArrayRole::Const;
        let wrt: Vec<ArrayId> = dag.arrays.enumerate().filter(|(_, a)| given(a)).map(|(id, _)| id).collect();
        tn_grad::vjp(&mut dag, &wrt);
        tn_grad::jvp(&mut dag, &wrt);
    }
    tn_ir::verify::verify(&dag).unwrap();
    (program, normal, dag)
}

fn check(program: &Program, normal: &Program, dag: &Dag) -> Result<Report, field::Mismatch> {
    field::check(program, normal, dag, &Options::default())
}

#[test]
fn right_dags_pass() {
    let mut unchecked = 0;
    for seed in 0..600u64 {
        let (program, normal, dag) = case(seed, seed.is_multiple_of(2) || seed.is_multiple_of(3));
        match check(&program, &normal, &dag) {
            Ok(report) => {
                unchecked += report.unchecked.len();
                assert!(report.draws >= 2 || !report.unchecked.is_empty(), "seed {seed}: {report:?}");
            }
            Err(e) => panic!("seed {seed}: {e}"),
        }
    }
    // where numbers grow out of bounds, or signs hang on rounding
    assert!(unchecked <= 100, "{unchecked} roots were not checked");
}

fn renamed(op: &Op, at: &[DagId]) -> Op {
    let to = |a: &DagId| at[a.index()];
    let mut op = op.clone();
    match &mut op {
        Op::Leaf(_) | Op::Number(_) => {}
        Op::Einsum2 { a, b, .. } => (*a, *b) = (to(a), to(b)),
        Op::Einsum1 { a, .. }
        | Op::Reshape { a }
        | Op::Slice { a, .. }
        | Op::Pad { a, .. }
        | Op::At { a, .. }
        | Op::Collect { a, .. }
        | Op::MaxAbs { a } => *a = to(a),
        Op::Map { args, .. } => args.iter_mut().for_each(|a| *a = to(a)),
        Op::Add { terms } => terms.iter_mut().for_each(|t| t.1 = to(&t.1)),
        Op::Concat { parts, .. } => parts.iter_mut().for_each(|p| *p = to(p)),
    }
    op
}

/// The dag with another operation in one place.
fn with(dag: &Dag, place: DagId, wrong: Op) -> Dag {
    let mut out = Dag::default();
    out.dtype = dag.dtype;
    out.symbols = dag.symbols.clone();
    out.arrays = dag.arrays.clone();
    out.fns = dag.fns.clone();
    out.vars = dag.vars.clone();
    out.nests = dag.nests.clone();
    let mut at = vec![];
    for id in dag.ids() {
        let op = if id == place { &wrong } else { dag.op(id) };
        let op = renamed(op, &at);
        at.push(out.add(op, dag.dims(id).to_vec()));
    }
    out.roots = dag.roots.clone();
    out.roots.iter_mut().for_each(|r| r.node = at[r.node.index()]);
    out
}

fn swap(rng: &mut Rng, labels: &mut [u32]) {
    if labels.len() > 1 {
        let k = rng.below(labels.len() - 1);
        labels.swap(k, k + 1);
    }
}

/// Something wrong in place of an operation.
fn wrong(rng: &mut Rng, dag: &Dag, id: DagId) -> Option<Op> {
    let mut op = dag.op(id).clone();
    let like = |a: DagId, rng: &mut Rng| {
        let (dims, info) = (dag.dims(a), dag.info(a));
        let fits = |b: &DagId| {
            *b < id
                && *b != a
                && dag.dims(*b) == dims
                && dag.info(*b).depth <= info.depth
                && (dag.info(*b).depth == 0 || dag.info(*b).nest == info.nest)
        };
        let all: Vec<DagId> = dag.ids().filter(fits).collect();
        if all.is_empty() { None } else { Some(rng.pick(&all)) }
    };
    match &mut op {
        Op::Leaf(_) | Op::MaxAbs { .. } | Op::Reshape { .. } => return None,
        Op::Number(c) => *c = Coef { re: c.re + 1.0, im: c.im },
        Op::Einsum2 { a, a_labels, b_labels, out_labels, conj_a, .. } => match rng.below(5) {
            0 => swap(rng, a_labels),
            1 => swap(rng, b_labels),
            2 => swap(rng, out_labels),
            3 if dag.dtype.is_complex() => *conj_a ^= true,
            _ => *a = like(*a, rng)?,
        },
        Op::Einsum1 { a, a_labels, out_labels, conj } => match rng.below(4) {
            0 => swap(rng, a_labels),
            1 => swap(rng, out_labels),
            2 if dag.dtype.is_complex() => *conj ^= true,
            _ => *a = like(*a, rng)?,
        },
        Op::Map { f, args } => match rng.below(2) {
            0 => {
                let arity = dag.fns[f.index()].arity;
                let alike = |k: &usize| dag.fns[*k].arity == arity && *k != f.index();
                let all: Vec<usize> = (0..dag.fns.len()).filter(alike).collect();
                if all.is_empty() {
                    return None;
                }
                f.0 = rng.pick(&all) as u32;
            }
            _ => args[0] = like(args[0], rng)?,
        },
        Op::Add { terms } => match rng.below(4) {
            0 if terms.len() > 1 => drop(terms.pop()),
            1 => terms[0].0.re = -terms[0].0.re,
            2 => terms[0].0.re *= 1.001,
            _ => terms[0].1 = like(terms[0].1, rng)?,
        },
        Op::Slice { start, .. } => *start = if *start > 0 { *start - 1 } else { 1 },
        Op::Pad { before, .. } => *before = if *before > 0 { *before - 1 } else { 1 },
        Op::Concat { parts, .. } => parts.swap(0, 1),
        Op::At { picks, .. } if picks.is_empty() => return None,
        Op::At { picks, .. } => match rng.below(2) {
            0 if picks.len() > 1 => {
                let first = picks[0].1;
                picks[0].1 = picks[1].1;
                picks[1].1 = first;
            }
            _ => {
                // another axis of the same length
                let axis = rng.below(dag.dims(*dag.op(id).args().first()?).len()) as u32;
                if picks.iter().any(|p| p.0 == axis) {
                    return None;
                }
                picks[0].0 = axis;
                picks.sort();
            }
        },
        Op::Collect { places, nest, .. } => {
            let vars = &dag.nests[*nest].vars;
            places.first_mut()?.1 = rng.pick(vars);
        }
    }
    (op != *dag.op(id)).then_some(op)
}

/// The roots at the true sizes, in floating-point numbers.
fn values(program: &Program, normal: &Program, dag: &Dag) -> Vec<Dense> {
    let mut rng = Rng(99);
    let sizes: HashMap<SymbolId, u64> = program.symbols.ids().map(|s| (s, 4)).collect();
    let leaves = fuzz::leaves(&mut rng, program, 4);
    let mut arrays: HashMap<ArrayId, Dense> = leaves.into_iter().map(|(l, v)| (ArrayId(l.0), v)).collect();
    for l in normal.leaves.ids() {
        if let Some(value) = naive::constant(normal, l) {
            arrays.insert(ArrayId(l.0), value);
        }
    }
    for (id, array) in dag.arrays.enumerate() {
        arrays.entry(id).or_insert_with(|| {
            let mut value = Dense::zeros(array.dims.iter().map(|d| d.eval(|_| 4)).collect());
            value.data.iter_mut().for_each(|x| *x = rng.number(dag.dtype));
            value
        });
    }
    let wanted: Vec<_> = dag.roots.iter().map(|r| r.node).collect();
    eval::evaluate(dag, &arrays, &sizes, &wanted)
}

/// Whether some root clearly has another value; none where rounding decides.
fn differ(a: &[Dense], b: &[Dense]) -> bool {
    a.iter().zip(b).any(|(x, y)| {
        let scale = x.data.iter().chain(&y.data).fold(1e-30f64, |m, z| m.max(z.norm()));
        let far = |(p, q): (&Complex64, &Complex64)| (p - q).norm() > 1e-6 * scale;
        scale.is_finite() && scale < 1e12 && x.data.iter().zip(&y.data).any(far)
    })
}

#[test]
fn wrong_dags_do_not_pass() {
    let (mut tried, mut missed) = (0, vec![]);
    for seed in 0..400u64 {
        let (program, normal, dag) = case(seed, seed.is_multiple_of(2));
        // the witness goes through every entry of every round
        let entries = |id: DagId| dag.dims(id).iter().map(|d| d.eval(|_| 4)).product::<u64>();
        if dag.ids().any(|id| entries(id) > 10_000) {
            continue;
        }
        let before = values(&program, &normal, &dag);
        let mut rng = Rng(seed + 1000);
        for _ in 0..6 {
            let place = DagId(rng.below(dag.len()) as u32);
            let Some(op) = wrong(&mut rng, &dag, place) else { continue };
            let mutant = with(&dag, place, op.clone());
            if tn_ir::verify::verify(&mutant).is_err() {
                continue;
            }
            if !differ(&before, &values(&program, &normal, &mutant)) {
                continue;
            }
            tried += 1;
            if let Ok(report) = check(&program, &normal, &mutant) {
                missed.push((seed, place, dag.op(place).clone(), op, report));
            }
        }
    }
    assert!(tried > 200 && missed.len() * 100 <= tried, "{} of {tried} missed: {missed:?}", missed.len());
}

/// A program with its dag along trees from left to right.
fn plain(program: Program) -> (Program, Normal, Dag) {
    let normal = normalise(&program).unwrap();
    let regions = regions(&normal, tn_ir::regions::RegionRules::default());
    let mut rng = Rng(3);
    let trees: Vec<_> = regions.iter().map(|r| fuzz::tree(&mut rng, r, 0)).collect();
    let dag = lower(&normal, &regions, &trees).unwrap();
    (program, normal, dag)
}

type Normal = Program;

#[test]
fn a_size_may_stand_as_a_number() {
    let mut b = ProgramBuilder::new("sizes", DType::F64);
    let (i, j) = (b.index("i", 1000), b.index("j", 5));
    let x = b.input("x", &[i]);
    let y = b.input("y", &[j]);
    let one = Complex64::new(1.0, 0.0);
    let operand =
        |node, indices: &[_]| tn_ir::program::Operand { node, indices: indices.to_vec(), conj: false };
    let terms = vec![(one, operand(x, &[i])), (one, operand(y, &[j]))];
    let sum = b.node(tn_ir::program::Node::Add { terms }, &[i, j]);
    let z = b.contract(&[j], &[(sum, &[i, j])]);
    b.output("z", z, false);
    let (program, normal, dag) = plain(b.finish());
    check(&program, &normal, &dag).unwrap();
    // Σ_i (x_i + y_j) = Σ_i x_i + 1000 y_j
    for (n, right) in [(1000.0, true), (999.0, false)] {
        let mut wise = Dag::default();
        wise.dtype = dag.dtype;
        wise.symbols = dag.symbols.clone();
        wise.arrays = dag.arrays.clone();
        wise.roots = dag.roots.clone();
        let (x, y) = (wise.leaf(ArrayId(0)), wise.leaf(ArrayId(1)));
        let total = wise.einsum1(x, &[0], &[], false, |_| tn_ir::size::Dim::Const(1));
        let dims = wise.dims(y).to_vec();
        let wide = wise.broadcast(total, &[], &dims);
        wise.roots[0].node = wise.sum(&[(one, wide), (Complex64::new(n, 0.0), y)]);
        assert_eq!(check(&program, &normal, &wise).is_ok(), right, "{n}");
    }
}

#[test]
fn what_functions_mean_may_be_used() {
    let mut b = ProgramBuilder::new("exponents", DType::F64);
    let i = b.index("i", 7);
    let (x, y) = (b.input("x", &[i]), b.input("y", &[i]));
    let mut s = ScalarBuilder::new();
    let r = s.push(ScalarOp::Arg(0));
    let r = s.push(ScalarOp::Exp(r));
    let exp = s.finish(1, r);
    let map =
        b.program.maps.push(tn_ir::program::MapDef { name: "exp".into(), params: vec![], body: exp.clone() });
    let of = |arg| tn_ir::program::Node::Map { map, arg, params: vec![] };
    let (p, q) = (b.node(of(x), &[i]), b.node(of(y), &[i]));
    let z = b.contract(&[i], &[(p, &[i]), (q, &[i])]);
    b.output("z", z, false);
    let (program, normal, dag) = plain(b.finish());
    check(&program, &normal, &dag).unwrap();
    for (c, right) in [(1.0, true), (0.999, false)] {
        let mut wise = Dag::default();
        wise.arrays = dag.arrays.clone();
        wise.roots = dag.roots.clone();
        wise.dtype = dag.dtype;
        let (x, y) = (wise.leaf(ArrayId(0)), wise.leaf(ArrayId(1)));
        let sum = wise.sum(&[(Complex64::new(1.0, 0.0), x), (Complex64::new(c, 0.0), y)]);
        wise.roots[0].node = wise.map(exp.clone(), vec![sum]);
        assert_eq!(check(&program, &normal, &wise).is_ok(), right, "{c}");
    }
}

#[test]
fn isometries_cancel_where_it_is_said_that_they_are_used() {
    let mut b = ProgramBuilder::new("isometry", DType::C128);
    let (d, chi, up) = (b.index("d", 3), b.index("chi", 12), b.index("up", 20));
    let low = b.index("low", 20);
    let w = b.param("w", &[d, chi, up]);
    // from `up` to `d` and `chi`
    let leaf = tn_ir::program::LeafId(0);
    b.program.leaves[leaf].structure = Some(Structure { from: vec![2], to: vec![0, 1], unitary: false });
    let v = b.input("v", &[up]);
    let z = b.node(
        tn_ir::program::Node::Contract {
            scale: Complex64::new(1.0, 0.0),
            operands: vec![
                tn_ir::program::Operand { node: w, indices: vec![d, chi, low], conj: true },
                tn_ir::program::Operand { node: w, indices: vec![d, chi, up], conj: false },
                tn_ir::program::Operand { node: v, indices: vec![up], conj: false },
            ],
        },
        &[low],
    );
    b.output("z", z, false);
    let (program, normal, dag) = plain(b.finish());
    let wise = |node: &dyn Fn(&mut Dag) -> DagId| {
        let mut wise = Dag::default();
        wise.arrays = dag.arrays.clone();
        wise.roots = dag.roots.clone();
        wise.dtype = dag.dtype;
        wise.roots[0].node = node(&mut wise);
        wise
    };
    let cancelled = wise(&|d| d.leaf(ArrayId(1)));
    let used = Options { structured: true, ..Options::default() };
    field::check(&program, &normal, &dag, &used).unwrap();
    field::check(&program, &normal, &cancelled, &used).unwrap();
    assert!(check(&program, &normal, &cancelled).is_err(), "nothing said that the isometry was used");
    let doubled = wise(&|d| {
        let v = d.leaf(ArrayId(1));
        d.scale(Complex64::new(2.0, 0.0), v)
    });
    assert!(field::check(&program, &normal, &doubled, &used).is_err());
}

#[test]
fn windows_and_tables_are_seen() {
    let mut b = ProgramBuilder::new("windows", DType::F64);
    let (p, u, x, c) = (b.index("p", 100), b.index("u", 5), b.index("x", 201), b.index("c", 4));
    let image = b.input("image", &[x, c]);
    let kernel = b.param("kernel", &[u]);
    let value = ConstValue::Window { stride: 2, pad: 1, dilation: 1 };
    let window = b.constant("window", value, &[p, u, x]);
    let table = ConstValue::Dense((0..4).map(|k| Complex64::new(k as f64 + 0.5, 0.0)).collect());
    let table = b.constant("table", table, &[c]);
    let z = b.contract(&[p], &[(window, &[p, u, x]), (image, &[x, c]), (kernel, &[u]), (table, &[c])]);
    b.output("z", z, false);
    let (program, normal, dag) = plain(b.finish());
    let report = check(&program, &normal, &dag).unwrap();
    assert!(report.unchecked.is_empty());
    // the kernel in place of itself reversed, say
    let mut other = dag.clone();
    let array = dag.arrays.ids().find(|&a| dag.arrays[a].name == "kernel").unwrap();
    let k = other.leaf(array);
    let user = dag
        .ids()
        .find_map(|id| match dag.op(id) {
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, .. } if *a == k || *b == k => Some((
                id,
                Labelled::new(*a, a_labels.clone()),
                Labelled::new(*b, b_labels.clone()),
                out_labels.clone(),
            )),
            _ => None,
        })
        .unwrap();
    let (id, mut a, mut b, out) = user;
    let parts: Vec<DagId> = (0..5).rev().map(|at| other.slice(k, 0, at, 1)).collect();
    let reversed = other.concat(0, parts);
    (if a.node == k { &mut a } else { &mut b }).node = reversed;
    let changed = other.einsum2(a, b, &out);
    let mut at: Vec<DagId> = vec![];
    for old in dag.ids() {
        let op = renamed(dag.op(old), &at);
        let new = if old == id { changed } else { other.add(op, dag.dims(old).to_vec()) };
        at.push(new);
    }
    other.roots[0].node = at[dag.roots[0].node.index()];
    assert_eq!(check(&program, &normal, &other).unwrap_err().root, "z");
}

#[test]
fn leading_entries_of_a_large_tensor_are_sampled() {
    let mut b = ProgramBuilder::new("generator", DType::F64);
    let s: Vec<_> = (0..20).map(|k| b.index(&format!("s{k}"), 2)).collect();
    let (o, i, y, x) = (b.index("o", 256), b.index("i", 384), b.index("y", 3), b.index("x", 3));
    let (left, right) = (b.param("left", &s[..10]), b.param("right", &s[10..]));
    let all = b.contract(&s, &[(left, &s[..10]), (right, &s[10..])]);
    let kernel = b.node(tn_ir::program::Node::Unpad { arg: all }, &[o, i, y, x]);
    b.output("kernel", kernel, false);
    let (program, normal, mut dag) = plain(b.finish());
    tn_grad::vjp(&mut dag, &[ArrayId(0), ArrayId(1)]);
    tn_grad::jvp(&mut dag, &[ArrayId(0), ArrayId(1)]);
    let report = check(&program, &normal, &dag).unwrap();
    assert!(report.unchecked.is_empty() && report.work < 1 << 17, "{report:?}");
    let slices = dag.ids().filter(|&id| matches!(dag.op(id), Op::Slice { .. }));
    for place in slices {
        let Op::Slice { a, axis, start } = dag.op(place).clone() else { continue };
        let mutant = with(&dag, place, Op::Slice { a, axis, start: start + 1 });
        assert!(check(&program, &normal, &mutant).is_err());
    }
}
