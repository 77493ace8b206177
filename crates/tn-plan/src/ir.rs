//! L4: a plan: loops, steps and buffers. All that the executor and the printers of kernels see.
//!
//! A [`Plan`] has entries (`forward`, `forward_saving`, `vjp`, `jvp`), or several sets of them for different run-time sizes
//! ([`crate::regimes`]). An [`Entry`] owns a table of buffers and a body of
//! loops and steps. A [`Step`] is one loop nest over its `space`:
//!
//! ```text
//! for every value of the axes that are not `reduce`:
//!     acc = fold over the reduce axes of  body(load(ins[0]), load(ins[1]), …)      (Sum, or MaxAbs)
//!     out[offset + Σ index·stride]  =  acc   or  += acc                            (write)
//! ```
//!
//! An access is a buffer, an offset affine in the loop variables, and one stride for each axis of the space (0 where the operand
//! does not depend on it). So contraction, permutation, trace, diagonal, padding, sums and maps are all the same kind
//! of step, and what a step means never depends on how a backend schedules it. Offsets, strides and lengths are
//! in elements and are polynomials in the run-time sizes.

pub use crate::regimes::{Regime, Regimes, SizeRange};
use serde::{Deserialize, Serialize};
use tn_ir::dag::{ArrayRole, DagId, VarId};
use tn_ir::dtype::DType;
use tn_ir::ids::Arena;
use tn_ir::program::{FoldAxis, Init, Structure};
use tn_ir::scalar::ScalarFn;
use tn_ir::size::{Dim, Poly, Symbol, SymbolId};
use tn_ir::span::Span;
use tn_ir::{Complex64, typed_id};

typed_id!(
    /// A buffer of an entry.
    BufferId
);
typed_id!(
    /// A scalar function shared by a plan's steps.
    BodyId
);

/// The version of the serialised form of a plan with one schedule.
pub const PLAN_VERSION: u32 = 1;
/// The version of the serialised form of a plan with several: a program that does not know regimes must refuse it, as each schedule is within
/// the limits in its own range only. A plan of any other version is refused.
pub const REGIMES_VERSION: u32 = 2;

/// A complete plan.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`], or [`REGIMES_VERSION`] where there are several schedules.
    pub version: u32,
    /// The network's name.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// Name of the source (file name without folders, or `einsum`), and a hash of everything that was read.
    pub source: String,
    /// Hash of source and options, hexadecimal.
    pub source_hash: String,
    /// Element type.
    pub dtype: DType,
    /// Run-time sizes (all symbols of the program; only `dyn` ones occur below).
    pub symbols: Arena<SymbolId, Symbol>,
    /// Leaves in flattened order: parameters, inputs and constants.
    pub leaves: Vec<LeafInfo>,
    /// Results in declaration order (a `log` output gives two).
    pub outputs: Vec<OutputInfo>,
    /// Scalar functions that steps refer to.
    pub bodies: Vec<ScalarFn>,
    /// The entries that were asked for; where there are several schedules, those of the one for the hints.
    pub entries: Vec<Entry>,
    /// How each region is contracted: for reports and drawings.
    pub regions: Vec<RegionPlan>,
    /// Totals.
    pub summary: Summary,
    /// The schedules for other sizes, where one for all sizes costs too much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regimes: Option<Regimes>,
}

/// A leaf as files and callers see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeafInfo {
    /// Full name.
    pub name: String,
    /// Param, input or const.
    pub role: ArrayRole,
    /// Lengths of its legs.
    pub dims: Vec<Dim>,
    /// The outside shape: runs of legs.
    pub axes: Vec<FoldAxis>,
    /// Row-major entries, of constants that some entry reads.
    pub value: Option<Vec<Complex64>>,
    /// How `init` fills it, parameters only.
    pub init: Option<Init>,
    /// Isometric or unitary.
    pub structure: Option<Structure>,
    /// A gradient is computed for it (where the plan has a `vjp`).
    pub needs_grad: bool,
}

impl LeafInfo {
    /// Whether it is a constant that no entry reads: it stands nowhere in memory.
    pub fn is_unread(&self) -> bool {
        self.role == ArrayRole::Const && self.value.is_none()
    }
}

/// A result as files and callers see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// `y`, `z.phase`, `z.log`.
    pub name: String,
    /// Lengths of its legs.
    pub dims: Vec<Dim>,
    /// The outside shape.
    pub axes: Vec<FoldAxis>,
}

/// What an entry computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntryKind {
    /// Leaves → outputs.
    Forward,
    /// Leaves → outputs and saved.
    ForwardSaving,
    /// Leaves, saved, cotangents → gradients.
    Vjp,
    /// Leaves, tangents → outputs and their tangents.
    Jvp,
}

/// One callable computation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub kind: EntryKind,
    /// Buffers; workspace and saved ones have offsets in their arenas.
    pub buffers: Arena<BufferId, Buffer>,
    /// Loop variables (those of the dag, for names).
    pub vars: Vec<LoopVar>,
    /// What happens, in order.
    pub body: Vec<Item>,
    /// Elements of the workspace arena.
    pub workspace_len: Poly,
    /// Elements of the saved arena (written by ForwardSaving, read by Vjp; the same layout in both).
    pub saved_len: Poly,
}

/// A loop variable of an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopVar {
    /// The sliced index's name.
    pub name: String,
    /// The dag's variable.
    pub var: VarId,
}

/// Who owns a buffer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// `leaves[i]`: parameter, input or constant, given by the caller (constants by the plan).
    Leaf(u32),
    /// Cotangent of `outputs[i]`.
    Cotangent(u32),
    /// Tangent of `leaves[i]`.
    Tangent(u32),
    /// Result: `outputs[i]`.
    Output(u32),
    /// Result: gradient of `leaves[i]`.
    Grad(u32),
    /// Result: tangent of `outputs[i]`.
    Jvp(u32),
    /// In the saved arena.
    Saved,
    /// In the workspace arena.
    Workspace,
}

/// A buffer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// Who owns it.
    pub class: Class,
    /// For reports.
    pub name: String,
    /// Elements.
    pub len: Poly,
    /// Where it begins in its arena (zero for buffers of the caller).
    pub offset: Poly,
    /// The items between which it is live: positions in the entry's preorder of items, both inclusive. Only workspace buffers.
    pub live: (u32, u32),
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Item {
    /// A loop.
    Loop(Loop),
    /// A step.
    Step(Box<Step>),
    /// Sets `len` elements from `offset` of a buffer to zero.
    Zero {
        /// Which buffer (all of it).
        buffer: BufferId,
    },
}

/// Why there is a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoopKind {
    /// Over a sliced index.
    Slice,
    /// Over a batch index, in tiles.
    Batch,
    /// Over steps that are equal up to offsets.
    Repeat,
}

/// A loop over `0..trip`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// Its variable: position in the entry's `vars`.
    pub var: u32,
    /// Number of rounds.
    pub trip: Dim,
    /// Why.
    pub kind: LoopKind,
    /// What is repeated.
    pub body: Vec<Item>,
}

/// How a step folds its reduce axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fold {
    /// Sum (also where there is nothing to reduce).
    Sum,
    /// Largest modulus; 1 where that is zero or not finite.
    MaxAbs,
}

/// How a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Write {
    /// Overwrites.
    Set,
    /// Adds to what is there.
    Accumulate,
}

/// An axis of a step's iteration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Axis {
    /// Its length.
    pub size: Dim,
    /// Folded away (the output's stride is 0 there).
    pub reduce: bool,
}

/// One kernel call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The dag node that it computes (a `Concat` or `Collect` may need several steps).
    pub node: DagId,
    /// The iteration space: kept axes in the order of the output's axes (first slowest), then reduce axes.
    pub space: Vec<Axis>,
    /// Operands, in the order of `body`'s arguments.
    pub ins: Vec<Access>,
    /// Where the result goes.
    pub out: Access,
    /// What is computed at each point.
    pub body: BodyId,
    /// How reduce axes are folded.
    pub fold: Fold,
    /// Overwrite or add.
    pub write: Write,
    /// The step in index notation, for reports and comments: `t3[a,c] = core[1][a,b] * t2[b,c]`.
    pub text: String,
    /// Source of the node.
    pub span: Span,
}

/// How a step reaches a buffer: element `offset + Σ var·step + Σ index·stride`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// The buffer.
    pub buffer: BufferId,
    /// Constant part, relative to the buffer's begin.
    pub offset: Poly,
    /// Loop variables (positions in the entry's `vars`) and how far one round moves.
    pub moves: Vec<(u32, Poly)>,
    /// One for each axis of the step's space.
    pub strides: Vec<Poly>,
}

/// How one region is contracted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionPlan {
    /// The definition's name.
    pub name: String,
    /// Names of the inputs, in order.
    pub inputs: Vec<String>,
    /// Index lists of the inputs.
    pub input_indices: Vec<Vec<u32>>,
    /// Open indices.
    pub output: Vec<u32>,
    /// Sizes of the indices, `dyn` ones at the hint, or at the size that the schedule's totals are for.
    pub sizes: Vec<u64>,
    /// Names of the indices.
    pub index_names: Vec<String>,
    /// The tree: SSA pairs.
    pub ssa_path: Vec<(u32, u32)>,
    /// Sliced indices, outermost first.
    pub sliced: Vec<u32>,
    /// log10 of the multiply-adds, all slices in full.
    pub log10_macs: f64,
    /// Slice-invariant work counted once.
    pub log10_macs_hoisted: f64,
    /// log2 of the largest contraction result in elements.
    pub log2_max_size: f64,
    /// log2 of the peak in elements.
    pub log2_peak: f64,
    /// log10 of the multiply-adds of contracting from left to right.
    pub log10_macs_naive: f64,
    /// Proven best.
    pub optimal: bool,
    /// Cut by the clock.
    pub time_limited: bool,
}

/// Totals of a plan. Bytes are for all entries' worst moment, at the hints of run-time sizes.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Seed of the search.
    pub seed: u64,
    /// Machine description that times were modelled with.
    pub machine: String,
    /// Per entry, in the order of `Plan::entries`.
    pub entries: Vec<EntrySummary>,
    /// Parameters + inputs + outputs (+ cotangents, gradients) + saved + workspace at the worst moment.
    pub peak_bytes: u128,
    /// The largest workspace.
    pub workspace_bytes: u128,
    /// Saved between `forward_saving` and `vjp`.
    pub saved_bytes: u128,
    /// Modelled seconds of `forward`, or of `forward_saving` + `vjp` if there is one.
    pub modelled_seconds: f64,
}

/// Totals of one entry.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct EntrySummary {
    /// Multiply-adds (or operations of maps), all slices in full.
    pub macs: f64,
    /// Bytes read and written by steps.
    pub bytes_moved: f64,
    /// Workspace.
    pub workspace_bytes: u128,
    /// Everything that is live at the worst moment.
    pub peak_bytes: u128,
    /// Modelled.
    pub seconds: f64,
    /// Number of steps (loops counted once).
    pub steps: u64,
}
