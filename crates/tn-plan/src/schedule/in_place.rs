//! Elementwise steps that write into the buffer of an operand that dies there.

use super::live::{Life, flatten};
use crate::ir::*;

/// Gives results the buffers of operands that die in their step: the two become one buffer. Only where the step folds nothing, overwrites,
/// and walks both in the same way, each element once; other operands must not read that buffer differently.
pub(crate) fn reuse(entry: &mut Entry, lives: &mut [Life]) {
    let mut same: Vec<BufferId> = entry.buffers.ids().collect();
    for (at, f) in flatten(&entry.body).iter().enumerate() {
        let Item::Step(s) = f.item else { continue };
        let at = at as u32;
        let out = &s.out;
        let (class, len) = (&entry.buffers[out.buffer].class, &entry.buffers[out.buffer].len);
        let life = lives[out.buffer.0 as usize];
        let fresh = *class == Class::Workspace && life.span.0 == at && life.home == f.parent;
        if !fresh || s.write != Write::Set || s.space.iter().any(|a| a.reduce) {
            continue;
        }
        let covers = s.space.iter().fold(tn_ir::size::Poly::one(), |p, a| &p * &a.size.poly()) == *len;
        let found = s.ins.iter().find(|a| {
            let b = same[a.buffer.0 as usize];
            let theirs = lives[b.0 as usize];
            entry.buffers[b].class == Class::Workspace
                && entry.buffers[b].len == *len
                && theirs.span.1 == at
                && theirs.home == f.parent
                && walks_alike(a, out)
                && s.ins.iter().all(|o| same[o.buffer.0 as usize] != b || walks_alike(o, out))
        });
        let (Some(a), true) = (found, covers) else { continue };
        let b = same[a.buffer.0 as usize];
        lives[b.0 as usize].span.1 = life.span.1;
        same[out.buffer.0 as usize] = b;
    }
    rename(entry, &same);
}

fn walks_alike(a: &Access, b: &Access) -> bool {
    a.offset == b.offset && a.moves == b.moves && a.strides == b.strides
}

/// Replaces every buffer by the one it is the same as, and drops those that are not used any more.
fn rename(entry: &mut Entry, same: &[BufferId]) {
    let mut place = vec![BufferId(0); same.len()];
    let mut kept = tn_ir::ids::Arena::new();
    for (id, b) in entry.buffers.enumerate() {
        if same[id.0 as usize] == id {
            place[id.0 as usize] = kept.push(b.clone());
        }
    }
    let of = |b: BufferId| place[same[b.0 as usize].0 as usize];
    let mut stack: Vec<&mut Vec<Item>> = vec![&mut entry.body];
    while let Some(items) = stack.pop() {
        for item in items {
            match item {
                Item::Loop(l) => stack.push(&mut l.body),
                Item::Zero { buffer } => *buffer = of(*buffer),
                Item::Step(s) => {
                    s.ins.iter_mut().for_each(|a| a.buffer = of(a.buffer));
                    s.out.buffer = of(s.out.buffer);
                }
            }
        }
    }
    entry.buffers = kept;
}
