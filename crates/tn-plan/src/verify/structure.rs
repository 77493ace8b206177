//! Checks that need no dag.

use super::{Errors, Sizes, chains, samples};
use crate::ir::*;
use crate::schedule::live::flatten;
use std::collections::{BTreeMap, BTreeSet};
use tn_ir::scalar::ScalarOp;
use tn_ir::size::numel;

/// Checks of one schedule what the other checks rely on: that everything exists that is referred to.
pub(super) fn references(plan: &Plan, errors: &mut Errors) {
    for (i, f) in plan.bodies.iter().enumerate() {
        let known = |at: usize, op: &ScalarOp| match op {
            ScalarOp::Arg(k) => *k < f.arity,
            other => other.args().iter().all(|&r| (r as usize) < at),
        };
        if f.ops.is_empty() || !f.ops.iter().enumerate().all(|(at, op)| known(at, op)) {
            errors.add(format!("function {i} refers to what does not come before"));
        }
    }
    let mut kinds = BTreeSet::new();
    for entry in &plan.entries {
        errors.entry = Some(entry.kind);
        if !kinds.insert(entry.kind) {
            errors.add("the entry occurs twice");
        }
        buffers(plan, entry, errors);
        shapes(plan, entry, errors);
        errors.item = None;
    }
    errors.entry = None;
}

/// Checks of one schedule, in which [`references`] found no fault, where it reads and writes, and in which order.
pub(super) fn accesses(plan: &Plan, errors: &mut Errors) {
    for entry in &plan.entries {
        errors.entry = Some(entry.kind);
        order(entry, errors);
        for sizes in samples(plan) {
            if errors.enough() {
                break;
            }
            bounds(entry, &sizes, errors);
            errors.item = None;
            arenas(entry, &sizes, errors);
        }
        errors.item = None;
    }
    errors.entry = None;
}

/// Classes, lengths and symbols of buffers.
fn buffers(plan: &Plan, entry: &Entry, errors: &mut Errors) {
    let leaf = |i: u32| plan.leaves.get(i as usize).map(|l| numel(&l.dims));
    let output = |i: u32| plan.outputs.get(i as usize).map(|o| numel(&o.dims));
    let mut seen = BTreeSet::new();
    for b in entry.buffers.iter() {
        let want = match b.class {
            Class::Leaf(i) | Class::Tangent(i) | Class::Grad(i) => leaf(i),
            Class::Cotangent(i) | Class::Output(i) | Class::Jvp(i) => output(i),
            Class::Saved | Class::Workspace => Some(b.len.clone()),
        };
        match want {
            None => errors.add(format!("buffer `{}` belongs to an array that does not exist", b.name)),
            Some(len) if len != b.len => {
                errors.add(format!("buffer `{}` has not the length of its array", b.name))
            }
            Some(_) => {}
        }
        let arena = matches!(b.class, Class::Saved | Class::Workspace);
        if !arena && !b.offset.is_zero() {
            errors.add(format!("buffer `{}` of the caller has an offset", b.name));
        }
        if !arena && !seen.insert(b.class.clone()) {
            errors.add(format!("buffer `{}` occurs twice", b.name));
        }
        let fits = match b.class {
            Class::Leaf(_) | Class::Workspace => true,
            Class::Saved => matches!(entry.kind, EntryKind::ForwardSaving | EntryKind::Vjp),
            Class::Cotangent(_) | Class::Grad(_) => entry.kind == EntryKind::Vjp,
            Class::Tangent(_) | Class::Jvp(_) => entry.kind == EntryKind::Jvp,
            Class::Output(_) => entry.kind != EntryKind::Vjp,
        };
        if !fits {
            errors.add(format!("buffer `{}` is of no use in this entry", b.name));
        }
    }
    let mut polys = entry.buffers.iter().flat_map(|b| [&b.len, &b.offset]);
    let known =
        |p: &tn_ir::size::Poly| p.symbols().iter().all(|s| plan.symbols.get(*s).is_some_and(|x| x.is_dyn()));
    if !polys.all(known) || !known(&entry.workspace_len) || !known(&entry.saved_len) {
        errors.add("a length or offset has a symbol that is not known at run time");
    }
}

/// Whether an array of this class may be written by this entry.
fn writable(class: &Class, kind: EntryKind) -> bool {
    match class {
        Class::Leaf(_) | Class::Cotangent(_) | Class::Tangent(_) => false,
        Class::Saved => kind == EntryKind::ForwardSaving,
        _ => true,
    }
}

/// Ids, arities, open loops.
fn shapes(plan: &Plan, entry: &Entry, errors: &mut Errors) {
    let flat = flatten(&entry.body);
    let chains = chains(&entry.body);
    for (at, f) in flat.iter().enumerate() {
        errors.item = Some(at as u32);
        if errors.enough() {
            return;
        }
        let open: Vec<u32> = chains[at]
            .iter()
            .filter_map(|&p| match flat[p as usize].item {
                Item::Loop(l) => Some(l.var),
                _ => None,
            })
            .collect();
        match f.item {
            Item::Loop(l) => {
                if l.var as usize >= entry.vars.len() {
                    errors.add("the loop has a variable that does not exist");
                }
                if open.contains(&l.var) {
                    errors.add("the loop's variable already runs outside it");
                }
                if l.body.is_empty() {
                    errors.add("the loop is empty");
                }
            }
            Item::Zero { buffer } => match entry.buffers.get(*buffer) {
                None => errors.add("a buffer that does not exist is set to zero"),
                Some(b) if !writable(&b.class, entry.kind) => {
                    errors.add(format!("`{}` must not be written", b.name))
                }
                Some(_) => {}
            },
            Item::Step(s) => step_shape(plan, entry, s, &open, errors),
        }
    }
    errors.item = None;
}

fn step_shape(plan: &Plan, entry: &Entry, s: &Step, open: &[u32], errors: &mut Errors) {
    for a in s.ins.iter().chain([&s.out]) {
        if entry.buffers.get(a.buffer).is_none() {
            return errors.add("the step refers to a buffer that does not exist");
        }
        if a.strides.len() != s.space.len() {
            return errors.add("an access has not one stride for each axis");
        }
        if a.moves.iter().any(|m| !open.contains(&m.0)) {
            errors.add("an access moves with a loop that does not run");
        }
        if (1..a.moves.len()).any(|i| a.moves[..i].iter().any(|m| m.0 == a.moves[i].0)) {
            errors.add("an access moves twice with one loop");
        }
    }
    match plan.bodies.get(s.body.0 as usize) {
        None => errors.add("the step's function does not exist"),
        Some(f) if f.arity as usize != s.ins.len() => {
            errors.add("the step has not one operand for each argument of its function")
        }
        Some(_) => {}
    }
    if s.space.iter().zip(&s.out.strides).any(|(x, p)| x.reduce && !p.is_zero()) {
        errors.add("the result moves along an axis that is folded away");
    }
    if let Some(i) = s.space.iter().position(|x| x.reduce)
        && s.space[i..].iter().any(|x| !x.reduce)
    {
        errors.add("a kept axis stands after a folded one");
    }
    if !writable(&entry.buffers[s.out.buffer].class, entry.kind) {
        errors.add(format!("`{}` must not be written", entry.buffers[s.out.buffer].name));
    }
    for a in s.ins.iter().filter(|a| a.buffer == s.out.buffer) {
        let alike = a.offset == s.out.offset && a.moves == s.out.moves && a.strides == s.out.strides;
        if !alike || s.write != Write::Set || s.space.iter().any(|x| x.reduce) {
            errors.add("the step overwrites what it still reads");
        }
    }
}

/// Nothing is read or added to before something wrote it, in the order of items.
fn order(entry: &Entry, errors: &mut Errors) {
    let mut there: Vec<bool> = entry
        .buffers
        .iter()
        .map(|b| match b.class {
            Class::Leaf(_) | Class::Cotangent(_) | Class::Tangent(_) => true,
            Class::Saved => entry.kind == EntryKind::Vjp,
            _ => false,
        })
        .collect();
    for (at, f) in flatten(&entry.body).iter().enumerate() {
        errors.item = Some(at as u32);
        match f.item {
            Item::Loop(_) => {}
            Item::Zero { buffer } => there[buffer.0 as usize] = true,
            Item::Step(s) => {
                for a in &s.ins {
                    if !there[a.buffer.0 as usize] {
                        errors
                            .add(format!("`{}` is read before it is written", entry.buffers[a.buffer].name));
                    }
                }
                let out = s.out.buffer.0 as usize;
                if s.write == Write::Accumulate && !there[out] {
                    errors
                        .add(format!("`{}` is added to before it is set", entry.buffers[s.out.buffer].name));
                }
                there[out] = true;
            }
        }
    }
    errors.item = None;
    for (b, there) in entry.buffers.iter().zip(there) {
        let result = matches!(b.class, Class::Output(_) | Class::Grad(_) | Class::Jvp(_));
        if !there && (result || b.class == Class::Saved) {
            errors.add(format!("`{}` is never written", b.name));
        }
    }
}

/// Every access stays in its buffer; no result is written twice by one run of a step.
fn bounds(entry: &Entry, sizes: &Sizes, errors: &mut Errors) {
    let flat = flatten(&entry.body);
    let mut trips: BTreeMap<u32, i128> = BTreeMap::new();
    for (at, f) in flat.iter().enumerate() {
        errors.item = Some(at as u32);
        match f.item {
            // A variable may run in several nests one after the other; the latest counts.
            Item::Loop(l) => {
                trips.insert(l.var, sizes.dim(l.trip));
            }
            Item::Zero { .. } => {}
            Item::Step(s) => {
                let space: Vec<i128> = s.space.iter().map(|x| sizes.dim(x.size)).collect();
                if space.contains(&0) {
                    continue;
                }
                for a in s.ins.iter().chain([&s.out]) {
                    let (mut low, mut high) = (sizes.poly(&a.offset), sizes.poly(&a.offset));
                    let moves =
                        a.moves.iter().map(|(v, p)| (trips.get(v).copied().unwrap_or(1), sizes.poly(p)));
                    let axes = space.iter().copied().zip(a.strides.iter().map(|p| sizes.poly(p)));
                    for (size, stride) in moves.chain(axes) {
                        let reach = (size - 1).saturating_mul(stride);
                        low += reach.min(0);
                        high += reach.max(0);
                    }
                    let b = &entry.buffers[a.buffer];
                    if low < 0 || high >= sizes.poly(&b.len) {
                        errors.add(format!("`{}` leaves `{}` ({low}..={high})", s.text, b.name));
                        break;
                    }
                }
                if !injective(s, sizes, &space) {
                    errors.add(format!("`{}` writes an element twice", s.text));
                }
            }
        }
        if errors.enough() {
            return;
        }
    }
}

/// Whether different kept indices are different elements: each stride exceeds all that smaller ones reach together.
fn injective(s: &Step, sizes: &Sizes, space: &[i128]) -> bool {
    let mut axes: Vec<(i128, i128)> = (0..space.len())
        .filter(|&i| !s.space[i].reduce && space[i] > 1)
        .map(|i| (sizes.poly(&s.out.strides[i]).abs(), space[i]))
        .collect();
    axes.sort_unstable();
    let mut reach = 0;
    for (stride, size) in axes {
        if stride <= reach {
            return false;
        }
        reach += stride * (size - 1);
    }
    true
}

/// Arenas are long enough and live buffers do not overlap.
fn arenas(entry: &Entry, sizes: &Sizes, errors: &mut Errors) {
    let (workspace, saved) = (sizes.poly(&entry.workspace_len), sizes.poly(&entry.saved_len));
    let lives = lives(entry);
    let mut pieces: Vec<(u32, u32, i128, i128, BufferId)> = Vec::new();
    let mut keeps: Vec<(i128, i128)> = Vec::new();
    for (id, b) in entry.buffers.enumerate() {
        let (from, len) = (sizes.poly(&b.offset), sizes.poly(&b.len));
        let arena = match b.class {
            Class::Workspace => workspace,
            Class::Saved => saved,
            _ => continue,
        };
        if from < 0 || len < 0 || from + len > arena {
            errors.add(format!("buffer `{}` leaves its arena of {arena} elements", b.name));
        }
        if b.class == Class::Saved {
            keeps.push((from, from + len));
            continue;
        }
        if let Some((first, last)) = lives[id.0 as usize] {
            if first < b.live.0 || last > b.live.1 {
                errors.add(format!("buffer `{}` is used outside its declared life", b.name));
            }
            if len > 0 {
                pieces.push((b.live.0.min(first), b.live.1.max(last), from, from + len, id));
            }
        }
    }
    keeps.sort_unstable();
    if keeps.windows(2).any(|w| w[0].1 > w[1].0) {
        errors.add("saved values overlap");
    }
    // A sweep over positions: what is live is kept by place, so only neighbours must be looked at.
    pieces.sort_unstable();
    let mut ends: BTreeSet<(u32, i128)> = BTreeSet::new();
    let mut live: BTreeMap<i128, (i128, BufferId)> = BTreeMap::new();
    for (first, last, from, to, id) in pieces {
        while let Some(&(end, place)) = ends.first() {
            if end >= first {
                break;
            }
            ends.remove(&(end, place));
            live.remove(&place);
        }
        let below = live.range(..to).next_back();
        if let Some((_, (end, other))) = below
            && *end > from
        {
            let (x, y) = (&entry.buffers[id].name, &entry.buffers[*other].name);
            errors.add(format!("`{x}` and `{y}` overlap while both are live"));
            return;
        }
        live.insert(from, (to, id));
        ends.insert((last, from));
    }
}

/// First and last position at which each buffer must hold its content, from the accesses alone.
fn lives(entry: &Entry) -> Vec<Option<(u32, u32)>> {
    let flat = flatten(&entry.body);
    let chains = chains(&entry.body);
    let mut touched: Vec<Vec<u32>> = vec![vec![]; entry.buffers.len()];
    for (at, f) in flat.iter().enumerate() {
        match f.item {
            Item::Loop(_) => {}
            Item::Zero { buffer } => touched[buffer.0 as usize].push(at as u32),
            Item::Step(s) => {
                for a in s.ins.iter().chain([&s.out]) {
                    touched[a.buffer.0 as usize].push(at as u32);
                }
            }
        }
    }
    let life = |positions: &Vec<u32>| {
        let first = chains.get(*positions.first()? as usize)?;
        let common = positions.iter().fold(first.len(), |n, &p| {
            let chain = &chains[p as usize];
            (0..n.min(chain.len())).take_while(|&i| chain[i] == first[i]).count()
        });
        let whole = |p: u32| match chains[p as usize].get(common) {
            Some(&l) => (l, flat[l as usize].last),
            None => (p, p),
        };
        let spans = positions.iter().map(|&p| whole(p));
        spans.reduce(|x, y| (x.0.min(y.0), x.1.max(y.1)))
    };
    touched.iter().map(life).collect()
}
