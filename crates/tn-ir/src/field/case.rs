//! One draw: random leaves, tangents and cotangents; the program and the dag; root against output.

use super::axes::Axes;
use super::cells::Cells;
use super::graph::{Graph, Values};
use super::isometry::isometry;
use super::number::{Dual, Number, Plain};
use super::source::{Plan, Source, entries};
use crate::dag::{ArrayRole, Dag, Root, RootKind};
use crate::fuzz::Rng;
use crate::program::{ConstValue, Leaf, NodeId, Output, Program, Role};
use std::collections::HashMap;

/// Isometries with more rows than this are not drawn.
const MAX_ROWS: u64 = 128;

/// What is compared.
pub struct Case<'a> {
    /// The program.
    pub program: &'a Program,
    /// The program whose leaves the dag's arrays are.
    pub normal: &'a Program,
    /// The dag.
    pub dag: &'a Dag,
    /// Their axes.
    pub axes: &'a Axes,
    /// The program, ready to be evaluated.
    pub source: Source<'a>,
    /// The dag, ready to be evaluated.
    pub graph: Graph<'a>,
    /// Leaves with a structure have it.
    pub structured: bool,
}

/// Positions of roots.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Roots that differ.
    pub wrong: Vec<usize>,
    /// Roots of which nothing can be told.
    pub unknown: Vec<usize>,
}

/// Which of the roots of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The tensor.
    Plain,
    /// z/|z|.
    Phase,
    /// log|z|.
    Log,
}

/// What a root of an output, or of its tangent, is.
pub fn part(root: &Root, output: &Output) -> Option<Part> {
    let name = match root.kind {
        RootKind::Jvp => root.name.strip_prefix("jvp.")?,
        _ => root.name.as_str(),
    };
    match name.strip_prefix(output.name.as_str())? {
        "" if !output.log => Some(Part::Plain),
        ".phase" if output.log => Some(Part::Phase),
        ".log" if output.log => Some(Part::Log),
        _ => None,
    }
}

/// Values of the leaves, and what their tangents are.
struct Drawn<N> {
    leaves: Vec<Vec<N>>,
    arrays: Vec<Vec<N>>,
    /// For each leaf.
    tangents: Vec<Option<Vec<N>>>,
}

impl Case<'_> {
    /// Compares all roots for which `asked` holds. `exact` numbers have no logarithm that means anything: what depends on one is left out.
    pub fn compare<N: Plain>(
        &self,
        cells: &Cells,
        plan: &Plan,
        seed: u64,
        exact: bool,
        asked: &dyn Fn(usize) -> bool,
    ) -> Option<Findings> {
        let drawn = self.drawn::<N>(cells, seed, exact)?;
        let got = self.graph.evaluate(cells, &drawn.arrays, seed);
        let mut out = Findings::default();
        let roots = || self.dag.roots.iter().enumerate().filter(|(k, _)| asked(*k));
        let moving = roots().any(|(_, r)| r.kind != RootKind::Output);
        let duals = moving.then(|| self.duals(cells, plan, &drawn, &drawn.tangents));
        let plain = match duals {
            Some(_) => HashMap::new(),
            None => self.source.evaluate(plan, cells, &drawn.leaves),
        };
        for (k, root) in roots().filter(|(_, r)| r.kind != RootKind::Grad) {
            let Some(o) = self.program.outputs.get(root.source as usize) else { continue };
            let Some(part) = part(root, o).filter(|p| comparable(root, *p, exact)) else { continue };
            let tangent = root.kind == RootKind::Jvp;
            let want: Vec<N> = match (&duals, plain.get(&o.node)) {
                (Some(d), _) => {
                    d.get(&o.node).into_iter().flatten().map(|z| expected(*z, part, tangent)).collect()
                }
                (None, Some(v)) => v.iter().map(|&z| expected(still(z), part, false)).collect(),
                (None, None) => vec![],
            };
            let have = got.of(root.node);
            let verdicts = || have.iter().zip(&want).map(|(x, y)| x.same(*y));
            if have.len() != want.len() || verdicts().any(|v| v == Some(false)) {
                out.wrong.push(k);
            } else if verdicts().any(|v| v.is_none()) {
                out.unknown.push(k);
            }
        }
        let grads: Vec<usize> = roots().filter(|(_, r)| r.kind == RootKind::Grad).map(|(k, _)| k).collect();
        if let (Some(duals), false) = (duals, grads.is_empty()) {
            self.gradients(cells, plan, &drawn, &got, duals, &grads, exact, &mut out);
        }
        Some(out)
    }

    /// ⟨ct, J t⟩ = ⟨J* ct, t⟩ for tangents of all leaves; where they differ, halves of the leaves tell which gradient it is.
    #[allow(clippy::too_many_arguments)]
    fn gradients<N: Plain>(
        &self,
        cells: &Cells,
        plan: &Plan,
        drawn: &Drawn<N>,
        got: &Values<N>,
        duals: HashMap<NodeId, Vec<Dual<N>>>,
        grads: &[usize],
        exact: bool,
        out: &mut Findings,
    ) {
        let agree = |duals: &HashMap<NodeId, Vec<Dual<N>>>, among: &[usize]| {
            let (mut left, mut right) = (N::zero(), N::zero());
            for (position, root) in self.dag.roots.iter().filter(|r| r.kind == RootKind::Output).enumerate() {
                let cotangent =
                    |a: &crate::dag::Array| a.role == ArrayRole::Cotangent && a.source as usize == position;
                let Some(ct) = self.dag.arrays.iter().position(cotangent) else { continue };
                let Some(o) = self.program.outputs.get(root.source as usize) else { continue };
                let Some(part) = part(root, o).filter(|p| !exact || *p != Part::Phase) else { continue };
                let slopes: Vec<N> =
                    duals.get(&o.node).into_iter().flatten().map(|z| expected(*z, part, true)).collect();
                left = left.add(inner(cells, self.axes.node(root.node), &drawn.arrays[ct], &slopes));
            }
            for &k in among {
                let root = &self.dag.roots[k];
                if let Some(Some(t)) = drawn.tangents.get(root.source as usize) {
                    right = right.add(inner(cells, self.axes.node(root.node), got.of(root.node), t));
                }
            }
            left.same(right)
        };
        let masked = |among: &[usize]| {
            let mut tangents: Vec<Option<Vec<N>>> = vec![None; drawn.tangents.len()];
            for &k in among {
                let leaf = self.dag.roots[k].source as usize;
                tangents[leaf].clone_from(&drawn.tangents[leaf]);
            }
            self.duals(cells, plan, drawn, &tangents)
        };
        let moved = drawn.tangents.iter().filter(|t| t.is_some()).count();
        let all = if moved == grads.len() { agree(&duals, grads) } else { agree(&masked(grads), grads) };
        match all {
            Some(true) => {}
            None => out.unknown.extend(grads),
            Some(false) => {
                let mut among = grads.to_vec();
                while among.len() > 1 {
                    let rest = among.split_off(among.len() / 2);
                    if agree(&masked(&among), &among) != Some(false) {
                        among = rest;
                    }
                }
                out.wrong.extend(among);
            }
        }
    }

    fn duals<N: Plain>(
        &self,
        cells: &Cells,
        plan: &Plan,
        drawn: &Drawn<N>,
        tangents: &[Option<Vec<N>>],
    ) -> HashMap<NodeId, Vec<Dual<N>>> {
        let moving = |(value, tangent): (&Vec<N>, &Option<Vec<N>>)| match tangent {
            Some(t) => value.iter().zip(t).map(|(&value, &slope)| Dual { value, slope }).collect(),
            None => value.iter().map(|&z| still(z)).collect(),
        };
        let leaves: Vec<Vec<Dual<N>>> = drawn.leaves.iter().zip(tangents).map(moving).collect();
        self.source.evaluate(plan, cells, &leaves)
    }

    /// Random arrays; none where a structured leaf is too large to be drawn.
    fn drawn<N: Plain>(&self, cells: &Cells, seed: u64, exact: bool) -> Option<Drawn<N>> {
        let mut rng = Rng(seed);
        let complex = self.dag.dtype.is_complex();
        let mut leaves = Vec::with_capacity(self.program.leaves.len());
        for leaf in self.program.leaves.iter() {
            let classes: Vec<u32> = leaf.legs.iter().map(|&i| self.axes.index(i)).collect();
            leaves.push(match &leaf.role {
                Role::Const(value) => self.constant(value, &classes, cells),
                _ if self.structured && leaf.structure.is_some() => {
                    self.isometric(leaf, &classes, cells, &mut rng, complex)?
                }
                _ => self.random(&classes, cells, &mut rng, complex),
            });
        }
        let mut moving = vec![false; leaves.len()];
        let of_roots = self.dag.roots.iter().filter(|r| r.kind == RootKind::Grad).map(|r| r.source);
        let of_arrays = self.dag.arrays.iter().filter(|a| a.role == ArrayRole::Tangent).map(|a| a.source);
        for k in of_roots.chain(of_arrays) {
            if let Some(m) = moving.get_mut(k as usize) {
                *m = true;
            }
        }
        let mut tangents: Vec<Option<Vec<N>>> = Vec::with_capacity(leaves.len());
        for (leaf, moves) in self.program.leaves.iter().zip(moving) {
            let classes: Vec<u32> = leaf.legs.iter().map(|&i| self.axes.index(i)).collect();
            tangents.push(moves.then(|| self.random(&classes, cells, &mut rng, complex)));
        }
        let outputs: Vec<&Root> = self.dag.roots.iter().filter(|r| r.kind == RootKind::Output).collect();
        let mut arrays = Vec::with_capacity(self.dag.arrays.len());
        for (k, array) in self.dag.arrays.iter().enumerate() {
            let source = array.source as usize;
            let classes = self.axes.array(k);
            let zeros = || vec![N::zero(); entries(classes, cells) as usize];
            arrays.push(match array.role {
                ArrayRole::Tangent => tangents.get(source).cloned().flatten().unwrap_or_else(zeros),
                ArrayRole::Cotangent => {
                    let phase = outputs.get(source).is_some_and(|r| {
                        let o = self.program.outputs.get(r.source as usize);
                        o.and_then(|o| part(r, o)) == Some(Part::Phase)
                    });
                    if exact && phase { zeros() } else { self.random(classes, cells, &mut rng, complex) }
                }
                _ => match (leaves.get(source), self.normal.leaves.as_slice().get(source)) {
                    (Some(value), _) => value.clone(),
                    (None, Some(Leaf { role: Role::Const(value), .. })) => {
                        self.constant(value, classes, cells)
                    }
                    _ => zeros(),
                },
            });
        }
        Some(Drawn { leaves, arrays, tangents })
    }

    fn random<N: Plain>(&self, classes: &[u32], cells: &Cells, rng: &mut Rng, complex: bool) -> Vec<N> {
        // a sum over an axis of two such tensors has about the modulus of its terms
        let total = |c: &u32| cells.of(*c).iter().map(|cell| cell.1).sum::<u64>().max(1) as f64;
        let scale = classes.iter().map(total).product::<f64>().powf(-0.5);
        (0..entries(classes, cells)).map(|_| N::random(rng, complex, scale)).collect()
    }

    /// A constant by its meaning, at the beginning of each cell.
    fn constant<N: Plain>(&self, value: &ConstValue, classes: &[u32], cells: &Cells) -> Vec<N> {
        let dims: Vec<u64> = classes.iter().map(|&c| self.axes.size[c as usize]).collect();
        let mut at = vec![0; classes.len()];
        let of = |mut k: u64| {
            for axis in (0..classes.len()).rev() {
                let own = cells.of(classes[axis]);
                at[axis] = own[(k % own.len() as u64) as usize].0;
                k /= own.len() as u64;
            }
            N::coef(value.entry(&at, &dims))
        };
        (0..entries(classes, cells)).map(of).collect()
    }

    fn isometric<N: Plain>(
        &self,
        leaf: &Leaf,
        classes: &[u32],
        cells: &Cells,
        rng: &mut Rng,
        complex: bool,
    ) -> Option<Vec<N>> {
        let s = leaf.structure.as_ref()?;
        let size = |legs: &[u32]| {
            legs.iter().try_fold(1u64, |p, &k| Some(p * cells.count(*classes.get(k as usize)?) as u64))
        };
        let (columns, rows) = (size(&s.from)?, size(&s.to)?);
        if rows > MAX_ROWS || columns > rows {
            return None;
        }
        let w: Vec<N> = isometry(rng, complex, rows as usize, columns as usize)?;
        // position of every leg's cell in the row or column
        let mut step = vec![(0usize, false); classes.len()];
        for (legs, row) in [(&s.to, true), (&s.from, false)] {
            let mut run = 1;
            for &k in legs.iter().rev() {
                step[k as usize] = (run, row);
                run *= cells.count(classes[k as usize]);
            }
        }
        let of = |mut k: usize| {
            let (mut row, mut column) = (0, 0);
            for axis in (0..classes.len()).rev() {
                let n = cells.count(classes[axis]);
                let (run, is_row) = step[axis];
                *(if is_row { &mut row } else { &mut column }) += run * (k % n);
                k /= n;
            }
            w[row * columns as usize + column]
        };
        Some((0..entries(classes, cells) as usize).map(of).collect())
    }
}

/// Whether a root means something in exact numbers.
fn comparable(root: &Root, part: Part, exact: bool) -> bool {
    !exact || part == Part::Plain || (part == Part::Log && root.kind == RootKind::Jvp)
}

fn still<N: Number>(value: N) -> Dual<N> {
    Dual { value, slope: N::zero() }
}

/// The root that belongs to an output z, or its tangent.
fn expected<N: Number>(z: Dual<N>, part: Part, tangent: bool) -> N {
    use super::number::Function::{Abs, Log};
    let turn = || z.slope.mul(z.value.recip());
    let phase = || z.value.mul(z.value.call(Abs).recip());
    match (part, tangent) {
        (Part::Plain, false) => z.value,
        (Part::Plain, true) => z.slope,
        (Part::Log, false) => z.value.call(Abs).call(Log),
        (Part::Log, true) => turn().real(),
        (Part::Phase, false) => phase(),
        (Part::Phase, true) => turn().add(turn().real().neg()).mul(phase()),
    }
}

/// Re Σ conj(a)·b over all entries.
fn inner<N: Number>(cells: &Cells, classes: &[u32], a: &[N], b: &[N]) -> N {
    let mut sum = N::zero();
    for (k, (x, y)) in a.iter().zip(b).enumerate() {
        let mut term = x.conj().mul(*y).real();
        let mut k = k;
        for &c in classes.iter().rev() {
            let own = cells.of(c);
            let n = own[k % own.len()].1;
            if n != 1 {
                term = term.mul(N::natural(n));
            }
            k /= own.len();
        }
        sum = sum.add(term);
    }
    sum
}
