//! L1: a program, as elaboration leaves it.
//!
//! A [`Program`] is an SSA graph. A node has ordered legs (each an [`IndexId`], which gives size and name);
//! a *use* of a node ([`Operand`]) binds its legs by position to indices of the using node. Inside a
//! [`Node::Contract`] all operands share one naming scope: an index that is not in `output` is summed, any number of
//! operands may carry it (hyperedge), and one operand may carry it twice (diagonal).
//!
//! Nodes are in topological order: a node refers to earlier nodes only.

use crate::dtype::DType;
use crate::ids::Arena;
use crate::scalar::ScalarFn;
use crate::size::{Size, Symbol, SymbolId};
use crate::span::Span;
use crate::typed_id;
use num_complex::Complex64;
use serde::{Deserialize, Serialize};

typed_id!(
    /// An index: one edge or hyperedge of the network, or a leg of a definition.
    IndexId
);
typed_id!(
    /// A node of an L1 program.
    NodeId
);
typed_id!(
    /// A leaf tensor: parameter, input or constant.
    LeafId
);
typed_id!(
    /// An elementwise function.
    MapId
);

/// A whole network, elaborated.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Program {
    /// The network's name.
    pub name: String,
    /// Its `///` documentation.
    pub doc: String,
    /// Element type of every tensor.
    pub dtype: DType,
    /// Run-time sizes and network parameters.
    pub symbols: Arena<SymbolId, Symbol>,
    /// Indices.
    pub indices: Arena<IndexId, IndexDef>,
    /// Leaves, in declaration order, then family order: the flattened parameter order.
    pub leaves: Arena<LeafId, Leaf>,
    /// Elementwise functions.
    pub maps: Arena<MapId, MapDef>,
    /// The graph, in topological order.
    pub nodes: Arena<NodeId, NodeData>,
    /// What is computed.
    pub outputs: Vec<Output>,
    /// The topologies that the network's own body calls: what their parameters stand for, for reports.
    pub topologies: Vec<Topology>,
}

/// A call of a topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// Its path, `g` or `g[3]`: what the names of its leaves begin with.
    pub path: String,
    /// The legs of the tensor that it returned.
    pub legs: Vec<IndexId>,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDef {
    /// For people: `s[3]`, `b`.
    pub name: String,
    /// Its size.
    pub size: Size,
}

/// A leaf tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// Full name: its path, `psi.core[3]`.
    pub name: String,
    /// Parameter, input or constant.
    pub role: Role,
    /// Its legs, first slowest (row-major); an index may occur twice (it only gives the size).
    pub legs: Vec<IndexId>,
    /// The outside shape: each axis is a run of consecutive legs. Empty `axes` never happens: without folds, one axis a leg.
    pub axes: Vec<FoldAxis>,
    /// How `init` fills it (parameters only).
    pub init: Option<Init>,
    /// What the planner may rely on.
    pub structure: Option<Structure>,
    /// Declared where.
    pub span: Span,
}

/// One outside axis of a leaf or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldAxis {
    /// The label after `as`, or the index's name.
    pub label: String,
    /// How many consecutive legs it covers (0 gives an axis of size 1).
    pub legs: u32,
}

/// What a leaf is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Role {
    /// Trainable.
    Param,
    /// Given at run time.
    Input,
    /// Fixed at compile time.
    Const(ConstValue),
}

/// The value of a constant leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ConstValue {
    /// One where all legs are equal.
    Delta,
    /// First half of the legs outputs, second half inputs: one where they agree pairwise.
    Identity,
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Three legs (p, u, x): one where x = p·stride + u·dilation − pad.
    Window {
        /// Step of `p`.
        stride: i64,
        /// Padding of `x`.
        pad: i64,
        /// Step of `u`.
        dilation: i64,
    },
    /// Row-major entries.
    Dense(Vec<Complex64>),
}

impl ConstValue {
    /// The entry at `index` of a constant with these axis lengths.
    pub fn entry(&self, index: &[u64], dims: &[u64]) -> Complex64 {
        let one_if = |c: bool| Complex64::new(if c { 1.0 } else { 0.0 }, 0.0);
        match self {
            ConstValue::Delta => one_if(index.windows(2).all(|w| w[0] == w[1])),
            ConstValue::Identity => {
                let half = index.len() / 2;
                one_if((0..half).all(|k| index[k] == index[half + k]))
            }
            ConstValue::Zeros => one_if(false),
            ConstValue::Ones => one_if(true),
            ConstValue::Window { stride, pad, dilation } => {
                one_if(index[2] as i64 == index[0] as i64 * stride + index[1] as i64 * dilation - pad)
            }
            ConstValue::Dense(values) => {
                let flat = index.iter().zip(dims).fold(0u64, |f, (&i, &d)| f * d + i);
                values[flat as usize]
            }
        }
    }
}

/// How a parameter is filled at first. `he` and `xavier` are resolved to their standard deviation by elaboration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Init {
    /// Independent normal entries. In a complex network re and im each have standard deviation std/√2.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform on [low, high).
    Uniform {
        /// Low end.
        low: f64,
        /// High end.
        high: f64,
    },
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// These row-major entries (initial values of map scalars).
    Values(Vec<f64>),
    /// First half of the legs against the second: the identity, plus normal noise.
    Identity {
        /// Standard deviation of the noise.
        noise: f64,
    },
    /// A random isometry (or unitary) by the leaf's structure.
    Isometry,
}

/// What is known of a leaf: Σ over `to` of conj(w)·w is the identity on `from`; unitary also the other way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// Positions of the domain's legs.
    pub from: Vec<u32>,
    /// Positions of the codomain's legs.
    pub to: Vec<u32>,
    /// Both ways.
    pub unitary: bool,
}

/// An elementwise function with trainable scalars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapDef {
    /// As written.
    pub name: String,
    /// Its trainable scalars and vectors, in order. Argument 0 of `body` is x, then every scalar and every entry of every vector.
    pub params: Vec<MapParam>,
    /// What it computes.
    pub body: ScalarFn,
}

/// A trainable scalar (`len` None) or vector of a map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapParam {
    /// Its name.
    pub name: String,
    /// Number of entries of a vector.
    pub len: Option<u32>,
    /// Initial values.
    pub init: Vec<f64>,
}

/// A node with its legs and where it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeData {
    /// What it computes.
    pub node: Node,
    /// The ordered legs of the result: pairwise different indices.
    pub legs: Vec<IndexId>,
    /// The definition's name, for reports (may be empty).
    pub name: String,
    /// Written where.
    pub span: Span,
}

/// A use of a node: its legs bound by position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operand {
    /// The tensor.
    pub node: NodeId,
    /// One index a leg; sizes agree with the node's legs. Repeats mean the diagonal.
    pub indices: Vec<IndexId>,
    /// Complex conjugate.
    pub conj: bool,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// A leaf; legs by position. (Where a leaf's declaration repeats an index the node's legs are fresh ones.)
    Leaf(LeafId),
    /// `scale` × the contraction of all operands; indices not in the node's `legs` are summed. Every leg is carried by
    /// an operand. Without operands it is the number `scale`.
    Contract {
        /// Factor.
        scale: Complex64,
        /// Factors, in the order written.
        operands: Vec<Operand>,
    },
    /// The map applied entry by entry; same legs as `arg` (by position).
    Map {
        /// The function.
        map: MapId,
        /// x.
        arg: NodeId,
        /// One order-0 (scalar) or order-1 (vector) node a parameter of the map.
        params: Vec<NodeId>,
    },
    /// Σ coefficient × operand. An operand may lack legs of the result: it is constant along them. It has no others.
    Add {
        /// Terms, in the order written.
        terms: Vec<(Complex64, Operand)>,
    },
    /// Entry `at` along leg `axis` of `arg`, which disappears; the other legs follow in order.
    Select {
        /// From.
        arg: NodeId,
        /// Position of the leg.
        axis: u32,
        /// Entry.
        at: u64,
    },
    /// The leading entries of `arg` in row-major order, unfolded to the shape of this node's legs.
    Unpad {
        /// From.
        arg: NodeId,
    },
    /// Like-legged tensors along a new first leg.
    Stack {
        /// One for each entry of the new leg.
        parts: Vec<NodeId>,
    },
    /// The same tensor, kept in memory (`let materialize`).
    Pin {
        /// Of.
        arg: NodeId,
    },
}

/// A result of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The tensor; legs in the output's order.
    pub node: NodeId,
    /// The outside shape.
    pub axes: Vec<FoldAxis>,
    /// Give `name.phase` and `name.log` instead (order 0 or any shape entry by entry is not meant: the tensor has order 0).
    pub log: bool,
    /// Declared where.
    pub span: Span,
}

impl Program {
    /// The sizes of a node's legs at the planning values.
    pub fn shape(&self, node: NodeId) -> Vec<u64> {
        self.nodes[node].legs.iter().map(|&i| self.indices[i].size.value).collect()
    }
    /// The nodes that `node` uses, in order, repeats included.
    pub fn uses(&self, node: NodeId) -> Vec<NodeId> {
        match &self.nodes[node].node {
            Node::Leaf(_) => vec![],
            Node::Contract { operands, .. } => operands.iter().map(|o| o.node).collect(),
            Node::Map { arg, params, .. } => std::iter::once(*arg).chain(params.iter().copied()).collect(),
            Node::Add { terms } => terms.iter().map(|(_, o)| o.node).collect(),
            Node::Select { arg, .. } | Node::Unpad { arg } | Node::Pin { arg } => vec![*arg],
            Node::Stack { parts } => parts.clone(),
        }
    }
}
