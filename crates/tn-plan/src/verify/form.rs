//! What a step for a dag node has to look like, straight from the table of ops.

use tn_ir::Complex64;
use tn_ir::dag::{Coef, Dag, DagId, FnId, Op};
use tn_ir::scalar::ScalarFn;
use tn_ir::size::Dim;

use crate::ir::Fold;

/// The function that a step must apply.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// The argument, conjugated if true.
    Copy(bool),
    /// a·b, each conjugated if true.
    Product(bool, bool),
    /// Σ c·x.
    Linear(Vec<Coef>),
    /// A function of the dag.
    Function(FnId),
}

/// How the value's index follows from a point of the space.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// One axis of the space and a shift for each axis of the value.
    Axes(Vec<(usize, Vec<Dim>)>, Vec<u64>),
    /// The position in row-major memory is that of the point in a tensor of these axes.
    Flat(Vec<Dim>),
}

/// A step as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    /// Sizes; whether folded away.
    pub space: Vec<(Dim, bool)>,
    /// Which node each operand is, and the axis of the space for each of its axes.
    pub ins: Vec<(DagId, Vec<usize>)>,
    pub place: Place,
    pub meaning: Meaning,
    pub fold: Fold,
    /// The result's other elements must be zero.
    pub zero_first: bool,
    /// How many steps the node takes, and which this is.
    pub of: (usize, usize),
}

fn kept(dims: &[Dim]) -> Vec<(Dim, bool)> {
    dims.iter().map(|&d| (d, false)).collect()
}

fn straight(n: usize) -> Vec<usize> {
    (0..n).collect()
}

/// Every axis of the value is an axis of the space.
fn plain(axes: impl IntoIterator<Item = usize>) -> Place {
    let axes: Vec<_> = axes.into_iter().map(|i| (i, vec![])).collect();
    let shifts = vec![0; axes.len()];
    Place::Axes(axes, shifts)
}

/// The step that copies the value of `n` as it is.
pub(super) fn copy(dag: &Dag, n: DagId) -> Form {
    let dims = dag.dims(n);
    Form {
        space: kept(dims),
        ins: vec![(n, straight(dims.len()))],
        place: plain(straight(dims.len())),
        meaning: Meaning::Copy(false),
        fold: Fold::Sum,
        zero_first: false,
        of: (1, 0),
    }
}

/// Labels to axes of a space: the distinct ones of the result in order, then the others by number.
fn labelled(dag: &Dag, n: DagId, operands: &[(DagId, &[u32])], out: &[u32]) -> Option<Form> {
    let all = || operands.iter().flat_map(|o| o.1).chain(out);
    let mut axis_of: Vec<Option<usize>> = vec![None; all().max().map_or(0, |&l| l as usize + 1)];
    let mut sizes: Vec<Dim> = Vec::with_capacity(out.len() + 2);
    for (i, &l) in out.iter().enumerate() {
        if axis_of[l as usize].is_none() {
            axis_of[l as usize] = Some(sizes.len());
            sizes.push(*dag.dims(n).get(i)?);
        }
    }
    let count = sizes.len();
    let mut folded: Vec<(u32, Dim)> = Vec::new();
    for (x, own) in operands {
        for (&l, &d) in own.iter().zip(dag.dims(*x)) {
            if axis_of[l as usize].is_none() {
                // its place follows from the labels of the others
                axis_of[l as usize] = Some(usize::MAX);
                folded.push((l, d));
            }
        }
    }
    folded.sort();
    for (l, d) in folded {
        axis_of[l as usize] = Some(sizes.len());
        sizes.push(d);
    }
    let axis = |l: &u32| axis_of[*l as usize];
    let ins = operands
        .iter()
        .map(|(x, own)| Some((*x, own.iter().map(axis).collect::<Option<Vec<_>>>()?)))
        .collect::<Option<Vec<_>>>()?;
    Some(Form {
        space: sizes.into_iter().enumerate().map(|(i, d)| (d, i >= count)).collect(),
        ins,
        place: plain(out.iter().map(axis).collect::<Option<Vec<_>>>()?),
        meaning: Meaning::Copy(false),
        fold: Fold::Sum,
        zero_first: out.len() > count,
        of: (1, 0),
    })
}

/// The step that comes next for `n` after `done` of its parts, when it has `operands` operands.
pub(super) fn compute(dag: &Dag, n: DagId, done: usize, operands: usize) -> Option<Form> {
    let dims = dag.dims(n);
    let all = straight(dims.len());
    let mut form = copy(dag, n);
    match dag.op(n) {
        Op::Leaf(_) | Op::Slice { .. } | Op::At { .. } | Op::Collect { .. } => return None,
        Op::Number(c) => {
            form.ins.clear();
            // A number is a sum of itself and nothing else.
            form.meaning = Meaning::Linear(vec![*c]);
        }
        Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
            form = labelled(dag, n, &[(*a, a_labels), (*b, b_labels)], out_labels)?;
            form.meaning = Meaning::Product(*conj_a, *conj_b);
        }
        Op::Einsum1 { a, a_labels, out_labels, conj } => {
            form = labelled(dag, n, &[(*a, a_labels)], out_labels)?;
            form.meaning = Meaning::Copy(*conj);
        }
        Op::Map { f, args } => {
            let axes = |x: DagId| if dag.dims(x).is_empty() { vec![] } else { all.clone() };
            form.ins = args.iter().map(|&x| (x, axes(x))).collect();
            form.meaning = Meaning::Function(*f);
        }
        Op::Add { terms } => {
            let part = terms.get(done..done + operands)?;
            form.ins = part.iter().map(|t| (t.1, all.clone())).collect();
            form.meaning = Meaning::Linear(part.iter().map(|t| t.0).collect());
            form.of = (terms.len().max(1), done);
        }
        Op::Reshape { a } => {
            form = copy(dag, *a);
            form.place = Place::Flat(dag.dims(*a).to_vec());
        }
        Op::Pad { a, axis, before } => {
            form = copy(dag, *a);
            if let Place::Axes(_, shifts) = &mut form.place {
                *shifts.get_mut(*axis as usize)? = *before;
            }
            form.zero_first = true;
        }
        Op::Concat { axis, parts } => {
            let part = *parts.get(done)?;
            form = copy(dag, part);
            if let Place::Axes(axes, _) = &mut form.place {
                let lengths = parts[..done].iter().map(|&p| dag.dims(p).get(*axis as usize).copied());
                axes.get_mut(*axis as usize)?.1 = lengths.collect::<Option<_>>()?;
            }
            form.of = (parts.len(), done);
        }
        Op::MaxAbs { a } => {
            form = copy(dag, *a);
            form.space.iter_mut().for_each(|s| s.1 = true);
            form.place = plain([]);
            form.fold = Fold::MaxAbs;
        }
    }
    Some(form)
}

/// Whether `f` does what is meant: the same operations, or the same values at fixed points (each is a product, a sum or a conjugate of its
/// arguments, so that a few points without structure decide).
pub(super) fn means(dag: &Dag, f: &ScalarFn, meaning: &Meaning) -> bool {
    if let Meaning::Function(id) = meaning
        && dag.fns.get(id.0 as usize) == Some(f)
    {
        return true;
    }
    (0..5u32).all(|draw| {
        let args: Vec<Complex64> =
            (0..f.arity.max(1)).map(|i| point(draw, i, dag.dtype.is_complex())).collect();
        let want = match meaning {
            Meaning::Copy(conj) => conj_if(args[0], *conj),
            Meaning::Product(x, y) if f.arity == 2 => conj_if(args[0], *x) * conj_if(args[1], *y),
            Meaning::Product(..) => return false,
            Meaning::Linear(c) if f.arity == 0 => c.first().map_or(Complex64::default(), |c| c.value()),
            Meaning::Linear(c) if c.len() == f.arity as usize => {
                c.iter().zip(&args).map(|(c, x)| c.value() * x).sum()
            }
            Meaning::Linear(_) => return false,
            Meaning::Function(id) => match dag.fns.get(id.0 as usize) {
                Some(g) if g.arity == f.arity => g.eval(&args),
                _ => return false,
            },
        };
        let got = f.eval(&args);
        let same = |x: f64, y: f64| (x - y).abs() <= 1e-12 * (1.0 + y.abs()) || x.to_bits() == y.to_bits();
        same(got.re, want.re) && same(got.im, want.im)
    })
}

fn conj_if(x: Complex64, conj: bool) -> Complex64 {
    if conj { x.conj() } else { x }
}

/// Numbers without structure in (-2, 2).
fn point(draw: u32, argument: u32, complex: bool) -> Complex64 {
    let part = |k: f64| {
        ((f64::from(draw) * 12.9898 + f64::from(argument) * 78.233 + k).sin() * 43758.5453).fract() * 2.0
    };
    Complex64::new(part(0.5), if complex { part(7.25) } else { 0.0 })
}
