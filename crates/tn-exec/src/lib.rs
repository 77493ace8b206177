//! The executor: runs L4 by its meaning, on all cores. The oracle of the printers, and what `tnc run` uses.
//!
//! An [`Executor`] is made once for a plan and its run-time sizes: every offset and stride is evaluated, every access is checked against
//! its buffer, every step gets a way to walk its nest. [`Executor::run`] then runs an entry. It allocates what the plan says and nothing
//! else: results, the saved arena, and the workspace arena.
//!
//! Sums have a fixed order which does not depend on the number of threads: threads share out results, never a sum.

mod contract;
mod element;
mod general;
mod prepare;
mod walk;

pub use element::Element;

use prepare::{Node, Prepared, Work};
use std::collections::BTreeMap;
use std::time::Instant;
use tn_ir::size::SymbolId;
use tn_plan::ir::{Class, Entry, EntryKind, Plan};
use walk::Pointer;

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecError {
    /// The plan has no such entry.
    NoEntry(EntryKind),
    /// An array is missing or has the wrong length.
    Array {
        /// Which.
        name: String,
        /// Elements that it has; none if it is missing.
        found: Option<usize>,
        /// Elements that it needs.
        expected: usize,
    },
    /// An access leaves its buffer, or a length is not one: the plan is not valid at these sizes.
    Invalid(String),
}

impl std::fmt::Display for ExecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExecError::NoEntry(kind) => write!(f, "the plan has no entry {kind:?}"),
            ExecError::Array { name, found: None, expected } => {
                write!(f, "`{name}` is missing; it has `{expected}` elements")
            }
            ExecError::Array { name, found: Some(n), expected } => {
                write!(f, "`{name}` has `{n}` elements, `{expected}` are needed")
            }
            ExecError::Invalid(why) => write!(f, "the plan cannot be run: {why}"),
        }
    }
}

impl std::error::Error for ExecError {}

/// What a caller gives to an entry: row-major arrays. Constants need not be given.
#[derive(Clone, Debug, Default)]
pub struct Given<T> {
    /// Arrays by owner: leaves, cotangents, tangents (a missing tangent counts as zero).
    pub arrays: BTreeMap<Class, Vec<T>>,
}

/// What an entry computes: row-major arrays by owner (outputs, gradients, tangents of outputs).
#[derive(Clone, Debug, Default)]
pub struct Results<T> {
    /// The arrays.
    pub arrays: BTreeMap<Class, Vec<T>>,
    /// Seconds of each step over all its rounds, in the order of the entry's steps (only if asked for).
    pub seconds: Vec<f64>,
}

/// A plan made ready for given sizes.
pub struct Executor<'p, T> {
    /// Those of the schedule for the sizes.
    entries: &'p [Entry],
    prepared: Vec<Prepared<T>>,
    constants: BTreeMap<Class, Vec<T>>,
    threads: usize,
    /// Whether steps are timed.
    pub timed: bool,
}

impl<'p, T: Element> Executor<'p, T> {
    /// Prepares all entries of a plan for the run-time sizes that `size` gives, to run on `threads` threads. Of several schedules it is the one whose
    /// range holds the size.
    ///
    /// # Errors
    /// If an access leaves its buffer at these sizes. `T` must be the plan's element type.
    pub fn new(plan: &'p Plan, size: &dyn Fn(SymbolId) -> u64, threads: usize) -> Result<Self, ExecError> {
        if T::DTYPE != plan.dtype {
            return Err(ExecError::Invalid(format!("its elements are {}, not {}", plan.dtype, T::DTYPE)));
        }
        let entries = plan.entries_at(size);
        let prepared =
            entries.iter().map(|e| prepare::prepare(plan, e, size)).collect::<Result<Vec<_>, _>>()?;
        let mut constants = BTreeMap::new();
        for (i, leaf) in plan.leaves.iter().enumerate() {
            if let Some(value) = &leaf.value {
                constants.insert(Class::Leaf(i as u32), value.iter().map(|&z| T::from_complex(z)).collect());
            }
        }
        Ok(Executor { entries, prepared, constants, threads: threads.max(1), timed: false })
    }

    /// Runs an entry. `saved` is written by `forward_saving` and read by `vjp`.
    ///
    /// # Errors
    /// A missing entry; a missing or misshapen array.
    pub fn run(
        &self,
        kind: EntryKind,
        given: &Given<T>,
        saved: &mut Vec<T>,
    ) -> Result<Results<T>, ExecError> {
        let at = self.entries.iter().position(|e| e.kind == kind).ok_or(ExecError::NoEntry(kind))?;
        let (entry, prepared) = (&self.entries[at], &self.prepared[at]);
        if kind == EntryKind::ForwardSaving {
            *saved = vec![T::default(); prepared.saved_len];
        }
        if kind == EntryKind::Vjp && saved.len() != prepared.saved_len {
            let expected = prepared.saved_len;
            return Err(ExecError::Array { name: "saved".into(), found: Some(saved.len()), expected });
        }
        let mut results: BTreeMap<Class, Vec<T>> = BTreeMap::new();
        // A tangent that is not given is zero; one array of zeros serves all.
        let mut zeros: Vec<T> = Vec::new();
        for (b, place) in entry.buffers.iter().zip(&prepared.places) {
            match b.class {
                Class::Output(_) | Class::Grad(_) | Class::Jvp(_) => {
                    results.entry(b.class.clone()).or_insert_with(|| vec![T::default(); place.len]);
                }
                Class::Tangent(_) if !given.arrays.contains_key(&b.class) && zeros.len() < place.len => {
                    zeros = vec![T::default(); place.len];
                }
                _ => {}
            }
        }
        let mut workspace: Vec<T> = vec![T::default(); prepared.workspace_len];
        let mut pointers: Vec<Pointer<T>> = Vec::with_capacity(entry.buffers.len());
        for (b, place) in entry.buffers.iter().zip(&prepared.places) {
            let whole = match &b.class {
                Class::Workspace => Pointer::part(&mut workspace, place.offset),
                Class::Saved => Pointer::part(saved, place.offset),
                Class::Output(_) | Class::Grad(_) | Class::Jvp(_) => {
                    Pointer::part(results.get_mut(&b.class).expect("made above"), 0)
                }
                class => {
                    let found = given.arrays.get(class).or_else(|| self.constants.get(class));
                    match found {
                        Some(a) if a.len() == place.len => Pointer::read_only(a),
                        None if matches!(class, Class::Tangent(_)) => Pointer::read_only(&zeros),
                        other => {
                            return Err(ExecError::Array {
                                name: b.name.clone(),
                                found: other.map(Vec::len),
                                expected: place.len,
                            });
                        }
                    }
                }
            };
            pointers.push(whole);
        }
        let mut vars = vec![0i64; entry.vars.len()];
        let mut seconds = vec![0.0; if self.timed { prepared.steps } else { 0 }];
        let run = Run { prepared, pointers: &pointers, threads: self.threads, timed: self.timed };
        run.nodes(&prepared.body, &mut vars, &mut seconds);
        Ok(Results { arrays: results, seconds })
    }
}

struct Run<'a, T> {
    prepared: &'a Prepared<T>,
    pointers: &'a [Pointer<T>],
    threads: usize,
    timed: bool,
}

impl<T: Element> Run<'_, T> {
    /// Recursion is as deep as loops are nested.
    fn nodes(&self, nodes: &[Node], vars: &mut [i64], seconds: &mut [f64]) {
        for node in nodes {
            match node {
                Node::Loop { var, trip, body } => {
                    for round in 0..*trip {
                        vars[*var] = round;
                        self.nodes(body, vars, seconds);
                    }
                }
                Node::Zero { buffer } => {
                    let len = self.prepared.places[*buffer].len;
                    for i in 0..len {
                        // SAFETY: a buffer has `len` elements from its pointer.
                        unsafe { self.pointers[*buffer].write(i as i64, T::default()) };
                    }
                }
                Node::Step(s) => {
                    let step = &self.prepared.work[*s];
                    let began = self.timed.then(Instant::now);
                    let ins = step.ins.iter().map(|a| self.pointers[a.buffer].moved(a.at(vars)));
                    let out = self.pointers[step.out.buffer].moved(step.out.at(vars));
                    match &step.work {
                        Work::Contract(c) => {
                            let mut ins = ins;
                            if let (Some(a), Some(b)) = (ins.next(), ins.next()) {
                                contract::run(c, a, b, out, self.threads);
                            }
                        }
                        Work::General(g) => {
                            let ins: general::Operands<T> = ins.collect();
                            general::run(g, &ins, out, self.threads);
                        }
                    }
                    if let Some(t) = began {
                        seconds[*s] += t.elapsed().as_secs_f64();
                    }
                }
            }
        }
    }
}
