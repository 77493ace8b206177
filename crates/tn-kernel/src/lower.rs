//! Plan → module.

use crate::ir::{Index, Kernel, Launch, Place, Stmt};
use crate::module::*;
use crate::{gemm, lower_cpu, lower_dots, lower_gpu, repeat, verify};
use std::collections::{BTreeSet, HashMap};
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::ids::{Arena, Id};
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::{Poly, Symbol, SymbolId};
use tn_plan::ir::*;
use tn_plan::kernel::nest::{Nest, in_place};
use tn_plan::kernel::{self, Schedule};

/// Results of so many bytes are written past the caches: more than a core's share of the last one, on machines of today.
const STREAMED_BYTES: i128 = 32 << 20;

/// What kernels are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One core with caches and vectors.
    Cpu,
    /// A grid of threads.
    Gpu,
}

/// Why a plan cannot become kernels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// Flat parameters have a length that is known when the code is made.
    #[error("parameter `{0}` has a run-time size\nhelp: declare it as an input")]
    DynParam(String),
    /// A constant without entries.
    #[error("constant `{0}` has no entries in the plan\nhelp: make the plan again")]
    NoValue(String),
    /// An id points outside its table.
    #[error("the plan is damaged: {0}\nhelp: make the plan again")]
    Damaged(String),
    /// A kernel or a call would touch what it must not.
    #[error(
        "the plan is not valid: {0}\nhelp: make the plan again; if it comes from this version, this is a bug of the compiler"
    )]
    Invalid(String),
}

/// Lowers all schedules of a plan and verifies the result. Kernels are chosen for the size that a schedule's totals are for.
///
/// # Errors
/// If the plan refers to what it does not have, or if the verifier refuses the result (then the plan was not valid).
pub fn lower_plan(plan: &Plan, target: Target) -> Result<Module, LowerError> {
    let mut module = frame(plan)?;
    let mut known = HashMap::new();
    for (regime, schedule) in plan.schedules().iter().enumerate() {
        let plan: &Plan = schedule;
        let first = module.entries.len();
        for entry in &plan.entries {
            let mut low = EntryLowering { plan, entry, target, module: &mut module, known: &mut known };
            let mut body = low.zero_missing_grads()?;
            body.extend(low.items(&entry.body)?);
            let body = repeat::fold(body);
            module.entries.push(ModuleEntry {
                kind: entry.kind,
                regime: regime as u32,
                vars: entry.vars.iter().map(|v| v.name.clone()).collect(),
                body,
                workspace_len: entry.workspace_len.clone(),
                saved_len: entry.saved_len.clone(),
            });
        }
        // Both entries of the pair see one saved arena.
        let own = &mut module.entries[first..];
        let saved = own.iter().fold(Poly::zero(), |p, e| p.upper(&e.saved_len));
        own.iter_mut().for_each(|e| e.saved_len = saved.clone());
    }
    verify::verify(&module).map_err(LowerError::Invalid)?;
    Ok(module)
}

/// Names, leaves, families and constants: all but kernels and entries.
fn frame(plan: &Plan) -> Result<Module, LowerError> {
    let mut flat_offsets = vec![None; plan.leaves.len()];
    let mut param_count = 0u64;
    let mut inputs = Vec::new();
    let used = used_leaves(plan);
    let mut constants = Vec::new();
    for (i, leaf) in plan.leaves.iter().enumerate() {
        match leaf.role {
            ArrayRole::Param => {
                let len = tn_ir::size::numel(&leaf.dims).as_constant();
                let len = len.and_then(|n| u64::try_from(n).ok());
                let len = len.ok_or_else(|| LowerError::DynParam(leaf.name.clone()))?;
                flat_offsets[i] = Some(param_count);
                param_count = param_count.saturating_add(len);
            }
            ArrayRole::Const if used.contains(&(i as u32)) => {
                let value = leaf.value.as_ref().ok_or_else(|| LowerError::NoValue(leaf.name.clone()))?;
                flat_offsets[i] = Some(constants.len() as u64);
                constants.extend_from_slice(value);
            }
            ArrayRole::Const => {}
            _ => inputs.push(i as u32),
        }
    }
    let with_grad: BTreeSet<u32> = plan
        .all_entries()
        .flat_map(|e| e.buffers.iter())
        .filter_map(|b| if let Class::Grad(i) = b.class { Some(i) } else { None })
        .collect();
    let grads: Vec<u32> = inputs.iter().copied().filter(|i| with_grad.contains(i)).collect();
    let sizes = plan.symbols.enumerate().filter(|(_, s)| s.is_dyn()).map(|(id, _)| id).collect();
    Ok(Module {
        name: plan.name.clone(),
        doc: plan.doc.clone(),
        source: plan.source.clone(),
        source_hash: plan.source_hash.clone(),
        dtype: plan.dtype,
        symbols: plan.symbols.clone(),
        sizes,
        leaves: plan.leaves.clone(),
        outputs: plan.outputs.clone(),
        flat_offsets,
        param_count,
        constants,
        inputs: families(plan, &inputs),
        grads: families(plan, &grads),
        kernels: Arena::new(),
        uses: vec![],
        entries: vec![],
        regimes: plan.regimes.as_ref().map(|r| {
            let ranges = plan.ranges();
            let ends = ranges.iter().take(ranges.len().saturating_sub(1));
            ModuleRegimes { symbol: r.symbol, tops: ends.filter_map(|r| r.high).collect() }
        }),
    })
}

fn used_leaves(plan: &Plan) -> BTreeSet<u32> {
    let classes = plan.all_entries().flat_map(|e| e.buffers.iter().map(|b| &b.class));
    classes.filter_map(|c| if let Class::Leaf(i) = c { Some(*i) } else { None }).collect()
}

fn families(plan: &Plan, leaves: &[u32]) -> Vec<Family> {
    let mut out: Vec<Family> = Vec::new();
    let mut place: HashMap<(&str, bool), usize> = HashMap::new();
    for &i in leaves {
        let (name, subscripted) = family_name(&plan.leaves[i as usize].name);
        let at = *place.entry((name, subscripted)).or_insert_with(|| {
            out.push(Family { name: name.to_string(), subscripted, leaves: vec![] });
            out.len() - 1
        });
        out[at].leaves.push(i);
    }
    out
}

fn hint(symbols: &Arena<SymbolId, Symbol>, p: &Poly) -> u64 {
    let v = p.eval(|s| symbols.get(s).map_or(1, |s| s.value()));
    u64::try_from(v).unwrap_or(if v < 0 { 0 } else { u64::MAX })
}

struct EntryLowering<'a> {
    plan: &'a Plan,
    entry: &'a Entry,
    target: Target,
    module: &'a mut Module,
    known: &'a mut HashMap<(Nest, u32, Vec<bool>, bool), KernelId>,
}

impl EntryLowering<'_> {
    /// Parameters without a gradient get zeros, so that the flat gradient is always whole.
    fn zero_missing_grads(&self) -> Result<Vec<CallItem>, LowerError> {
        if self.entry.kind != EntryKind::Vjp {
            return Ok(vec![]);
        }
        let given: BTreeSet<u32> = self
            .entry
            .buffers
            .iter()
            .filter_map(|b| if let Class::Grad(i) = b.class { Some(i) } else { None })
            .collect();
        let mut out: Vec<CallItem> = Vec::new();
        let mut open: Option<(u64, u64)> = None;
        let mut close = |range: Option<(u64, u64)>| {
            if let Some((from, to)) = range {
                let at = Operand {
                    slot: Slot::ParamGrads,
                    member: Number::Fixed(0),
                    offset: offset_terms(&from.into(), None),
                };
                out.push(CallItem::Zero { at, len: (to - from).into() });
            }
        };
        for (i, leaf) in self.plan.leaves.iter().enumerate() {
            if leaf.role != ArrayRole::Param {
                continue;
            }
            let from = self.module.flat_offsets[i].unwrap_or(0);
            let to = from + hint(&self.plan.symbols, &self.module.leaf_len(i as u32));
            if given.contains(&(i as u32)) {
                close(open.take());
            } else {
                open = Some((open.map_or(from, |(f, _)| f), to));
            }
        }
        close(open.take());
        Ok(out)
    }

    fn items(&mut self, items: &[Item]) -> Result<Vec<CallItem>, LowerError> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.push(match item {
                Item::Loop(l) => CallItem::Loop { var: l.var, trip: l.trip, body: self.items(&l.body)? },
                Item::Zero { buffer } => {
                    let whole =
                        Access { buffer: *buffer, offset: Poly::zero(), moves: vec![], strides: vec![] };
                    let len = self.buffer(*buffer)?.len.clone();
                    CallItem::Zero { at: self.operand(&whole)?, len }
                }
                Item::Step(s) => CallItem::Call(self.step(s)?),
            });
        }
        Ok(out)
    }

    fn buffer(&self, id: BufferId) -> Result<&Buffer, LowerError> {
        let missing = || LowerError::Damaged(format!("there is no buffer {}", id.0));
        self.entry.buffers.get(id).ok_or_else(missing)
    }

    fn step(&mut self, step: &Step) -> Result<Call, LowerError> {
        let damaged = |what: &str| LowerError::Damaged(format!("{what} in step `{}`", step.text));
        let body = self.plan.bodies.get(step.body.index()).ok_or_else(|| damaged("unknown body"))?;
        let accesses = || step.ins.iter().chain([&step.out]);
        if accesses().any(|a| a.strides.len() != step.space.len()) {
            return Err(damaged("an access has not one stride for each axis"));
        }
        let unknown = body.ops.iter().any(|op| matches!(op, ScalarOp::Arg(i) if *i >= body.arity));
        if body.arity as usize != step.ins.len() || body.ops.is_empty() || unknown {
            return Err(damaged("body and operands do not match"));
        }
        let in_place = in_place(step);
        let nest = Nest::of(step, &in_place, |p| hint(&self.plan.symbols, p));
        let key = (nest, step.body.0, in_place.clone(), self.streams(step)?);
        let id = match self.known.get(&key) {
            Some(&id) => id,
            None => {
                let dtype = self.plan.dtype;
                let body = &renumbered(&needed(body), &key.2);
                let kernel = match self.target {
                    Target::Cpu => match kernel::choose(&key.0, body, dtype).0 {
                        Schedule::Tiles(tiles) => lower_cpu::lower(&key.0, body, dtype, &tiles),
                        Schedule::Blocks(blocks) => gemm::lower(&key.0, body, dtype, &blocks, key.3),
                        Schedule::Dots(dots) => lower_dots::lower(&key.0, body, dtype, &dots),
                    },
                    Target::Gpu => lower_gpu::lower(&key.0, body, dtype),
                };
                let id = self.added(kernel, step);
                self.known.insert(key, id);
                id
            }
        };
        self.module.uses[id.index()].1 += 1;
        let apart = step.ins.iter().zip(&in_place).filter(|(_, same)| !**same).map(|(a, _)| a);
        let operands = apart.chain([&step.out]).map(|a| self.operand(a)).collect::<Result<_, _>>()?;
        Ok(Call { kernel: id, operands })
    }

    /// Whether the result of a step is written past the caches: an output that is far larger than they are and that no step reads.
    fn streams(&self, step: &Step) -> Result<bool, LowerError> {
        let buffer = self.buffer(step.out.buffer)?;
        let is_result = matches!(buffer.class, Class::Output(_) | Class::Jvp(_));
        let bytes = buffer.len.as_constant().map_or(0, |n| n.saturating_mul(self.plan.dtype.bytes() as i128));
        Ok(is_result
            && self.target == Target::Cpu
            && bytes >= STREAMED_BYTES
            && !is_read(&self.entry.body, step.out.buffer))
    }

    /// A kernel among those of the module. The same step of two schedules may become the same kernel although each was lowered for sizes
    /// of its own.
    fn added(&mut self, kernel: Kernel, step: &Step) -> KernelId {
        if self.module.regimes.is_some()
            && let Some((id, _)) = self.module.kernels.enumerate().find(|(_, k)| **k == kernel)
        {
            return id;
        }
        let id = self.module.kernels.push(kernel);
        self.module.uses.push((step.text.clone(), 0));
        id
    }

    fn operand(&self, access: &Access) -> Result<Operand, LowerError> {
        let buffer = self.buffer(access.buffer)?;
        let flat = |i: u32| {
            self.module.flat_offsets.get(i as usize).copied().flatten().map(Poly::from).unwrap_or_default()
        };
        let role = |i: u32| self.plan.leaves.get(i as usize).map(|l| l.role.clone());
        let member = |families: &[Family], i: u32| {
            let found = families
                .iter()
                .enumerate()
                .find_map(|(f, family)| family.leaves.iter().position(|&l| l == i).map(|m| (f as u32, m)));
            found.ok_or_else(|| LowerError::Damaged(format!("leaf {i} is no input")))
        };
        let fixed = |slot, base| (slot, 0, base);
        let (slot, member, base) = match buffer.class {
            Class::Leaf(i) => match role(i) {
                Some(ArrayRole::Param) => fixed(Slot::Params, flat(i)),
                Some(ArrayRole::Const) => fixed(Slot::Constants, flat(i)),
                _ => member(&self.module.inputs, i).map(|(f, m)| (Slot::Input(f), m, Poly::zero()))?,
            },
            Class::Tangent(i) => match role(i) {
                Some(ArrayRole::Param) => fixed(Slot::ParamTangents, flat(i)),
                _ => member(&self.module.inputs, i).map(|(f, m)| (Slot::InputTangent(f), m, Poly::zero()))?,
            },
            Class::Grad(i) => match role(i) {
                Some(ArrayRole::Param) => fixed(Slot::ParamGrads, flat(i)),
                _ => member(&self.module.grads, i).map(|(f, m)| (Slot::InputGrad(f), m, Poly::zero()))?,
            },
            Class::Cotangent(i) => fixed(Slot::Cotangent(i), Poly::zero()),
            Class::Output(i) => fixed(Slot::Output(i), Poly::zero()),
            Class::Jvp(i) => fixed(Slot::OutputTangent(i), Poly::zero()),
            Class::Saved => fixed(Slot::Saved, buffer.offset.clone()),
            Class::Workspace => fixed(Slot::Workspace, buffer.offset.clone()),
        };
        let mut offset = offset_terms(&(&base + &access.offset), None);
        for (var, step) in &access.moves {
            offset.extend(offset_terms(step, Some(*var)));
        }
        Ok(Operand { slot, member: Number::Fixed(member as i128), offset })
    }
}

fn offset_terms(poly: &Poly, var: Option<u32>) -> Vec<OffsetTerm> {
    poly.terms().map(|(m, c)| OffsetTerm { factor: Number::Fixed(c), monomial: m.clone(), var }).collect()
}

/// The function with arguments numbered like the kernel's operands: those in place read the result.
fn renumbered(f: &ScalarFn, in_place: &[bool]) -> ScalarFn {
    let result = in_place.iter().filter(|same| !**same).count() as u32;
    let mut next = 0;
    let place: Vec<u32> = in_place
        .iter()
        .map(|&same| {
            if same {
                return result;
            }
            next += 1;
            next - 1
        })
        .collect();
    let ops = f.ops.iter().map(|op| match *op {
        ScalarOp::Arg(i) => ScalarOp::Arg(place[i as usize]),
        other => other,
    });
    ScalarFn { arity: f.arity, ops: ops.collect() }
}

/// The function without operations that its value does not need.
fn needed(f: &ScalarFn) -> ScalarFn {
    let mut keep = vec![false; f.ops.len()];
    if let Some(last) = keep.last_mut() {
        *last = true;
    }
    for i in (0..f.ops.len()).rev() {
        if keep[i] {
            f.ops[i].args().iter().for_each(|&a| keep[a as usize] = true);
        }
    }
    let mut place = vec![0; f.ops.len()];
    let mut ops = Vec::new();
    for (i, op) in f.ops.iter().enumerate().filter(|&(i, _)| keep[i]) {
        place[i] = ops.len() as u32;
        ops.push(op.with_args(|a| place[a as usize]));
    }
    ScalarFn { arity: f.arity, ops }
}

/// Whether a step reads a buffer.
fn is_read(items: &[Item], buffer: BufferId) -> bool {
    items.iter().any(|item| match item {
        Item::Loop(l) => is_read(&l.body, buffer),
        Item::Step(s) => s.ins.iter().any(|a| a.buffer == buffer),
        Item::Zero { .. } => false,
    })
}

/// A kernel from its statements.
pub(crate) fn kernel(
    nest: &Nest,
    body: &ScalarFn,
    dtype: DType,
    arrays: Vec<u32>,
    launch: Launch,
    stmts: Vec<Stmt>,
) -> Kernel {
    let folded = nest.axes.iter().any(|a| a.reduce);
    let what = match (nest.fold, folded, body.ops.len()) {
        (Fold::MaxAbs, ..) => "max_abs",
        (Fold::Sum, true, 1) => "reduce",
        (Fold::Sum, true, _) => "contract",
        (Fold::Sum, false, 1) => "copy",
        (Fold::Sum, false, _) => "map",
    };
    let mut symbols = BTreeSet::new();
    collect_symbols(&stmts, &mut symbols);
    Kernel {
        what,
        dtype,
        symbols: symbols.into_iter().collect(),
        operands: (0..nest.operands).map(|o| nest.span(o)).collect(),
        accumulates: nest.write == Write::Accumulate,
        arrays,
        launch,
        body: stmts,
    }
}

fn collect_symbols(stmts: &[Stmt], into: &mut BTreeSet<SymbolId>) {
    let index = |i: &Index, into: &mut BTreeSet<SymbolId>| {
        into.extend(i.base.symbols());
        into.extend(i.terms.iter().flat_map(|(_, p)| p.symbols()));
    };
    let place = |p: &Place, into: &mut BTreeSet<SymbolId>| match p {
        Place::Operand(_, i) | Place::View(_, i) | Place::Array(_, i) => index(i, into),
    };
    let mut stack: Vec<&Stmt> = stmts.iter().collect();
    while let Some(s) = stack.pop() {
        match s {
            Stmt::Loop { from, to, body, .. } => {
                into.extend(from.poly.symbols());
                into.extend(to.poly.symbols());
                stack.extend(body);
            }
            Stmt::Piece { to, body, .. } => {
                into.extend(to.symbols());
                stack.extend(body);
            }
            Stmt::Decode { parts, .. } => into.extend(parts.iter().flat_map(|(_, p)| p.symbols())),
            Stmt::View { base, len, .. } => {
                index(base, into);
                into.extend(len.symbols());
            }
            Stmt::Load { from, .. } => place(from, into),
            Stmt::Store { to, .. } => place(to, into),
            Stmt::First { body } => stack.extend(body),
            Stmt::Array(_) | Stmt::Settle(_) | Stmt::Op { .. } | Stmt::Join { .. } => {}
        }
    }
}
