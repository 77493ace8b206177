//! Random small programs, leaves and trees, for tests of passes. Deterministic in the seed.

use crate::build::ProgramBuilder;
use crate::dtype::DType;
use crate::eval::Dense;
use crate::program::*;
use crate::region::{Region, RegionTree};
use crate::scalar::{ScalarBuilder, ScalarFn, ScalarOp};
use num_complex::Complex64;
use std::collections::HashMap;

/// SplitMix64 (Steele, Lea, Flood, 2014).
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Below `n` (which is at least 1).
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }
    /// True with probability 1/n.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    /// On [-1, 1), away from zero by 0.1.
    pub fn real(&mut self) -> f64 {
        let x = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        if self.one_in(2) { 0.1 + 0.9 * x } else { -0.1 - 0.9 * x }
    }
    /// A number of that element type.
    pub fn number(&mut self, dtype: DType) -> Complex64 {
        let re = self.real();
        Complex64::new(re, if dtype.is_complex() { self.real() } else { 0.0 })
    }
    /// One element.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What a random program may hold.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Element type.
    pub dtype: DType,
    /// Maps, selections, stacks, …; otherwise contractions and sums only.
    pub nonlinear: bool,
    /// An index whose size is known at run time (hint 3).
    pub dynamic: bool,
    /// Order-0 outputs may be `log`.
    pub logs: bool,
    /// Number of nodes above the leaves.
    pub steps: usize,
}

/// Largest tensor and largest loop of a contraction.
const MAX_ENTRIES: u64 = 100;
const MAX_LOOP: u64 = 3000;

/// A random valid program.
pub fn program(rng: &mut Rng, shape: Shape) -> Program {
    let mut b = ProgramBuilder::new("fuzz", shape.dtype);
    let mut pool: Vec<IndexId> = (0..14).map(|k| b.index(&format!("i{k}"), [1, 2, 2, 3][k % 4])).collect();
    if shape.dynamic {
        let s = b.symbol("n", 3);
        pool.extend((0..3).map(|k| b.dyn_index(&format!("n{k}"), s)));
    }
    let mut made: Vec<NodeId> = vec![];
    for k in 0..2 + rng.below(3) {
        let legs = distinct(rng, &pool, 3, &b.program);
        made.push(if rng.one_in(2) {
            b.param(&format!("w[{k}]"), &legs)
        } else {
            b.input(&format!("x[{k}]"), &legs)
        });
    }
    let small: Vec<IndexId> =
        pool.iter().copied().filter(|&i| b.program.indices[i].size.dynamic.is_none()).collect();
    if shape.nonlinear {
        made.push(b.param("scalar", &[]));
        let three = small.iter().copied().find(|&i| b.program.indices[i].size.value == 3);
        if let Some(i) = three {
            let same: Vec<IndexId> =
                small.iter().copied().filter(|&j| b.program.indices[j].size.value == 3).collect();
            made.push(b.constant("delta", ConstValue::Delta, &same[..3.min(same.len())]));
            made.push(b.constant("eye", ConstValue::Identity, &same[..2]));
            made.push(b.constant("ones", ConstValue::Ones, &[i]));
        }
    }
    let leaves = made.len();
    for _ in 0..shape.steps {
        let kinds = if shape.nonlinear { 10 } else { 6 };
        let node = match rng.below(kinds) {
            0..=3 => contract(rng, &mut b, &made, &pool),
            4 | 5 => add(rng, &mut b, &made, &pool),
            6 => select(rng, &mut b, &made),
            7 => map(rng, &mut b, &made),
            8 => stack(rng, &mut b, &made, &small),
            _ => view(rng, &mut b, &made, &small),
        };
        made.extend(node);
    }
    let last = made[leaves..].iter().rev().take(3).copied().collect::<Vec<_>>();
    for (k, node) in last.into_iter().enumerate() {
        let scalar = b.program.nodes[node].legs.is_empty();
        b.output(&format!("y{k}"), node, shape.logs && scalar);
    }
    if shape.logs {
        // a closed network whose order-0 result is surely there
        let node = made[rng.below(leaves)];
        let legs = b.program.nodes[node].legs.clone();
        let extra = b.param("extra", &legs);
        let z = b.contract(&[], &[(node, &legs), (extra, &legs), (extra, &legs)]);
        b.output("z", z, true);
    }
    b.finish()
}

fn size(p: &Program, i: IndexId) -> u64 {
    p.indices[i].size.value
}

fn entries(p: &Program, legs: &[IndexId]) -> u64 {
    legs.iter().map(|&i| size(p, i)).product()
}

fn distinct(rng: &mut Rng, pool: &[IndexId], most: usize, p: &Program) -> Vec<IndexId> {
    let mut legs: Vec<IndexId> = vec![];
    for _ in 0..rng.below(most + 1) {
        let i = rng.pick(pool);
        if !legs.contains(&i) && entries(p, &legs) * size(p, i) <= MAX_ENTRIES {
            legs.push(i);
        }
    }
    legs
}

fn same_size(p: &Program, a: IndexId, b: IndexId) -> bool {
    p.indices[a].size == p.indices[b].size
}

fn bind(rng: &mut Rng, p: &Program, node: NodeId, pool: &[IndexId]) -> Option<Vec<IndexId>> {
    let legs = p.nodes[node].legs.clone();
    legs.iter()
        .map(|&l| {
            let fit: Vec<IndexId> = pool.iter().copied().filter(|&i| same_size(p, i, l)).collect();
            if fit.is_empty() { None } else { Some(rng.pick(&fit)) }
        })
        .collect()
}

fn contract(rng: &mut Rng, b: &mut ProgramBuilder, made: &[NodeId], pool: &[IndexId]) -> Option<NodeId> {
    let mut operands: Vec<Operand> = vec![];
    let mut all: Vec<IndexId> = vec![];
    for _ in 0..1 + rng.below(4) {
        let node = if rng.one_in(2) { made[made.len() - 1] } else { rng.pick(made) };
        let indices = bind(rng, &b.program, node, pool)?;
        let mut more = all.clone();
        more.extend(indices.iter().filter(|i| !all.contains(i)));
        more.sort();
        more.dedup();
        if entries(&b.program, &more) <= MAX_LOOP {
            all = more;
            operands.push(Operand { node, indices, conj: rng.one_in(3) });
        }
    }
    let mut legs: Vec<IndexId> = vec![];
    while legs.len() < 4 && !all.is_empty() && !rng.one_in(4) {
        let i = all.swap_remove(rng.below(all.len()));
        if entries(&b.program, &legs) * size(&b.program, i) <= MAX_ENTRIES {
            legs.push(i);
        }
    }
    let scale = if rng.one_in(3) { rng.number(b.program.dtype) } else { Complex64::new(1.0, 0.0) };
    Some(b.node(Node::Contract { scale, operands }, &legs))
}

fn add(rng: &mut Rng, b: &mut ProgramBuilder, made: &[NodeId], pool: &[IndexId]) -> Option<NodeId> {
    let first = made[made.len() - 1 - rng.below(3.min(made.len()))];
    let mut bound = bind(rng, &b.program, first, pool)?;
    bound.dedup();
    let mut legs = bound.clone();
    legs.sort();
    legs.dedup();
    if legs.len() != b.program.nodes[first].legs.len() {
        return None;
    }
    for k in (1..legs.len()).rev() {
        legs.swap(k, rng.below(k + 1));
    }
    let dtype = b.program.dtype;
    let mut terms = vec![(rng.number(dtype), Operand { node: first, indices: bound, conj: rng.one_in(3) })];
    for _ in 0..rng.below(3) {
        let node = rng.pick(made);
        if let Some(indices) = bind(rng, &b.program, node, &legs) {
            terms.push((rng.number(dtype), Operand { node, indices, conj: rng.one_in(3) }));
        }
    }
    Some(b.node(Node::Add { terms }, &legs))
}

fn select(rng: &mut Rng, b: &mut ProgramBuilder, made: &[NodeId]) -> Option<NodeId> {
    let arg = made[made.len() - 1 - rng.below(3.min(made.len()))];
    let mut legs = b.program.nodes[arg].legs.clone();
    if legs.is_empty() {
        return None;
    }
    let axis = rng.below(legs.len());
    let i = legs.remove(axis);
    // a run-time size may turn out smaller than its hint
    let at =
        if b.program.indices[i].size.dynamic.is_some() { 0 } else { rng.below(size(&b.program, i) as usize) };
    Some(b.node(Node::Select { arg, axis: axis as u32, at: at as u64 }, &legs))
}

fn map(rng: &mut Rng, b: &mut ProgramBuilder, made: &[NodeId]) -> Option<NodeId> {
    let arg = made[made.len() - 1 - rng.below(3.min(made.len()))];
    let legs = b.program.nodes[arg].legs.clone();
    let is_vector = |&&n: &&NodeId| {
        let l = &b.program.nodes[n].legs;
        l.len() == 1 && size(&b.program, l[0]) == 3 && b.program.indices[l[0]].size.dynamic.is_none()
    };
    let scalars: Vec<NodeId> = made.iter().copied().filter(|&n| b.program.nodes[n].legs.is_empty()).collect();
    let vectors: Vec<NodeId> = made.iter().filter(is_vector).copied().collect();
    let unary = |op: fn(u32) -> ScalarOp| {
        let mut s = ScalarBuilder::new();
        let x = s.push(ScalarOp::Arg(0));
        let y = s.push(op(x));
        s.finish(1, y)
    };
    let mut params: Vec<MapParam> = vec![];
    let mut nodes = vec![];
    let complex = b.program.dtype.is_complex();
    let body: ScalarFn = match rng.below(if complex { 4 } else { 6 }) {
        0 => unary(ScalarOp::Sin),
        1 => unary(|x| ScalarOp::Mul(x, x)),
        2 if !scalars.is_empty() => {
            // sin(p·x) + p
            nodes.push(rng.pick(&scalars));
            params.push(MapParam { name: "p".into(), len: None, init: vec![1.0] });
            let mut s = ScalarBuilder::new();
            let (x, p) = (s.push(ScalarOp::Arg(0)), s.push(ScalarOp::Arg(1)));
            let y = s.push(ScalarOp::Mul(p, x));
            let y = s.push(ScalarOp::Sin(y));
            let y = s.push(ScalarOp::Add(y, p));
            s.finish(2, y)
        }
        3 if !vectors.is_empty() => {
            // (c0 + c1 x) cos(c2)
            nodes.push(rng.pick(&vectors));
            params.push(MapParam { name: "c".into(), len: Some(3), init: vec![1.0; 3] });
            let mut s = ScalarBuilder::new();
            let a: Vec<u32> = (0..4).map(|k| s.push(ScalarOp::Arg(k))).collect();
            let y = s.push(ScalarOp::Mul(a[2], a[0]));
            let y = s.push(ScalarOp::Add(y, a[1]));
            let c = s.push(ScalarOp::Cos(a[3]));
            let y = s.push(ScalarOp::Mul(y, c));
            s.finish(4, y)
        }
        4 => unary(ScalarOp::Tanh),
        _ => unary(ScalarOp::Cos),
    };
    let map = b.program.maps.push(MapDef { name: "f".into(), params, body });
    Some(b.node(Node::Map { map, arg, params: nodes }, &legs))
}

fn stack(rng: &mut Rng, b: &mut ProgramBuilder, made: &[NodeId], pool: &[IndexId]) -> Option<NodeId> {
    let first = made[made.len() - 1];
    let legs = b.program.nodes[first].legs.clone();
    let like = |&&n: &&NodeId| {
        let other = &b.program.nodes[n].legs;
        other.len() == legs.len() && other.iter().zip(&legs).all(|(&x, &y)| same_size(&b.program, x, y))
    };
    let alike: Vec<NodeId> = made.iter().filter(like).copied().collect();
    let free: Vec<IndexId> = pool.iter().copied().filter(|i| !legs.contains(i)).collect();
    let lead = rng.pick(&free);
    if entries(&b.program, &legs) * size(&b.program, lead) > MAX_ENTRIES {
        return None;
    }
    let parts = (0..size(&b.program, lead)).map(|_| rng.pick(&alike)).collect();
    let all: Vec<IndexId> = std::iter::once(lead).chain(legs).collect();
    Some(b.node(Node::Stack { parts }, &all))
}

fn view(rng: &mut Rng, b: &mut ProgramBuilder, made: &[NodeId], pool: &[IndexId]) -> Option<NodeId> {
    let arg = made[made.len() - 1];
    let from = b.program.nodes[arg].legs.clone();
    if rng.one_in(2) {
        return Some(b.node(Node::Pin { arg }, &from));
    }
    if from.iter().any(|&i| b.program.indices[i].size.dynamic.is_some()) {
        return None;
    }
    let legs = distinct(rng, pool, 3, &b.program);
    (entries(&b.program, &legs) <= entries(&b.program, &from)).then(|| b.node(Node::Unpad { arg }, &legs))
}

/// Random entries for every param and input. `dynamic` is the length of axes known at run time.
pub fn leaves(rng: &mut Rng, program: &Program, dynamic: u64) -> HashMap<LeafId, Dense> {
    let mut out = HashMap::new();
    for (id, leaf) in program.leaves.enumerate() {
        if matches!(leaf.role, Role::Const(_)) {
            continue;
        }
        let length = |i: &IndexId| match program.indices[*i].size.dynamic {
            Some(_) => dynamic,
            None => size(program, *i),
        };
        let mut value = Dense::zeros(leaf.legs.iter().map(length).collect());
        value.data.iter_mut().for_each(|x| *x = rng.number(program.dtype));
        out.insert(id, value);
    }
    out
}

/// A random order of a region, with up to `slices` random sliced indices.
pub fn tree(rng: &mut Rng, region: &Region, slices: usize) -> RegionTree {
    let n = region.inputs.len();
    let mut left: Vec<u32> = (0..n as u32).collect();
    let mut ssa_path = vec![];
    while left.len() > 1 {
        let a = left.swap_remove(rng.below(left.len()));
        let b = left.swap_remove(rng.below(left.len()));
        left.push((n + ssa_path.len()) as u32);
        ssa_path.push((a, b));
    }
    let mut fixed: Vec<u32> =
        (0..region.sizes.len() as u32).filter(|&i| region.sizes[i as usize].dynamic.is_none()).collect();
    let mut sliced = vec![];
    for _ in 0..slices {
        if !fixed.is_empty() {
            sliced.push(fixed.swap_remove(rng.below(fixed.len())));
        }
    }
    RegionTree { ssa_path, remake: !sliced.is_empty() && rng.below(3) == 0, sliced, optimal: false }
}
