//! Sizes put in: offsets, strides and lengths become numbers, and every access is checked against its buffer.

use crate::contract::Contract;
use crate::element::Element;
use crate::general::General;
use crate::{ExecError, contract};
use std::collections::BTreeMap;
use tn_ir::size::{Poly, SymbolId};
use tn_plan::ir::*;

/// An entry with all sizes put in.
pub(crate) struct Prepared<T> {
    pub body: Vec<Node>,
    /// Steps in the order in which the entry names them.
    pub work: Vec<StepWork<T>>,
    pub steps: usize,
    pub places: Vec<Place>,
    pub workspace_len: usize,
    pub saved_len: usize,
}

/// Where a buffer lies in its arena (at 0 in one of its own, if it is the caller's).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    arena: usize,
    pub offset: usize,
    pub len: usize,
}

/// What happens, in order.
pub(crate) enum Node {
    Loop { var: usize, trip: i64, body: Vec<Node> },
    Step(usize),
    Zero { buffer: usize },
}

/// An access with its strides elsewhere.
pub(crate) struct At {
    pub buffer: usize,
    offset: i64,
    moves: Vec<(usize, i64)>,
}

impl At {
    /// Where it begins now.
    pub fn at(&self, vars: &[i64]) -> i64 {
        self.moves.iter().fold(self.offset, |o, &(v, by)| o + vars[v] * by)
    }
}

/// A step and how it is walked.
pub(crate) struct StepWork<T> {
    pub ins: Vec<At>,
    pub out: At,
    pub work: Work<T>,
}

/// How a nest is walked.
pub(crate) enum Work<T> {
    /// A product of two operands, summed.
    Contract(Contract<T>),
    /// Any function.
    General(General<T>),
}

/// An axis with its length and its stride in each operand (the result last).
#[derive(Clone, Debug)]
pub(crate) struct NestAxis {
    pub len: i64,
    pub reduce: bool,
    pub strides: Vec<i64>,
}

struct Maker<'a> {
    plan: &'a Plan,
    size: &'a dyn Fn(SymbolId) -> u64,
    places: Vec<Place>,
    names: Vec<&'a str>,
    /// Trip counts of the loops around, by variable.
    trips: Vec<Option<i64>>,
}

/// Prepares an entry.
pub(crate) fn prepare<T: Element>(
    plan: &Plan,
    entry: &Entry,
    size: &dyn Fn(SymbolId) -> u64,
) -> Result<Prepared<T>, ExecError> {
    let mut m = Maker { plan, size, places: vec![], names: vec![], trips: vec![None; entry.vars.len()] };
    let workspace_len = m.length(&entry.workspace_len)?;
    let saved_len = m.length(&entry.saved_len)?;
    let mut arenas: BTreeMap<&Class, usize> = BTreeMap::new();
    for b in entry.buffers.iter() {
        let len = m.length(&b.len)?;
        let (offset, arena) = match b.class {
            Class::Workspace => (m.length(&b.offset)?, Some(workspace_len)),
            Class::Saved => (m.length(&b.offset)?, Some(saved_len)),
            _ => (0, None),
        };
        if arena.is_some_and(|a| offset.checked_add(len).is_none_or(|end| end > a)) {
            return Err(ExecError::Invalid(format!("buffer `{}` leaves its arena", b.name)));
        }
        // Buffers of one class are the same array.
        let next = arenas.len();
        let arena = *arenas.entry(&b.class).or_insert(next);
        m.places.push(Place { arena, offset, len });
        m.names.push(&b.name);
    }
    let mut work = Vec::new();
    let body = m.nodes(&entry.body, &mut work)?;
    Ok(Prepared { body, steps: work.len(), work, places: m.places, workspace_len, saved_len })
}

impl Maker<'_> {
    fn eval(&self, p: &Poly) -> Result<i64, ExecError> {
        let value = p.eval(|s| (self.size)(s) as i64);
        i64::try_from(value).map_err(|_| ExecError::Invalid("a length does not fit into 64 bits".into()))
    }
    fn length(&self, p: &Poly) -> Result<usize, ExecError> {
        let bytes = self.plan.dtype.bytes() as usize;
        let n =
            usize::try_from(self.eval(p)?).ok().filter(|n| n.checked_mul(bytes).is_some_and(|b| b < 1 << 62));
        n.ok_or_else(|| ExecError::Invalid("a length is negative or larger than any memory".into()))
    }

    fn nodes<T: Element>(
        &mut self,
        items: &[Item],
        work: &mut Vec<StepWork<T>>,
    ) -> Result<Vec<Node>, ExecError> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.push(match item {
                Item::Loop(l) => {
                    let trip = l.trip.eval(|s| (self.size)(s)) as i64;
                    let var = l.var as usize;
                    match self.trips.get_mut(var) {
                        Some(t) => *t = Some(trip),
                        None => return Err(ExecError::Invalid("a loop has no variable".into())),
                    }
                    let body = self.nodes(&l.body, work)?;
                    self.trips[var] = None;
                    Node::Loop { var, trip, body }
                }
                Item::Zero { buffer } => Node::Zero { buffer: self.buffer(*buffer)? },
                Item::Step(s) => {
                    let step = self.step(s)?;
                    work.push(step);
                    Node::Step(work.len() - 1)
                }
            });
        }
        Ok(out)
    }

    fn buffer(&self, b: BufferId) -> Result<usize, ExecError> {
        let at = b.0 as usize;
        if at < self.places.len() {
            Ok(at)
        } else {
            Err(ExecError::Invalid("there is no such buffer".into()))
        }
    }

    fn step<T: Element>(&self, s: &Step) -> Result<StepWork<T>, ExecError> {
        let mut axes = Vec::with_capacity(s.space.len());
        for (k, a) in s.space.iter().enumerate() {
            let strides = s.ins.iter().chain([&s.out]).map(|x| match x.strides.get(k) {
                Some(p) => self.eval(p),
                None => Err(ExecError::Invalid(format!("`{}` lacks a stride", s.text))),
            });
            axes.push(NestAxis {
                len: a.size.eval(|s| (self.size)(s)) as i64,
                reduce: a.reduce,
                strides: strides.collect::<Result<_, _>>()?,
            });
        }
        let ins = s.ins.iter().enumerate().map(|(k, a)| self.access(a, &axes, k, &s.text));
        let ins = ins.collect::<Result<Vec<_>, _>>()?;
        let out = self.access(&s.out, &axes, s.ins.len(), &s.text)?;
        let body = self.plan.bodies.get(s.body.0 as usize);
        let body = body.ok_or_else(|| ExecError::Invalid(format!("`{}` has no function", s.text)))?;
        if body.arity as usize > ins.len() {
            return Err(ExecError::Invalid(format!("`{}` lacks an operand", s.text)));
        }
        // Where the result lies in the memory of an operand, a fixed order of all points is needed.
        let overlaps = ins.iter().any(|a| {
            let (p, q) = (self.places[a.buffer], self.places[out.buffer]);
            p.arena == q.arena && p.offset < q.offset + q.len && q.offset < p.offset + p.len
        });
        let work = match contract::recognise::<T>(&axes, body, s.fold, s.write, overlaps) {
            Some(c) => Work::Contract(c),
            None => Work::General(General::new(&axes, ins.len() + 1, body, s.fold, s.write, overlaps)),
        };
        Ok(StepWork { ins, out, work })
    }

    fn access(&self, a: &Access, axes: &[NestAxis], operand: usize, text: &str) -> Result<At, ExecError> {
        let buffer = self.buffer(a.buffer)?;
        let offset = self.eval(&a.offset)?;
        let mut moves = Vec::with_capacity(a.moves.len());
        let (mut low, mut high) = (i128::from(offset), i128::from(offset));
        let mut reach = |len: i64, by: i64| {
            let far = i128::from(len - 1) * i128::from(by);
            low += far.min(0);
            high += far.max(0);
        };
        let mut empty = false;
        for (v, p) in &a.moves {
            let by = self.eval(p)?;
            let Some(Some(trip)) = self.trips.get(*v as usize) else {
                return Err(ExecError::Invalid(format!("`{text}` moves with a loop that is not around it")));
            };
            empty |= *trip < 1;
            reach((*trip).max(1), by);
            moves.push((*v as usize, by));
        }
        for x in axes {
            empty |= x.len < 1;
            reach(x.len.max(1), x.strides[operand]);
        }
        if !empty && (low < 0 || high >= self.places[buffer].len as i128) {
            return Err(ExecError::Invalid(format!(
                "`{text}` leaves buffer `{}` of {} elements: {low}..={high}",
                self.names[buffer], self.places[buffer].len
            )));
        }
        Ok(At { buffer, offset, moves })
    }
}
