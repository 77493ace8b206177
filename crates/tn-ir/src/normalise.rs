//! L1 → L1: what must happen before multilinear parts can be flattened.
//!
//! * A selected entry of a contraction is selected on its factors (`psi[0, …]` of a state too large to store).
//! * A sum too large to store that is a factor of a product is distributed: (A + B)·C becomes A·C + B·C. Sums that can be stored stay borders between
//!   regions, since one contraction with the stored sum is cheaper than one with each term.

use crate::definitions::{Definitions, MAX_FACTORS};
use crate::ids::Arena;
use crate::program::*;
use crate::size::Size;
use crate::span::Span;
use num_complex::Complex64;
use std::collections::HashMap;

/// A sum with more entries than this is distributed over the product that it stands in (2^26 entries: 256 MiB in f32).
pub const STORED_SUM_LIMIT: u128 = 1 << 26;
/// The most terms that distribution may make of one product.
pub const MAX_DISTRIBUTED_TERMS: usize = 10_000;

/// Why a program cannot be brought to normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// A product of large sums.
    Terms {
        /// The product.
        node: NodeId,
        /// How many terms it would have.
        terms: usize,
        /// Where it is written.
        span: Span,
    },
    /// Definitions that are seen through make products that are too long.
    Factors {
        /// The name of the largest.
        name: String,
        /// Where it is written.
        span: Span,
    },
}

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TooLong::Terms { terms, .. } => {
                write!(f, "a product of sums that cannot be stored would have {terms} terms")
            }
            TooLong::Factors { name, .. } => {
                write!(f, "the product `{name}` would have more than {MAX_FACTORS} factors")
            }
        }
    }
}
impl std::error::Error for TooLong {}

impl TooLong {
    /// Where the product is written.
    pub fn span(&self) -> Span {
        match self {
            TooLong::Terms { span, .. } | TooLong::Factors { span, .. } => *span,
        }
    }
}

/// The program with selections pushed to the factors and large sums distributed. Outputs, leaves and indices keep their ids.
pub fn normalise(source: &Program) -> Result<Program, TooLong> {
    let mut pass = Pass {
        out: Program { nodes: Arena::new(), outputs: vec![], ..source.clone() },
        moved: vec![],
        ones: HashMap::new(),
        selected: HashMap::new(),
    };
    for (id, data) in source.nodes.enumerate() {
        let node = pass.rewrite(source, id, data)?;
        pass.moved.push(node);
    }
    let outputs = source.outputs.iter().map(|o| Output { node: pass.moved[o.node.0 as usize], ..o.clone() });
    pass.out.outputs = outputs.collect();
    if let Some(node) = Definitions::of(&pass.out).excess() {
        let NodeData { name, span, .. } = &pass.out.nodes[node];
        return Err(TooLong::Factors { name: name.clone(), span: *span });
    }
    Ok(pass.out)
}

struct Pass {
    out: Program,
    /// New id of each old node.
    moved: Vec<NodeId>,
    /// The leaf of ones along an index of that size.
    ones: HashMap<Size, NodeId>,
    selected: HashMap<(NodeId, Vec<(u32, u64)>), NodeId>,
}

impl Pass {
    fn push(&mut self, node: Node, like: &NodeData, legs: Vec<IndexId>) -> NodeId {
        self.out.nodes.push(NodeData { node, legs, name: like.name.clone(), span: like.span })
    }

    fn moved_operand(&self, o: &Operand) -> Operand {
        Operand { node: self.moved[o.node.0 as usize], ..o.clone() }
    }

    fn rewrite(&mut self, source: &Program, id: NodeId, data: &NodeData) -> Result<NodeId, TooLong> {
        let at = |n: &NodeId, p: &Pass| p.moved[n.0 as usize];
        let node = match &data.node {
            Node::Leaf(l) => Node::Leaf(*l),
            Node::Contract { scale, operands } => {
                let operands: Vec<_> = operands.iter().map(|o| self.moved_operand(o)).collect();
                return self.contract(id, data, *scale, operands);
            }
            Node::Map { map, arg, params } => Node::Map {
                map: *map,
                arg: at(arg, self),
                params: params.iter().map(|p| at(p, self)).collect(),
            },
            Node::Add { terms } => {
                Node::Add { terms: terms.iter().map(|(c, o)| (*c, self.moved_operand(o))).collect() }
            }
            Node::Select { arg, axis, at: entry } => {
                let arg = at(arg, self);
                return Ok(self.select(arg, vec![(*axis, *entry)], data, &source.nodes[id].legs));
            }
            Node::Unpad { arg } => Node::Unpad { arg: at(arg, self) },
            Node::Stack { parts } => Node::Stack { parts: parts.iter().map(|p| at(p, self)).collect() },
            Node::Pin { arg } => Node::Pin { arg: at(arg, self) },
        };
        Ok(self.push(node, data, data.legs.clone()))
    }

    fn too_large(&self, node: NodeId) -> bool {
        let sizes = self.out.nodes[node].legs.iter().map(|&i| self.out.indices[i].size.value as u128);
        sizes.fold(1u128, |p, s| p.saturating_mul(s)) > STORED_SUM_LIMIT
    }

    fn contract(
        &mut self,
        id: NodeId,
        data: &NodeData,
        scale: Complex64,
        operands: Vec<Operand>,
    ) -> Result<NodeId, TooLong> {
        let is_large_sum = |p: &Pass, o: &Operand| {
            matches!(p.out.nodes[o.node].node, Node::Add { .. }) && p.too_large(o.node)
        };
        if !operands.iter().any(|o| is_large_sum(self, o)) {
            return Ok(self.push(Node::Contract { scale, operands }, data, data.legs.clone()));
        }
        // each partial product: its factor and its operands
        let mut products: Vec<(Complex64, Vec<Operand>)> = vec![(scale, vec![])];
        for o in &operands {
            let choices: Vec<(Complex64, Vec<Operand>)> = match &self.out.nodes[o.node].node {
                Node::Add { terms } if self.too_large(o.node) => {
                    let legs = &self.out.nodes[o.node].legs;
                    let bind = |i: &IndexId| legs.iter().position(|l| l == i).map(|k| o.indices[k]);
                    terms
                        .iter()
                        .map(|(c, t)| {
                            let indices = t.indices.iter().filter_map(bind).collect();
                            let c = if o.conj { c.conj() } else { *c };
                            (c, vec![Operand { node: t.node, indices, conj: t.conj != o.conj }])
                        })
                        .collect()
                }
                _ => vec![(Complex64::new(1.0, 0.0), vec![o.clone()])],
            };
            let count = products.len() * choices.len();
            if count > MAX_DISTRIBUTED_TERMS {
                return Err(TooLong::Terms { node: id, terms: count, span: data.span });
            }
            products = products
                .iter()
                .flat_map(|(c, p)| {
                    choices.iter().map(move |(d, q)| (c * d, [p.as_slice(), q.as_slice()].concat()))
                })
                .collect();
        }
        // an index that only a dropped leg carried still counts: ones along it
        let carried: Vec<IndexId> = operands.iter().flat_map(|o| o.indices.iter().copied()).collect();
        let mut terms = vec![];
        for (c, mut factors) in products {
            let mut missing: Vec<IndexId> = carried.clone();
            missing.retain(|i| !factors.iter().any(|f| f.indices.contains(i)));
            missing.sort();
            missing.dedup();
            for i in missing {
                let node = self.ones_along(i, data);
                factors.push(Operand { node, indices: vec![i], conj: false });
            }
            let node = self.push(Node::Contract { scale: c, operands: factors }, data, data.legs.clone());
            terms.push((Complex64::new(1.0, 0.0), Operand { node, indices: data.legs.clone(), conj: false }));
        }
        Ok(self.push(Node::Add { terms }, data, data.legs.clone()))
    }

    fn ones_along(&mut self, index: IndexId, like: &NodeData) -> NodeId {
        let def = self.out.indices[index].clone();
        if let Some(&n) = self.ones.get(&def.size) {
            return n;
        }
        let size = def.size.clone();
        let leg = self.out.indices.push(def);
        let leaf = self.out.leaves.push(Leaf {
            name: format!("ones.{}", self.ones.len()),
            role: Role::Const(ConstValue::Ones),
            legs: vec![leg],
            axes: vec![FoldAxis { label: "ones".into(), legs: 1 }],
            init: None,
            structure: None,
            span: like.span,
        });
        let node = self.push(Node::Leaf(leaf), like, vec![leg]);
        self.ones.insert(size, node);
        node
    }

    /// `arg` with entries fixed along some axes; the rest of the legs become `legs`.
    fn select(
        &mut self,
        arg: NodeId,
        mut fixed: Vec<(u32, u64)>,
        like: &NodeData,
        legs: &[IndexId],
    ) -> NodeId {
        fixed.sort();
        let picked = self.select_fresh(arg, fixed);
        // rename: the shared result has legs of its own
        let of = self.out.nodes[picked].legs.clone();
        if of == legs {
            return picked;
        }
        let operand = Operand { node: picked, indices: legs.to_vec(), conj: false };
        let through = Node::Contract { scale: Complex64::new(1.0, 0.0), operands: vec![operand] };
        self.push(through, like, legs.to_vec())
    }

    fn select_fresh(&mut self, arg: NodeId, fixed: Vec<(u32, u64)>) -> NodeId {
        if fixed.is_empty() {
            return arg;
        }
        if let Some(&n) = self.selected.get(&(arg, fixed.clone())) {
            return n;
        }
        let data = self.out.nodes[arg].clone();
        let value_at = |i: IndexId| {
            fixed.iter().find(|(a, _)| data.legs.get(*a as usize) == Some(&i)).map(|&(_, entry)| entry)
        };
        let kept: Vec<IndexId> = data.legs.iter().copied().filter(|&i| value_at(i).is_none()).collect();
        let restrict = |p: &mut Pass, o: &Operand| {
            let inner: Vec<(u32, u64)> = o
                .indices
                .iter()
                .enumerate()
                .filter_map(|(k, &i)| value_at(i).map(|v| (k as u32, v)))
                .collect();
            let indices = o.indices.iter().copied().filter(|&i| value_at(i).is_none()).collect();
            Operand { node: p.select_fresh(o.node, inner), indices, conj: o.conj }
        };
        let node = match &data.node {
            Node::Contract { scale, operands } => {
                let operands = operands.iter().map(|o| restrict(self, o)).collect();
                Node::Contract { scale: *scale, operands }
            }
            Node::Add { terms } => {
                Node::Add { terms: terms.iter().map(|(c, o)| (*c, restrict(self, o))).collect() }
            }
            _ => {
                // one axis at a time, from the last, so that positions stay right
                let mut node = arg;
                for &(axis, entry) in fixed.iter().rev() {
                    let mut legs = self.out.nodes[node].legs.clone();
                    legs.remove(axis as usize);
                    node = self.push(Node::Select { arg: node, axis, at: entry }, &data, legs);
                }
                self.selected.insert((arg, fixed), node);
                return node;
            }
        };
        let node = self.push(node, &data, kept);
        self.selected.insert((arg, fixed), node);
        node
    }
}
