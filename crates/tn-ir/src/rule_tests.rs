//! The rules of regions and the sharing of equal contractions: both sides are evaluated exactly on random instances, and slips are found out.

use crate::build::ProgramBuilder;
use crate::dag::{Array, ArrayId, ArrayRole, Dag, DagId};
use crate::dag_build::Labelled;
use crate::dtype::DType;
use crate::eval::{self, Dense, flat, for_each_index};
use crate::fuzz::{self, Rng};
use crate::lower::lower;
use crate::naive::{self, NaiveOutput};
use crate::normalise::normalise;
use crate::program::{ConstValue, IndexId, LeafId, Node, NodeId, Operand, Program, Structure};
use crate::regions::{RegionRules, regions};
use crate::size::Dim;
use crate::slip::assert_sound;
use num_complex::Complex64;
use std::collections::{BTreeMap, HashMap};

/// Numbers whose sums and products are exact.
fn whole_number(rng: &mut Rng, dtype: DType) -> Complex64 {
    let im = if dtype.is_complex() { rng.below(5) as f64 - 2.0 } else { 0.0 };
    Complex64::new(rng.below(7) as f64 - 3.0, im)
}

fn dense(rng: &mut Rng, dtype: DType, shape: Vec<u64>) -> Dense {
    let n = shape.iter().product::<u64>();
    Dense { data: (0..n).map(|_| whole_number(rng, dtype)).collect(), shape }
}

/// Whether the only output has the same values by definition and by its region with all rules, and how many pairs of isometries cancelled.
fn agrees(program: &Program, leaves: HashMap<LeafId, Dense>, rng: &mut Rng) -> (bool, usize) {
    let NaiveOutput::Plain(want) = &naive::evaluate(program, &leaves, &HashMap::new())[0] else {
        panic!("a plain output")
    };
    let normal = normalise(program).unwrap();
    let regions = regions(&normal, RegionRules::default());
    let cancelled = regions.iter().map(|r| r.cancelled.len()).sum();
    let trees: Vec<_> = regions.iter().map(|r| fuzz::tree(rng, r, 0)).collect();
    let Ok(dag) = lower(&normal, &regions, &trees) else { return (false, cancelled) };
    let mut arrays: HashMap<ArrayId, Dense> = leaves.into_iter().map(|(l, v)| (ArrayId(l.0), v)).collect();
    for l in normal.leaves.ids() {
        arrays.extend(naive::constant(&normal, l).map(|value| (ArrayId(l.0), value)));
    }
    let got = eval::evaluate(&dag, &arrays, &HashMap::new(), &[dag.roots[0].node]);
    (&got[0] == want, cancelled)
}

/// Up to `most` of the given, each at most once, in any order.
fn some<T: Copy>(rng: &mut Rng, of: &[T], most: usize) -> Vec<T> {
    let mut left = of.to_vec();
    (0..rng.below(most + 1).min(of.len())).map(|_| left.swap_remove(rng.below(left.len()))).collect()
}

fn output(mut b: ProgramBuilder, rng: &mut Rng, operands: Vec<Operand>) -> Program {
    let mut used: Vec<IndexId> = operands.iter().flat_map(|o| o.indices.iter().copied()).collect();
    used.sort_unstable();
    used.dedup();
    let legs = some(rng, &used, 2);
    let scale = Complex64::new(1.0 + rng.below(2) as f64, 0.0);
    let node = b.node(Node::Contract { scale, operands }, &legs);
    b.output("y", node, false);
    b.finish()
}

/// A contraction of a few tensors with copy tensors.
fn with_copies(rng: &mut Rng) -> Program {
    let mut b = ProgramBuilder::new("copies", DType::F64);
    let size = 2 + rng.below(2) as u64;
    let all: Vec<IndexId> = (0..6).map(|k| b.index(&format!("i{k}"), size)).collect();
    let mut operands = vec![];
    for k in 0..2 + rng.below(3) {
        let (value, rank) = match (k, rng.below(3)) {
            (0 | 1, _) => (None, 1 + rng.below(3)),
            (_, 0) => (Some(ConstValue::Delta), 2 + rng.below(3)),
            (_, 1) => (Some(ConstValue::Identity), 2 + 2 * rng.below(2)),
            _ => (Some(ConstValue::Ones), 1 + rng.below(2)),
        };
        let legs = &all[..rank];
        let name = format!("t{k}");
        let node = match value {
            Some(value) => b.constant(&name, value, legs),
            None => b.param(&name, legs),
        };
        let indices = (0..rank).map(|_| all[rng.below(all.len())]).collect();
        operands.push(Operand { node, indices, conj: false });
    }
    output(b, rng, operands)
}

#[test]
fn copies() {
    let slips = [
        "only the first two legs of a delta are equal",
        "neighbouring legs of an identity are equal",
        "an index that only a copy carries is summed for nothing",
    ];
    assert_sound(&slips, |seed| {
        let mut rng = Rng(seed);
        let program = with_copies(&mut rng);
        let leaves = integers(&program, &mut rng, |_| None);
        let copies = program.nodes.iter().filter(|n| match n.node {
            Node::Leaf(l) => naive::constant(&program, l).is_some(),
            _ => false,
        });
        (copies.count() > 0).then(|| agrees(&program, leaves, &mut rng).0)
    });
}

/// Values of all leaves: what `of` gives, else any.
fn integers(
    program: &Program,
    rng: &mut Rng,
    of: impl Fn(LeafId) -> Option<Dense>,
) -> HashMap<LeafId, Dense> {
    let mut out = HashMap::new();
    for (id, leaf) in program.leaves.enumerate() {
        let shape = leaf.legs.iter().map(|&i| program.indices[i].size.value).collect();
        out.insert(id, of(id).unwrap_or_else(|| dense(rng, program.dtype, shape)));
    }
    out
}

/// An isometry without roundings: every column has one entry, a unit, in a row of its own.
fn isometry(rng: &mut Rng, dtype: DType, s: &Structure, ranks: usize) -> Dense {
    let mut out = Dense::zeros(vec![2; ranks]);
    let mut rows: Vec<Vec<u64>> = vec![];
    for_each_index(&vec![2; s.to.len()], |at| rows.push(at.to_vec()));
    for_each_index(&vec![2; s.from.len()], |column| {
        let row = rows.swap_remove(rng.below(rows.len()));
        let mut index = vec![0; ranks];
        s.from.iter().zip(column).chain(s.to.iter().zip(&row)).for_each(|(&k, &i)| index[k as usize] = i);
        let unit = [1.0, -1.0][rng.below(2)];
        let turned = dtype.is_complex() && rng.one_in(2);
        out.data[flat(&index, &[2; 4][..ranks])] =
            if turned { Complex64::new(0.0, unit) } else { Complex64::new(unit, 0.0) };
    });
    out
}

#[test]
fn isometries() {
    let slips = [
        "an isometry cancels from either side",
        "any tensor of as many legs cancels",
        "an isometry cancels with itself",
        "an open leg is summed",
        "a third factor may carry a leg",
        "a trace is one",
    ];
    assert_sound(&slips, |seed| {
        let mut rng = Rng(seed);
        let dtype = if rng.one_in(2) { DType::F64 } else { DType::C128 };
        let mut b = ProgramBuilder::new("isometries", dtype);
        let square = rng.one_in(2);
        let from = if square { 2 } else { 1 };
        let index = |b: &mut ProgramBuilder, name: &str, n: usize| -> Vec<IndexId> {
            (0..n).map(|k| b.index(&format!("{name}{k}"), 2)).collect()
        };
        let (p, q) = (index(&mut b, "p", from), index(&mut b, "q", from));
        let (c, d) = (index(&mut b, "c", 2), index(&mut b, "d", 2));
        let legs: Vec<IndexId> = p.iter().chain(&c).copied().collect();
        let mut structure = Structure {
            from: (0..from as u32).collect(),
            to: (from as u32..from as u32 + 2).collect(),
            unitary: square && rng.one_in(2),
        };
        if square && rng.one_in(2) {
            std::mem::swap(&mut structure.from, &mut structure.to);
        }
        let isometries: Vec<NodeId> = ["w", "v"].map(|name| b.param(name, &legs)).to_vec();
        // both join their first legs or their last; now and then both or none
        let (mut front, mut back) = ([&p, &q], [&c, &c]);
        if rng.one_in(2) {
            (front, back) = ([&p, &p], [&c, &d]);
        }
        if rng.one_in(6) {
            (front[1], back[1]) = if rng.one_in(2) { (&p, &c) } else { (&q, &d) };
        }
        let conj = rng.one_in(2);
        let other = (isometries[usize::from(rng.one_in(5))], if rng.one_in(5) { conj } else { !conj });
        let factors = [(isometries[0], conj), other];
        let mut operands: Vec<Operand> = (0..2)
            .map(|k| Operand {
                node: factors[k].0,
                indices: [&front[k][..], &back[k][..]].concat(),
                conj: factors[k].1,
            })
            .collect();
        let mut around = [&p[..], &q, &d].concat();
        around.extend(some(&mut rng, &c, 1));
        for k in 0..1 + rng.below(2) {
            let indices = some(&mut rng, &around, 3);
            let node = b.param(&format!("h{k}"), &legs[..indices.len()]);
            operands.push(Operand { node, indices, conj: false });
        }
        let mut program = output(b, &mut rng, operands);
        for k in 0..2 {
            program.leaves[LeafId(k)].structure = Some(structure.clone());
        }
        let values = [0, 1].map(|_| isometry(&mut rng, dtype, &structure, legs.len()));
        let leaves = integers(&program, &mut rng, |l| values.get(l.0 as usize).cloned());
        let (agree, cancelled) = agrees(&program, leaves, &mut rng);
        (cancelled > 0).then_some(agree)
    });
}

/// Σ a·b over labels that are not in `out`, by definition.
fn product(x: (&Dense, &[u32], bool), y: (&Dense, &[u32], bool), out: &[u32]) -> Dense {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for (value, labels, _) in [x, y] {
        sizes.extend(labels.iter().copied().zip(value.shape.iter().copied()));
    }
    let mut result = Dense::zeros(out.iter().map(|l| sizes[l]).collect());
    let names: Vec<u32> = sizes.keys().copied().collect();
    let extents: Vec<u64> = sizes.values().copied().collect();
    for_each_index(&extents, |point| {
        let at = |labels: &[u32]| -> Vec<u64> {
            labels.iter().map(|l| point[names.iter().position(|n| n == l).unwrap()]).collect()
        };
        let one = |(value, labels, conj): (&Dense, &[u32], bool)| {
            let entry = value.get(&at(labels));
            if conj { entry.conj() } else { entry }
        };
        let place = flat(&at(out), &result.shape);
        result.data[place] += one(x) * one(y);
    });
    result
}

/// Contractions that are one node have one value.
#[test]
fn sharing() {
    let slips = [
        "it does not matter where axes meet",
        "the order of a result's axes does not matter",
        "conjugates are equal",
    ];
    assert_sound(&slips, |seed| {
        let mut rng = Rng(seed);
        let mut dag = Dag::default();
        dag.dtype = DType::C128;
        let size = 2 + rng.below(2) as u64;
        let mut values = vec![];
        let mut leaves: Vec<DagId> = vec![];
        for k in 0..2u32 {
            let dims = vec![Dim::Const(size); 2];
            let array = Array { name: format!("t{k}"), role: ArrayRole::Param, dims, source: k };
            let id = dag.arrays.push(array);
            leaves.push(dag.leaf(id));
            values.push(dense(&mut rng, DType::C128, vec![size; 2]));
        }
        // the names of labels say nothing
        let mut one = |[i, j, k]: [u32; 3], seed: u64| {
            let rng = &mut Rng(seed);
            let [a, b] = [(0, rng.one_in(3)), (rng.below(2), rng.one_in(3))];
            let other = if rng.one_in(2) { [j, k] } else { [k, j] };
            let (labels, out) = ([i, j], if rng.one_in(2) { [i, k] } else { [k, i] });
            let labelled = |(k, conj): (usize, bool), labels: &[u32]| Labelled {
                node: leaves[k],
                labels: labels.to_vec(),
                conj,
            };
            let node = dag.einsum2(labelled(a, &labels), labelled(b, &other), &out);
            let value = product((&values[a.0], &labels, a.1), (&values[b.0], &other, b.1), &out);
            (node, value)
        };
        let first = one([0, 1, 2], seed);
        let second = one([7, 5, 4], if rng.one_in(4) { seed } else { seed + 1 + rng.bits() % 400 });
        (first.0 == second.0).then(|| first.1 == second.1)
    });
}
