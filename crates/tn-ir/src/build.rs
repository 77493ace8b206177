//! Programs made by hand: what tests and small front ends (an einsum string, a JSON instance) need.
//!
//! The builder does not check what it is given; [`crate::program`] states what must hold.

use crate::dtype::DType;
use crate::program::*;
use crate::scalar::ScalarFn;
use crate::size::{Poly, Size, Symbol, SymbolId, SymbolKind};
use crate::span::Span;
use num_complex::Complex64;

/// Appends indices, leaves and nodes to a program.
#[derive(Clone, Debug, Default)]
pub struct ProgramBuilder {
    /// What has been built so far.
    pub program: Program,
}

impl ProgramBuilder {
    /// An empty program.
    pub fn new(name: &str, dtype: DType) -> ProgramBuilder {
        ProgramBuilder { program: Program { name: name.into(), dtype, ..Program::default() } }
    }

    /// An index of a fixed size.
    pub fn index(&mut self, name: &str, size: u64) -> IndexId {
        self.program.indices.push(IndexDef { name: name.into(), size: Size::fixed(size) })
    }

    /// A size that is known at run time.
    pub fn symbol(&mut self, name: &str, hint: u64) -> SymbolId {
        self.program.symbols.push(Symbol { name: name.into(), kind: SymbolKind::Dyn { hint, max: None } })
    }

    /// An index whose size is that symbol.
    pub fn dyn_index(&mut self, name: &str, symbol: SymbolId) -> IndexId {
        let value = self.program.symbols[symbol].value() as u64;
        let size = Size { value, poly: Poly::symbol(symbol), dynamic: Some(symbol) };
        self.program.indices.push(IndexDef { name: name.into(), size })
    }

    /// Any node.
    pub fn node(&mut self, node: Node, legs: &[IndexId]) -> NodeId {
        let name = format!("t{}", self.program.nodes.len());
        self.program.nodes.push(NodeData { node, legs: legs.to_vec(), name, span: Span::default() })
    }

    /// A leaf of any role and its node.
    pub fn leaf(&mut self, name: &str, role: Role, legs: &[IndexId]) -> NodeId {
        let axes =
            legs.iter().map(|&i| FoldAxis { label: self.program.indices[i].name.clone(), legs: 1 }).collect();
        let leaf = Leaf {
            name: name.into(),
            role,
            legs: legs.to_vec(),
            axes,
            init: None,
            structure: None,
            span: Span::default(),
        };
        let id = self.program.leaves.push(leaf);
        self.node(Node::Leaf(id), legs)
    }

    /// A trainable leaf.
    pub fn param(&mut self, name: &str, legs: &[IndexId]) -> NodeId {
        self.leaf(name, Role::Param, legs)
    }

    /// A leaf given at run time.
    pub fn input(&mut self, name: &str, legs: &[IndexId]) -> NodeId {
        self.leaf(name, Role::Input, legs)
    }

    /// A constant leaf.
    pub fn constant(&mut self, name: &str, value: ConstValue, legs: &[IndexId]) -> NodeId {
        self.leaf(name, Role::Const(value), legs)
    }

    /// The contraction of the operands; indices that are not in `legs` are summed.
    pub fn contract(&mut self, legs: &[IndexId], operands: &[(NodeId, &[IndexId])]) -> NodeId {
        let operands = operands.iter().map(|&(n, i)| operand(n, i)).collect();
        self.node(Node::Contract { scale: Complex64::new(1.0, 0.0), operands }, legs)
    }

    /// Σ coefficient · term.
    pub fn add(&mut self, legs: &[IndexId], terms: &[(f64, NodeId, &[IndexId])]) -> NodeId {
        let terms = terms.iter().map(|&(c, n, i)| (Complex64::new(c, 0.0), operand(n, i))).collect();
        self.node(Node::Add { terms }, legs)
    }

    /// A function without parameters, entry by entry.
    pub fn map(&mut self, name: &str, body: ScalarFn, arg: NodeId) -> NodeId {
        let map = self.program.maps.push(MapDef { name: name.into(), params: vec![], body });
        let legs = self.program.nodes[arg].legs.clone();
        self.node(Node::Map { map, arg, params: vec![] }, &legs)
    }

    /// A result.
    pub fn output(&mut self, name: &str, node: NodeId, log: bool) {
        let axes = self.program.nodes[node].legs.iter();
        let axes = axes.map(|&i| FoldAxis { label: self.program.indices[i].name.clone(), legs: 1 }).collect();
        self.program.outputs.push(Output { name: name.into(), node, axes, log, span: Span::default() });
    }

    /// The program.
    pub fn finish(self) -> Program {
        self.program
    }
}

/// A use of a node without conjugation.
pub fn operand(node: NodeId, indices: &[IndexId]) -> Operand {
    Operand { node, indices: indices.to_vec(), conj: false }
}
