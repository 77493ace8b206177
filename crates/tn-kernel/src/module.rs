//! A whole network at L5: kernels, and entries that call them.
//!
//! Operands live in *slots*: arrays that the caller gives (or the module's constants). Parameters are one flat slot in the flattened
//! parameter order, and so are their tangents and gradients; inputs are grouped into families (`x`, or `site[0]`, `site[1]`, …).

use crate::ir::Kernel;
use num_complex::Complex64;
use tn_ir::dtype::DType;
use tn_ir::ids::Arena;
use tn_ir::size::{Dim, Monomial, Poly, Symbol, SymbolId};
use tn_ir::typed_id;
use tn_plan::ir::{EntryKind, LeafInfo, OutputInfo};

typed_id!(
    /// A kernel of a module.
    KernelId
);

/// A network's kernels and entries.
#[derive(Clone, Debug)]
pub struct Module {
    /// The network's name.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// Name of the source.
    pub source: String,
    /// Hash of source and options.
    pub source_hash: String,
    /// Element type.
    pub dtype: DType,
    /// All symbols of the plan.
    pub symbols: Arena<SymbolId, Symbol>,
    /// The run-time sizes, in declaration order.
    pub sizes: Vec<SymbolId>,
    /// Leaves, as in the plan.
    pub leaves: Vec<LeafInfo>,
    /// Results, as in the plan.
    pub outputs: Vec<OutputInfo>,
    /// Where each leaf begins in the flat parameters (or in the constants); none for inputs and for constants that no entry reads.
    pub flat_offsets: Vec<Option<u64>>,
    /// Elements of all parameters.
    pub param_count: u64,
    /// The constants that are read, one after the other.
    pub constants: Vec<Complex64>,
    /// Inputs by family, in declaration order.
    pub inputs: Vec<Family>,
    /// Inputs that have a gradient, by family.
    pub grads: Vec<Family>,
    /// Kernels, in order of first use.
    pub kernels: Arena<KernelId, Kernel>,
    /// For each kernel, the text of the first step that uses it and the number of steps.
    pub uses: Vec<(String, usize)>,
    /// Entries: those of the schedule for the smallest sizes first, then the same of the next.
    pub entries: Vec<ModuleEntry>,
    /// Which schedule is for which sizes, if there are several.
    pub regimes: Option<ModuleRegimes>,
}

/// Which schedule is for which sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRegimes {
    /// The run-time size that decides.
    pub symbol: SymbolId,
    /// The largest size of each schedule but the last, which is for all larger ones.
    pub tops: Vec<u64>,
}

/// Leaves that differ in their subscripts only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name without subscripts.
    pub name: String,
    /// Whether there are subscripts (then it is an array, even with one member).
    pub subscripted: bool,
    /// Positions in `Module::leaves`.
    pub leaves: Vec<u32>,
}

/// One callable computation.
#[derive(Clone, Debug)]
pub struct ModuleEntry {
    /// Which.
    pub kind: EntryKind,
    /// The schedule that it belongs to, counted from the one for the smallest sizes.
    pub regime: u32,
    /// Names of the loop variables.
    pub vars: Vec<String>,
    /// What happens.
    pub body: Vec<CallItem>,
    /// Elements of the workspace.
    pub workspace_len: Poly,
    /// Elements of what `forward_saving` leaves for `vjp`.
    pub saved_len: Poly,
}

/// Where operands live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// All parameters.
    Params,
    /// Their tangents.
    ParamTangents,
    /// Their gradients.
    ParamGrads,
    /// The module's constants.
    Constants,
    /// A family of inputs.
    Input(u32),
    /// Tangents of a family of inputs.
    InputTangent(u32),
    /// Gradients of a family (of `Module::grads`).
    InputGrad(u32),
    /// Cotangent of an output.
    Cotangent(u32),
    /// An output.
    Output(u32),
    /// Tangent of an output.
    OutputTangent(u32),
    /// What is saved between `forward_saving` and `vjp`.
    Saved,
    /// Scratch memory.
    Workspace,
}

/// A number that may change from round to round of the [`CallItem::Repeat`] around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// Always this.
    Fixed(i128),
    /// `start + round·step`, neither negative.
    Linear {
        /// In round 0.
        start: i128,
        /// From round to round.
        step: i128,
    },
    /// This column of the table.
    Column(u32),
}

/// A part of an offset: factor × monomial × loop variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetTerm {
    /// Factor.
    pub factor: Number,
    /// Run-time sizes.
    pub monomial: Monomial,
    /// Loop variable of the entry.
    pub var: Option<u32>,
}

/// Where an operand of a call begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// The array.
    pub slot: Slot,
    /// Member of a family.
    pub member: Number,
    /// Elements from its begin: the sum of the terms.
    pub offset: Vec<OffsetTerm>,
}

/// One call of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub kernel: KernelId,
    /// Operands, the result last.
    pub operands: Vec<Operand>,
}

/// A part of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallItem {
    /// A call.
    Call(Call),
    /// Sets elements to zero.
    Zero {
        /// From here.
        at: Operand,
        /// So many.
        len: Poly,
    },
    /// A loop of the plan.
    Loop {
        /// Position in `vars`.
        var: u32,
        /// Rounds.
        trip: Dim,
        /// Body.
        body: Vec<CallItem>,
    },
    /// Calls that are equal up to offsets.
    Repeat {
        /// Rounds.
        rounds: u32,
        /// Columns of the table; each has one number a round.
        table: Vec<Vec<u64>>,
        /// The calls of one round.
        calls: Vec<Call>,
    },
}

impl Number {
    /// The value in a round, given the table around it.
    pub fn value(&self, round: u32, table: &[Vec<u64>]) -> i128 {
        match self {
            Number::Fixed(n) => *n,
            Number::Linear { start, step } => start + step * i128::from(round),
            Number::Column(c) => {
                table.get(*c as usize).and_then(|t| t.get(round as usize)).map_or(0, |&n| i128::from(n))
            }
        }
    }
}

impl Operand {
    /// Whether the slot's owner may be written.
    pub fn is_writable(&self) -> bool {
        matches!(
            self.slot,
            Slot::ParamGrads
                | Slot::InputGrad(_)
                | Slot::Output(_)
                | Slot::OutputTangent(_)
                | Slot::Saved
                | Slot::Workspace
        )
    }
}

impl ModuleEntry {
    /// The slots that its items use, in order, each once.
    pub fn slots(&self) -> Vec<Slot> {
        let mut found = Vec::new();
        let mut stack: Vec<&CallItem> = self.body.iter().collect();
        while let Some(item) = stack.pop() {
            match item {
                CallItem::Call(c) => found.extend(c.operands.iter().map(|o| o.slot)),
                CallItem::Zero { at, .. } => found.push(at.slot),
                CallItem::Loop { body, .. } => stack.extend(body),
                CallItem::Repeat { calls, .. } => {
                    found.extend(calls.iter().flat_map(|c| c.operands.iter().map(|o| o.slot)));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

impl Module {
    /// The elements of a leaf.
    pub fn leaf_len(&self, leaf: u32) -> Poly {
        self.leaves.get(leaf as usize).map_or_else(Poly::zero, |l| tn_ir::size::numel(&l.dims))
    }
    /// The elements of an output.
    pub fn output_len(&self, output: u32) -> Poly {
        self.outputs.get(output as usize).map_or_else(Poly::zero, |o| tn_ir::size::numel(&o.dims))
    }
    /// The elements of a member of a slot, for an entry.
    pub fn slot_len(&self, entry: &ModuleEntry, slot: Slot, member: usize) -> Poly {
        let of = |families: &[Family], f: u32| {
            families
                .get(f as usize)
                .and_then(|f| f.leaves.get(member))
                .map_or_else(Poly::zero, |&l| self.leaf_len(l))
        };
        match slot {
            Slot::Params | Slot::ParamTangents | Slot::ParamGrads => self.param_count.into(),
            Slot::Constants => (self.constants.len() as u64).into(),
            Slot::Input(f) | Slot::InputTangent(f) => of(&self.inputs, f),
            Slot::InputGrad(f) => of(&self.grads, f),
            Slot::Cotangent(o) | Slot::Output(o) | Slot::OutputTangent(o) => self.output_len(o),
            Slot::Saved => entry.saved_len.clone(),
            Slot::Workspace => entry.workspace_len.clone(),
        }
    }
    /// The kinds of entries, each once, in order.
    pub fn kinds(&self) -> Vec<EntryKind> {
        self.entries.iter().filter(|e| e.regime == 0).map(|e| e.kind).collect()
    }
    /// How many schedules there are.
    pub fn regime_count(&self) -> u32 {
        self.regimes.as_ref().map_or(1, |r| r.tops.len() as u32 + 1)
    }
    /// Elements of workspace that every entry of a schedule is content with.
    pub fn workspace_len(&self, regime: u32) -> Poly {
        let own = self.entries.iter().filter(|e| e.regime == regime);
        own.fold(Poly::zero(), |w, e| w.upper(&e.workspace_len))
    }
    /// Elements that `forward_saving` of a schedule leaves for its `vjp`.
    pub fn saved_len(&self, regime: u32) -> Poly {
        let own = self.entries.iter().find(|e| e.regime == regime);
        own.map_or_else(Poly::zero, |e| e.saved_len.clone())
    }
}

/// Splits `psi.core[2,5]` into `psi.core` and whether there were subscripts.
pub fn family_name(leaf: &str) -> (&str, bool) {
    match leaf.find('[') {
        Some(at) if leaf.ends_with(']') => (&leaf[..at], true),
        _ => (leaf, false),
    }
}
