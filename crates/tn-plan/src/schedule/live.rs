//! When buffers are live.

use crate::ir::*;

/// The life of a buffer in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// First and last position, in the preorder of items; (0, 0) if nothing touches it.
    pub span: (u32, u32),
    /// Position of the innermost loop around all accesses; none outside.
    pub home: Option<u32>,
    /// Whether anything touches it.
    pub used: bool,
}

/// An item in preorder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flat<'a> {
    pub item: &'a Item,
    /// The loop around it, by position.
    pub parent: Option<u32>,
    /// The last position inside it (its own for steps).
    pub last: u32,
    /// How many loops are around it.
    pub depth: u32,
}

/// The items of a body in preorder, without recursion.
pub(crate) fn flatten(body: &[Item]) -> Vec<Flat<'_>> {
    let mut flat: Vec<Flat> = Vec::new();
    let mut stack: Vec<(std::slice::Iter<Item>, Option<u32>)> = vec![(body.iter(), None)];
    while let Some((items, parent)) = stack.last_mut() {
        let parent = *parent;
        let Some(item) = items.next() else {
            stack.pop();
            if let Some(p) = parent {
                flat[p as usize].last = flat.len() as u32 - 1;
            }
            continue;
        };
        let at = flat.len() as u32;
        let depth = stack.len() as u32 - 1;
        flat.push(Flat { item, parent, last: at, depth });
        if let Item::Loop(l) = item {
            stack.push((l.body.iter(), Some(at)));
        }
    }
    flat
}

/// Lifetimes of all buffers. A buffer is live from its first to its last access within the innermost loop around all of them; an access
/// in a loop deeper inside counts for the whole of that loop, since every round needs it.
pub(crate) fn lifetimes(entry: &Entry) -> Vec<Life> {
    let flat = flatten(&entry.body);
    let mut lives = vec![Life { span: (0, 0), home: None, used: false }; entry.buffers.len()];
    let widen = |life: &mut Life, at: u32| {
        let parent = flat[at as usize].parent;
        if !life.used {
            *life = Life { span: (at, at), home: parent, used: true };
            return;
        }
        // Climb from both to the innermost common loop; what was climbed out of counts as a whole.
        let (mut from, mut to) = ((at, at), parent);
        let depth = |p: Option<u32>| p.map_or(0, |p| flat[p as usize].depth + 1);
        while to != life.home {
            let (span, home) = if depth(to) >= depth(life.home) {
                (&mut from, &mut to)
            } else {
                (&mut life.span, &mut life.home)
            };
            if let Some(p) = *home {
                *span = (span.0.min(p), span.1.max(flat[p as usize].last));
                *home = flat[p as usize].parent;
            }
        }
        life.span = (life.span.0.min(from.0), life.span.1.max(from.1));
    };
    for (at, f) in flat.iter().enumerate() {
        let mut touch = |b: BufferId| {
            if let Some(life) = lives.get_mut(b.0 as usize) {
                widen(life, at as u32);
            }
        };
        match f.item {
            Item::Loop(_) => {}
            Item::Zero { buffer } => touch(*buffer),
            Item::Step(s) => {
                s.ins.iter().for_each(|a| touch(a.buffer));
                touch(s.out.buffer);
            }
        }
    }
    lives
}
