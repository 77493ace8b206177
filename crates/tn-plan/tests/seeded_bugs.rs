//! Bugs planted into correct plans. Every planted bug that changes what a plan computes, or lets it leave its memory, must be caught; each
//! kind of bug must be caught somewhere. A change without effect (the order of two independent steps) may pass.

mod common;

use common::*;
use std::collections::BTreeMap;
use tn_ir::Complex64;
use tn_ir::dag::{Dag, DagId, RootKind};
use tn_ir::scalar::{ScalarFn, ScalarOp};
use tn_ir::size::{Dim, Poly, SymbolId};
use tn_plan::interpret::interpret;
use tn_plan::ir::*;
use tn_plan::{PlanMeta, ScheduleOptions, plan, verify};

const KINDS: [EntryKind; 3] = [EntryKind::Forward, EntryKind::ForwardSaving, EntryKind::Vjp];

/// A place in a plan: entry, item in preorder, and a number to choose operands and axes by.
#[derive(Clone, Copy, Debug)]
struct Site {
    entry: usize,
    item: usize,
    pick: usize,
}

/// Plants a bug; false where there is no such thing at the site.
type Bug = fn(&mut Plan, Site) -> bool;

/// The list of items that holds the n-th item in preorder, and its place there.
fn locate(body: &[Item], mut n: usize) -> Option<Vec<usize>> {
    fn count(i: &Item) -> usize {
        match i {
            Item::Loop(l) => 1 + l.body.iter().map(count).sum::<usize>(),
            _ => 1,
        }
    }
    let (mut path, mut items) = (vec![], body);
    'down: loop {
        for (k, i) in items.iter().enumerate() {
            let c = count(i);
            if n == 0 {
                path.push(k);
                return Some(path);
            }
            if n < c {
                let Item::Loop(l) = i else { return None };
                path.push(k);
                n -= 1;
                items = &l.body;
                continue 'down;
            }
            n -= c;
        }
        return None;
    }
}

fn list<'a>(body: &'a mut Vec<Item>, path: &[usize]) -> &'a mut Vec<Item> {
    let mut items = body;
    for &k in &path[..path.len() - 1] {
        let Item::Loop(l) = &mut items[k] else { unreachable!("only loops have bodies") };
        items = &mut l.body;
    }
    items
}

fn with_list(plan: &mut Plan, s: Site, f: impl FnOnce(&mut Vec<Item>, usize) -> bool) -> bool {
    let body = &mut plan.entries[s.entry].body;
    let Some(path) = locate(body, s.item) else { return false };
    let at = path[path.len() - 1];
    f(list(body, &path), at)
}

fn with_step(plan: &mut Plan, s: Site, f: impl FnOnce(&mut Step) -> bool) -> bool {
    with_list(plan, s, |items, at| match &mut items[at] {
        Item::Step(step) => f(step),
        _ => false,
    })
}

fn with_loop(plan: &mut Plan, s: Site, f: impl FnOnce(&mut Loop) -> bool) -> bool {
    with_list(plan, s, |items, at| match &mut items[at] {
        Item::Loop(l) => f(l),
        _ => false,
    })
}

fn with_in(plan: &mut Plan, s: Site, f: impl FnOnce(&mut Access) -> bool) -> bool {
    with_step(plan, s, |step| {
        let n = step.ins.len();
        n > 0 && f(&mut step.ins[s.pick % n])
    })
}

/// Gives a step another function.
fn with_body(plan: &mut Plan, s: Site, f: impl FnOnce(&mut ScalarFn) -> bool) -> bool {
    let mut id = None;
    with_step(plan, s, |step| {
        id = Some(step.body);
        true
    });
    let Some(id) = id else { return false };
    let mut body = plan.bodies[id.0 as usize].clone();
    if !f(&mut body) {
        return false;
    }
    plan.bodies.push(body);
    let new = BodyId(plan.bodies.len() as u32 - 1);
    with_step(plan, s, |step| {
        step.body = new;
        true
    })
}

fn shift(p: &mut Poly, by: i128) -> bool {
    *p = &*p + &Poly::constant(by);
    true
}

fn swap_strides(a: &mut Access, pick: usize) -> bool {
    let n = a.strides.len();
    if n < 2 || a.strides[pick % n] == a.strides[(pick + 1) % n] {
        return false;
    }
    a.strides.swap(pick % n, (pick + 1) % n);
    true
}

fn resize(d: &mut Dim, by: i64) -> bool {
    match d {
        Dim::Const(n) => {
            *n = n.wrapping_add_signed(by);
            true
        }
        Dim::Dyn(_) => false,
    }
}

/// Replaces the run-time size by its hint.
fn freeze(p: &mut Poly) -> bool {
    let frozen = p.substitute(|_| Some(4));
    let changed = frozen != *p;
    *p = frozen;
    changed
}

fn other_buffer(plan: &Plan, s: Site, b: BufferId) -> BufferId {
    BufferId((b.0 + 1 + s.pick as u32) % plan.entries[s.entry].buffers.len() as u32)
}

fn on_buffer(plan: &mut Plan, s: Site, f: impl FnOnce(&mut Buffer) -> bool) -> bool {
    let buffers = &mut plan.entries[s.entry].buffers;
    s.item < buffers.len() && s.pick == 0 && f(&mut buffers[BufferId(s.item as u32)])
}

fn once(s: Site) -> bool {
    s.item == 0 && s.pick == 0
}

/// All bugs by name.
fn bugs() -> Vec<(&'static str, Bug)> {
    vec![
        ("two strides of an operand swapped", |p, s| with_in(p, s, |a| swap_strides(a, s.pick))),
        ("two strides of a result swapped", |p, s| with_step(p, s, |x| swap_strides(&mut x.out, s.pick))),
        ("an operand does not move", |p, s| with_in(p, s, |a| a.moves.pop().is_some())),
        ("a result does not move", |p, s| with_step(p, s, |x| x.out.moves.pop().is_some())),
        ("an operand moves too far", |p, s| {
            with_in(p, s, |a| a.moves.first_mut().is_some_and(|m| shift(&mut m.1, 1)))
        }),
        ("a result moves too far", |p, s| {
            with_step(p, s, |x| x.out.moves.first_mut().is_some_and(|m| shift(&mut m.1, 1)))
        }),
        ("an operand moves with another loop", |p, s| {
            let n = p.entries[s.entry].vars.len() as u32;
            with_in(p, s, |a| {
                n > 1
                    && a.moves.first_mut().is_some_and(|m| {
                        m.0 = (m.0 + 1) % n;
                        true
                    })
            })
        }),
        ("a factor is lost", |p, s| {
            with_body(p, s, |f| {
                let two = f.arity == 2;
                *f = ScalarFn { arity: f.arity, ops: vec![ScalarOp::Arg(0)] };
                two
            })
        }),
        ("a factor and its operand are lost", |p, s| {
            with_step(p, s, |x| x.ins.len() == 2 && x.ins.pop().is_some())
                && with_body(p, s, |f| {
                    *f = ScalarFn::identity();
                    true
                })
        }),
        ("a factor counts twice", |p, s| {
            with_body(p, s, |f| {
                let last = f.ops.len() as u32 - 1;
                let product = matches!(f.ops[last as usize], ScalarOp::Mul(..));
                f.ops.push(ScalarOp::Arg(0));
                f.ops.push(ScalarOp::Mul(last, last + 1));
                product
            })
        }),
        ("a conjugate too many", |p, s| {
            with_body(p, s, |f| {
                f.ops.push(ScalarOp::Conj(f.ops.len() as u32 - 1));
                true
            })
        }),
        ("a conjugate too few", |p, s| {
            with_body(p, s, |f| {
                let found = f.ops.iter().position(|o| matches!(o, ScalarOp::Conj(_)));
                found.is_some_and(|i| {
                    // Arg(0) stands first in every product and copy.
                    let ScalarOp::Conj(x) = f.ops[i] else { return false };
                    f.ops[i] = f.ops[x as usize];
                    true
                })
            })
        }),
        ("a sign is wrong", |p, s| {
            with_body(p, s, |f| {
                f.ops.push(ScalarOp::Neg(f.ops.len() as u32 - 1));
                true
            })
        }),
        ("a coefficient is wrong", |p, s| {
            with_body(p, s, |f| {
                let n = f.ops.iter().filter(|o| matches!(o, ScalarOp::Const(..))).count();
                let mut seen = 0;
                for op in &mut f.ops {
                    if let ScalarOp::Const(re, _) = op {
                        if seen == s.pick % n.max(1) {
                            *re = (f64::from_bits(*re) + 1e-6).to_bits();
                            return true;
                        }
                        seen += 1;
                    }
                }
                false
            })
        }),
        ("one round too many", |p, s| with_loop(p, s, |l| resize(&mut l.trip, 1))),
        ("one round too few", |p, s| with_loop(p, s, |l| resize(&mut l.trip, -1))),
        ("rounds of the hint", |p, s| {
            with_loop(p, s, |l| {
                let run_time = matches!(l.trip, Dim::Dyn(_));
                l.trip = if run_time { Dim::Const(4) } else { l.trip };
                run_time
            })
        }),
        ("a loop over another variable", |p, s| {
            let n = p.entries[s.entry].vars.len() as u32;
            with_loop(p, s, |l| {
                l.var = (l.var + 1) % n;
                n > 1
            })
        }),
        ("an operand is read one behind", |p, s| with_in(p, s, |a| shift(&mut a.offset, 1))),
        ("an operand is read one before", |p, s| with_in(p, s, |a| shift(&mut a.offset, -1))),
        ("a result goes one behind", |p, s| with_step(p, s, |x| shift(&mut x.out.offset, 1))),
        ("a result goes one before", |p, s| with_step(p, s, |x| shift(&mut x.out.offset, -1))),
        ("adds instead of setting", |p, s| {
            with_step(p, s, |x| {
                let set = x.write == Write::Set;
                x.write = Write::Accumulate;
                set
            })
        }),
        ("sets instead of adding", |p, s| {
            with_step(p, s, |x| {
                let add = x.write == Write::Accumulate;
                x.write = Write::Set;
                add
            })
        }),
        ("no zero before a sum", |p, s| {
            with_list(p, s, |items, at| {
                let zero = matches!(items[at], Item::Zero { .. });
                items.remove(at);
                zero
            })
        }),
        ("zero of another buffer", |p, s| {
            let n = p.entries[s.entry].buffers.len() as u32;
            with_list(p, s, |items, at| match &mut items[at] {
                Item::Zero { buffer } => {
                    buffer.0 = (buffer.0 + 1) % n;
                    true
                }
                _ => false,
            })
        }),
        ("zero in every round", |p, s| {
            with_list(p, s, |items, at| {
                if !matches!(items[at], Item::Zero { .. }) {
                    return false;
                }
                let next = items[at..].iter().position(|i| matches!(i, Item::Loop(_)));
                let Some(k) = next else { return false };
                let zero = items[at].clone();
                let Item::Loop(l) = &mut items[at + k] else { return false };
                l.body.insert(0, zero);
                true
            })
        }),
        ("a step is missing", |p, s| {
            with_list(p, s, |items, at| {
                let step = matches!(items[at], Item::Step(_));
                items.remove(at);
                step
            })
        }),
        ("a loop is missing", |p, s| {
            with_list(p, s, |items, at| {
                let found = matches!(items[at], Item::Loop(_));
                items.remove(at);
                found
            })
        }),
        ("a loop runs twice", |p, s| {
            with_list(p, s, |items, at| {
                let found = matches!(items[at], Item::Loop(_));
                items.insert(at, items[at].clone());
                found
            })
        }),
        ("a step runs twice", |p, s| {
            with_list(p, s, |items, at| {
                items.insert(at, items[at].clone());
                true
            })
        }),
        ("two items change places", |p, s| {
            with_list(p, s, |items, at| {
                at + 1 < items.len() && {
                    items.swap(at, at + 1);
                    true
                }
            })
        }),
        ("a step stands after its loop", |p, s| {
            with_list(p, s, |items, at| {
                let Item::Loop(l) = &mut items[at] else { return false };
                let Some(last) = l.body.pop() else { return false };
                items.insert(at + 1, last);
                true
            })
        }),
        ("a step stands before its loop", |p, s| {
            with_list(p, s, |items, at| {
                let Item::Loop(l) = &mut items[at] else { return false };
                let first = l.body.remove(0);
                items.insert(at, first);
                true
            })
        }),
        ("an operand is another buffer", |p, s| {
            let plan = p.clone();
            with_in(p, s, |a| {
                a.buffer = other_buffer(&plan, s, a.buffer);
                true
            })
        }),
        ("a result goes into another buffer", |p, s| {
            let plan = p.clone();
            with_step(p, s, |x| {
                x.out.buffer = other_buffer(&plan, s, x.out.buffer);
                true
            })
        }),
        ("operands are exchanged", |p, s| {
            with_step(p, s, |x| {
                x.ins.reverse();
                x.ins.len() > 1 && x.ins[0] != x.ins[1]
            })
        }),
        ("the fold is another", |p, s| {
            with_step(p, s, |x| {
                x.fold = if x.fold == Fold::Sum { Fold::MaxAbs } else { Fold::Sum };
                true
            })
        }),
        ("a kept axis is folded", |p, s| {
            with_step(p, s, |x| {
                let found = x.space.iter().rposition(|a| !a.reduce);
                found.is_some_and(|i| {
                    x.space[i].reduce = true;
                    x.out.strides[i] = Poly::zero();
                    true
                })
            })
        }),
        ("a folded axis is kept", |p, s| {
            with_step(p, s, |x| {
                let found = x.space.iter().position(|a| a.reduce);
                found.is_some_and(|i| {
                    x.space[i].reduce = false;
                    true
                })
            })
        }),
        ("an axis is too long", |p, s| {
            with_step(p, s, |x| {
                let n = x.space.len();
                n > 0 && resize(&mut x.space[s.pick % n].size, 1)
            })
        }),
        ("an axis is too short", |p, s| {
            with_step(p, s, |x| {
                let n = x.space.len();
                n > 0 && resize(&mut x.space[s.pick % n].size, -1)
            })
        }),
        ("an axis has the hint's length", |p, s| {
            with_step(p, s, |x| {
                let found = x.space.iter_mut().find(|a| matches!(a.size, Dim::Dyn(_)));
                found.is_some_and(|a| {
                    a.size = Dim::Const(4);
                    true
                })
            })
        }),
        ("a stride is too large", |p, s| {
            with_in(p, s, |a| {
                let n = a.strides.len();
                n > 0 && shift(&mut a.strides[s.pick % n], 1)
            })
        }),
        ("a stride of the result is too large", |p, s| {
            with_step(p, s, |x| {
                let n = x.out.strides.len();
                n > 0 && shift(&mut x.out.strides[s.pick % n], 1)
            })
        }),
        ("a stride of the hint", |p, s| with_in(p, s, |a| a.strides.iter_mut().any(freeze))),
        ("an offset of the hint", |p, s| on_buffer(p, s, |b| freeze(&mut b.offset))),
        ("two buffers share a place", |p, s| {
            let buffers = &mut p.entries[s.entry].buffers;
            let work: Vec<BufferId> =
                buffers.ids().filter(|&b| buffers[b].class == Class::Workspace).collect();
            let (Some(&x), Some(&y)) = (work.get(s.item), work.get(s.item + 1 + s.pick)) else {
                return false;
            };
            buffers[y].offset = buffers[x].offset.clone();
            true
        }),
        ("a saved value lies one behind", |p, s| {
            on_buffer(p, s, |b| b.class == Class::Saved && shift(&mut b.offset, 1))
        }),
        ("two saved values change places", |p, s| {
            let buffers = &mut p.entries[s.entry].buffers;
            let kept: Vec<BufferId> = buffers.ids().filter(|&b| buffers[b].class == Class::Saved).collect();
            let (Some(&x), Some(&y)) = (kept.get(s.item), kept.get(s.item + 1)) else { return false };
            let (a, b) = (buffers[x].offset.clone(), buffers[y].offset.clone());
            (buffers[x].offset, buffers[y].offset) = (b, a);
            s.pick == 0
        }),
        ("the workspace is too short", |p, s| {
            let e = &mut p.entries[s.entry];
            once(s) && !e.workspace_len.is_zero() && shift(&mut e.workspace_len, -1)
        }),
        ("the workspace of the hint", |p, s| once(s) && freeze(&mut p.entries[s.entry].workspace_len)),
        ("the saved arena is too short", |p, s| {
            let e = &mut p.entries[s.entry];
            once(s) && !e.saved_len.is_zero() && shift(&mut e.saved_len, -1)
        }),
        ("a buffer is too short", |p, s| on_buffer(p, s, |b| shift(&mut b.len, -1))),
        ("a life is too short", |p, s| {
            on_buffer(p, s, |b| {
                let long = b.class == Class::Workspace && b.live.1 > b.live.0;
                b.live.1 = b.live.1.saturating_sub(1);
                long
            })
        }),
        ("a leaf is another leaf", |p, s| {
            let n = p.leaves.len() as u32;
            on_buffer(p, s, |b| match &mut b.class {
                Class::Leaf(i) => {
                    *i = (*i + 1) % n;
                    true
                }
                _ => false,
            })
        }),
        ("a result is another result", |p, s| {
            on_buffer(p, s, |b| match &mut b.class {
                Class::Output(i) => {
                    *i = 1 - *i;
                    true
                }
                _ => false,
            })
        }),
        ("a step for another node", |p, s| {
            with_step(p, s, |x| {
                x.node = DagId(x.node.0.saturating_sub(1));
                true
            })
        }),
    ]
}

fn good_plans() -> Vec<(Dag, Plan)> {
    (0..10u64)
        .map(|seed| {
            let (dag, leaves, outputs) = random_dag(seed * 7919 + 3);
            let options = ScheduleOptions { in_place: seed % 4 == 3, ..ScheduleOptions::default() };
            let plan = plan(&dag, leaves, outputs, PlanMeta::default(), &KINDS, &options);
            verify(&plan, &dag).expect("the plan is right before anything is planted");
            (dag, plan)
        })
        .collect()
}

/// Whether the plan still computes what the dag says, at two run-time sizes.
fn still_right(dag: &Dag, plan: &Plan) -> bool {
    [4u64, 5].into_iter().all(|size| {
        let (by_id, by_class) = arrays(dag, size, 11);
        let mut evaluator = Evaluator::new(dag, size, by_id);
        let mut saved: Vec<Complex64> = vec![];
        plan.entries.iter().all(|entry| {
            let Ok(got) = interpret(plan, entry, &|_: SymbolId| size, &by_class, &mut saved) else {
                return false;
            };
            dag.roots.iter().all(|root| {
                let class = match root.kind {
                    RootKind::Grad => Class::Grad(root.source),
                    _ => Class::Output(root.source),
                };
                if (root.kind == RootKind::Grad) != (entry.kind == EntryKind::Vjp) {
                    return true;
                }
                let want = evaluator.value(root.node, &BTreeMap::new()).data;
                let scale = want.iter().map(|v| v.norm()).fold(1.0, f64::max);
                got.get(&class).is_some_and(|values| {
                    values.len() == want.len()
                        && values
                            .iter()
                            .zip(&want)
                            .all(|(g, w)| (g - w).norm() <= 1e-9 * scale || !w.is_finite())
                })
            })
        })
    })
}

#[test]
fn planted_bugs_are_caught() {
    let plans = good_plans();
    let bugs = bugs();
    assert!(bugs.len() >= 30);
    let mut report = Vec::new();
    for (name, bug) in &bugs {
        let (mut planted, mut caught, mut harmless) = (0, 0, 0);
        for (dag, good) in &plans {
            for entry in 0..good.entries.len() {
                for item in 0..60 {
                    for pick in 0..2 {
                        let site = Site { entry, item, pick };
                        let mut bad = good.clone();
                        if !bug(&mut bad, site) || bad == *good {
                            continue;
                        }
                        planted += 1;
                        if verify(&bad, dag).is_err() {
                            caught += 1;
                        } else {
                            let right = still_right(dag, &bad);
                            assert!(right, "{name} at {site:?} passes the verifier and changes the result");
                            harmless += 1;
                        }
                    }
                }
            }
        }
        report.push(format!("{name}: {planted} planted, {caught} caught, {harmless} without effect"));
        assert!(caught > 0, "never caught\n{}", report.join("\n"));
    }
    assert!(report.len() == bugs.len());
    // Visible with `--nocapture`; the numbers say how much each kind was tried.
    eprintln!("{}", report.join("\n"));
}
