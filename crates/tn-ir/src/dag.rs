//! L3: binary, positional, hash-consed.
//!
//! A [`Dag`] has no index names: an [`Op::Einsum2`] says with small label lists which axes meet, labels numbered by first
//! occurrence in `a`, then `b`. So equal subcomputations are equal nodes up to renaming, and [`Dag::add`] shares them.
//! Forward results, cotangents and tangents live together in one dag as roots.
//!
//! **Loops.** A region with sliced indices is computed by a *nest*: a list of loop variables, outermost first. Inside it, [`Op::At`]
//! reads one slice of a value that was computed outside; [`Op::Collect`] leaves the nest: it sums over every loop variable that it
//! does not place, and puts the slices along `places` where they belong. `depth` of a node is the number of loop variables (a prefix of
//! its nest's) that its value depends on (or may be made to, by `inside`); 0 is outside. Transposition maps `At` to `Collect` and back, so adjoints of
//! sliced programs are programs of the same kind.
//!
//! **Meaning of each op** (all tensors row-major, shapes in `dims`):
//!
//! | op | value |
//! | --- | --- |
//! | `Leaf` | the array of that id |
//! | `Number` | an order-0 constant |
//! | `Einsum2` | Σ over labels not in `out` of a·b; every label of `out` occurs in `a` or `b`; no label twice in one list; a label that is summed occurs in both |
//! | `Einsum1` | labels of `a` not in `out` are summed, repeats in `a` read the diagonal; labels of `out` not in `a` repeat the value; repeats in `out` write the diagonal, zero elsewhere. Its transpose swaps the two lists |
//! | `Map` | the function of same-shaped (or order-0) arguments, entry by entry |
//! | `Add` | Σ coefficient · term, all of one shape |
//! | `Reshape` | the same row-major entries |
//! | `Slice` | `dims[axis]` entries from `start` |
//! | `Pad` | zero but for `a`, which stands from `before` |
//! | `Concat` | parts one after the other along `axis` |
//! | `At` | entry `var` along each named axis; these axes disappear. With `inside`, it and what is made of it belong to the innermost loop: recomputed in every round instead of kept |
//! | `Collect` | see above; `places` are (axis of the result, variable), in increasing order of axis |
//! | `MaxAbs` | order 0: the largest modulus, 1 if that is zero or not finite; its derivative is zero by decree (it only rescales) |

use crate::dtype::DType;
use crate::ids::Arena;
use crate::scalar::ScalarFn;
use crate::size::{Dim, Symbol, SymbolId};
use crate::span::Span;
use crate::typed_id;
use indexmap::IndexSet;
use num_complex::Complex64;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

typed_id!(
    /// A node of a dag.
    DagId
);
typed_id!(
    /// An array that is given: a program leaf, a cotangent or a tangent.
    ArrayId
);
typed_id!(
    /// A scalar function used by `Map` nodes.
    FnId
);
typed_id!(
    /// A loop variable.
    VarId
);
typed_id!(
    /// A nest of loops over slices.
    NestId
);

/// A complex number that can be hashed (by its bits).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Coef {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

impl Coef {
    /// One.
    pub const ONE: Coef = Coef { re: 1.0, im: 0.0 };
    /// As a number.
    pub fn value(self) -> Complex64 {
        Complex64::new(self.re, self.im)
    }
    /// Whether it is exactly one.
    pub fn is_one(self) -> bool {
        self == Coef::ONE
    }
}

impl From<Complex64> for Coef {
    fn from(c: Complex64) -> Coef {
        Coef { re: c.re, im: c.im }
    }
}

impl PartialEq for Coef {
    fn eq(&self, o: &Coef) -> bool {
        self.re.to_bits() == o.re.to_bits() && self.im.to_bits() == o.im.to_bits()
    }
}
impl Eq for Coef {}
impl std::hash::Hash for Coef {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.re.to_bits().hash(h);
        self.im.to_bits().hash(h);
    }
}

/// What a node computes; see the module's table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Op {
    Leaf(ArrayId),
    Number(Coef),
    Einsum2 {
        a: DagId,
        b: DagId,
        a_labels: Vec<u32>,
        b_labels: Vec<u32>,
        out_labels: Vec<u32>,
        conj_a: bool,
        conj_b: bool,
    },
    Einsum1 {
        a: DagId,
        a_labels: Vec<u32>,
        out_labels: Vec<u32>,
        conj: bool,
    },
    Map {
        f: FnId,
        args: Vec<DagId>,
    },
    Add {
        terms: Vec<(Coef, DagId)>,
    },
    Reshape {
        a: DagId,
    },
    Slice {
        a: DagId,
        axis: u32,
        start: u64,
    },
    Pad {
        a: DagId,
        axis: u32,
        before: u64,
    },
    Concat {
        axis: u32,
        parts: Vec<DagId>,
    },
    At {
        a: DagId,
        picks: Vec<(u32, VarId)>,
        /// Computed anew in every round of all loops of this nest, whatever it depends on.
        inside: Option<NestId>,
    },
    Collect {
        a: DagId,
        nest: NestId,
        places: Vec<(u32, VarId)>,
    },
    MaxAbs {
        a: DagId,
    },
}

/// A node: what it computes and the lengths of its axes. Both take part in hash-consing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DagNode {
    /// What it computes.
    pub op: Op,
    /// Axis lengths.
    pub dims: Vec<Dim>,
}

/// Side table: facts about a node that follow from it or tell where it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The nest it is computed in; none outside all loops.
    pub nest: Option<NestId>,
    /// How many of the nest's variables (a prefix) its value depends on.
    pub depth: u32,
    /// The source text that it came from first.
    pub span: Span,
    /// Made by differentiation.
    pub adjoint: bool,
}

/// Who gives an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArrayRole {
    /// Trainable leaf.
    Param,
    /// Run-time input.
    Input,
    /// Compile-time constant (its value is in the program's leaf of the same name).
    Const,
    /// `ct.<output>`.
    Cotangent,
    /// `tan.<leaf>`.
    Tangent,
}

/// A given array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// `psi.core[3]`, `ct.z`, `tan.psi.core[3]`.
    pub name: String,
    /// Who gives it.
    pub role: ArrayRole,
    /// Axis lengths (unfolded legs).
    pub dims: Vec<Dim>,
    /// Position among the program's leaves, or outputs for a cotangent.
    pub source: u32,
}

/// A nest of loops over sliced indices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nest {
    /// Variables, outermost first.
    pub vars: Vec<VarId>,
}

/// A loop variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Var {
    /// The sliced index's name.
    pub name: String,
    /// It runs over 0..trip.
    pub trip: Dim,
    /// Its nest.
    pub nest: NestId,
}

/// A named result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Output name, `grad.<leaf>`, or `jvp.<output>`.
    pub name: String,
    /// Which kind.
    pub kind: RootKind,
    /// Its value; never inside a nest.
    pub node: DagId,
    /// Position among the program's outputs (Output, Jvp), or leaves (Grad). For a `log` output, `.phase` and `.log` share it.
    pub source: u32,
}

/// What a root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RootKind {
    /// A result of the network.
    Output,
    /// The gradient of a leaf.
    Grad,
    /// The tangent of an output.
    Jvp,
}

/// A hash-consed dag. Nodes are in topological order: arguments come before their users.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Dag {
    /// Element type.
    pub dtype: DType,
    /// Symbols of the dims (those of the program; only `dyn` ones occur).
    pub symbols: Arena<SymbolId, Symbol>,
    /// Given arrays.
    pub arrays: Arena<ArrayId, Array>,
    /// Scalar functions.
    pub fns: Vec<ScalarFn>,
    /// What some functions are called where they were written, by their position. Only for people: equal functions are one, whatever their names.
    #[serde(default)]
    pub fn_names: BTreeMap<u32, String>,
    /// Loop variables.
    pub vars: Arena<VarId, Var>,
    /// Nests.
    pub nests: Arena<NestId, Nest>,
    /// What is computed.
    pub roots: Vec<Root>,
    /// Row-major entries of constant arrays that are no leaves of the program, by the array's number: what was folded.
    #[serde(default)]
    pub constants: BTreeMap<u32, Vec<Complex64>>,
    nodes: IndexSet<DagNode, FxBuildHasher>,
    info: Vec<NodeInfo>,
    /// New nodes get this span.
    pub current_span: Span,
    /// New nodes are marked as made by differentiation.
    pub in_adjoint: bool,
}

impl Dag {
    /// Adds a node or finds the equal one. `dims` are the axis lengths of the result; see [`crate::dag`] for the ops. The
    /// builder methods of `dag_build` compute them. Arguments must be nodes of this dag; mixing two nests in one node is a bug.
    pub fn add(&mut self, op: Op, dims: Vec<Dim>) -> DagId {
        let (nest, depth) = self.place_of(&op);
        let (index, new) = self.nodes.insert_full(DagNode { op, dims });
        if new {
            self.info.push(NodeInfo { nest, depth, span: self.current_span, adjoint: self.in_adjoint });
        }
        DagId(index as u32)
    }

    fn place_of(&self, op: &Op) -> (Option<NestId>, u32) {
        if let Op::Collect { .. } = op {
            return (None, 0);
        }
        let (mut nest, mut depth) = (None, 0);
        for a in op.args() {
            let info = &self.info[a.0 as usize];
            if info.depth > 0 {
                debug_assert!(nest.is_none() || nest == info.nest, "one node in two nests");
                nest = info.nest;
                depth = depth.max(info.depth);
            }
        }
        if let Op::At { inside: Some(n), .. } = op {
            debug_assert!(nest.is_none() || nest == Some(*n), "one node in two nests");
            return (Some(*n), self.nests[*n].vars.len() as u32);
        }
        if let Op::At { picks, .. } = op {
            for &(_, v) in picks {
                let n = self.vars[v].nest;
                debug_assert!(nest.is_none() || nest == Some(n), "one node in two nests");
                nest = Some(n);
                let position = self.nests[n].vars.iter().position(|&w| w == v).unwrap_or(0) as u32;
                depth = depth.max(position + 1);
            }
        }
        (nest, depth)
    }

    /// A dag over the same arrays, functions and loops, without nodes and roots.
    pub fn emptied(&self) -> Dag {
        Dag {
            dtype: self.dtype,
            symbols: self.symbols.clone(),
            arrays: self.arrays.clone(),
            fns: self.fns.clone(),
            fn_names: self.fn_names.clone(),
            vars: self.vars.clone(),
            nests: self.nests.clone(),
            constants: self.constants.clone(),
            ..Dag::default()
        }
    }

    /// Adds a scalar function, or finds the equal one.
    pub fn add_fn(&mut self, f: ScalarFn) -> FnId {
        if let Some(i) = self.fns.iter().position(|g| *g == f) {
            return FnId(i as u32);
        }
        self.fns.push(f);
        FnId(self.fns.len() as u32 - 1)
    }

    /// Remembers how a function was written; the first name counts.
    pub fn name_fn(&mut self, f: &ScalarFn, name: &str) {
        if let Some(i) = self.fns.iter().position(|g| g == f) {
            self.fn_names.entry(i as u32).or_insert_with(|| name.to_string());
        }
    }
    /// The name of a function for people: as it was written, or `f<number>`.
    pub fn fn_name(&self, f: FnId) -> String {
        self.fn_names.get(&f.0).cloned().unwrap_or_else(|| format!("f{}", f.0))
    }

    /// A new nest with one variable a trip, outermost first.
    pub fn add_nest(&mut self, trips: Vec<(String, Dim)>) -> NestId {
        let nest = NestId(self.nests.len() as u32);
        let vars = trips.into_iter().map(|(name, trip)| self.vars.push(Var { name, trip, nest })).collect();
        self.nests.push(Nest { vars })
    }

    /// Whether the rounds of a [`Op::Collect`] add to what is there, so that it begins at zero: some loop is summed, or a slice stands on a
    /// diagonal, which leaves the rest zero. Otherwise they fill the result, each its own part.
    pub fn accumulates(&self, nest: NestId, places: &[(u32, VarId)]) -> bool {
        let times = |v: VarId| places.iter().filter(|p| p.1 == v).count();
        self.nests[nest].vars.iter().any(|&v| times(v) != 1)
    }

    /// The number of nodes.
    #[inline]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
    /// What a node computes.
    #[inline]
    pub fn op(&self, id: DagId) -> &Op {
        &self.nodes[id.0 as usize].op
    }
    /// Axis lengths of a node.
    #[inline]
    pub fn dims(&self, id: DagId) -> &[Dim] {
        &self.nodes[id.0 as usize].dims
    }
    /// The node.
    pub fn node(&self, id: DagId) -> &DagNode {
        &self.nodes[id.0 as usize]
    }
    /// The side table's entry.
    #[inline]
    pub fn info(&self, id: DagId) -> &NodeInfo {
        &self.info[id.0 as usize]
    }
    /// All ids, arguments before users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = DagId> + ExactSizeIterator + use<> {
        (0..self.nodes.len() as u32).map(DagId)
    }
}

impl Op {
    /// The nodes it reads, in order.
    pub fn args(&self) -> Vec<DagId> {
        match self {
            Op::Leaf(_) | Op::Number(_) => vec![],
            Op::Einsum2 { a, b, .. } => vec![*a, *b],
            Op::Einsum1 { a, .. }
            | Op::Reshape { a }
            | Op::Slice { a, .. }
            | Op::Pad { a, .. }
            | Op::At { a, .. }
            | Op::Collect { a, .. }
            | Op::MaxAbs { a } => vec![*a],
            Op::Map { args, .. } => args.clone(),
            Op::Add { terms } => terms.iter().map(|&(_, t)| t).collect(),
            Op::Concat { parts, .. } => parts.clone(),
        }
    }
    /// The same operation on other nodes, asked for in the order of [`Op::args`].
    pub fn with_args(self, mut f: impl FnMut(DagId) -> DagId) -> Op {
        match self {
            Op::Leaf(_) | Op::Number(_) => self,
            Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b } => {
                let (a, b) = (f(a), f(b));
                Op::Einsum2 { a, b, a_labels, b_labels, out_labels, conj_a, conj_b }
            }
            Op::Einsum1 { a, a_labels, out_labels, conj } => {
                Op::Einsum1 { a: f(a), a_labels, out_labels, conj }
            }
            Op::Map { f: function, args } => Op::Map { f: function, args: args.into_iter().map(f).collect() },
            Op::Add { terms } => Op::Add { terms: terms.into_iter().map(|(c, t)| (c, f(t))).collect() },
            Op::Reshape { a } => Op::Reshape { a: f(a) },
            Op::Slice { a, axis, start } => Op::Slice { a: f(a), axis, start },
            Op::Pad { a, axis, before } => Op::Pad { a: f(a), axis, before },
            Op::Concat { axis, parts } => Op::Concat { axis, parts: parts.into_iter().map(f).collect() },
            Op::At { a, picks, inside } => Op::At { a: f(a), picks, inside },
            Op::Collect { a, nest, places } => Op::Collect { a: f(a), nest, places },
            Op::MaxAbs { a } => Op::MaxAbs { a: f(a) },
        }
    }
}
