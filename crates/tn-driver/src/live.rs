//! What is in memory when a plan needs the most of it.

use tn_ir::size::SymbolId;
use tn_plan::cost::entry_bytes;
use tn_plan::ir::{Buffer, Class, Entry, Plan};

/// How many tensors are named; the rest are of no help.
const SHOWN: usize = 8;

/// Names and bytes of the tensors that are live at the worst moment of the entry that needs most, largest first.
pub fn live_at_worst(plan: &Plan, value_of: &dyn Fn(SymbolId) -> i64) -> Vec<(String, u128)> {
    // The first of equals, so that the answer is stable.
    let mut worst: Option<(u128, &Entry)> = None;
    for entry in &plan.entries {
        let peak = entry_bytes(plan, entry, value_of);
        if worst.is_none_or(|(p, _)| peak > p) {
            worst = Some((peak, entry));
        }
    }
    let Some((_, entry)) = worst else { return Vec::new() };
    let workspace: Vec<&Buffer> = entry.buffers.iter().filter(|b| b.class == Class::Workspace).collect();
    let mut events: Vec<(u32, bool, u128)> = Vec::new();
    for b in &workspace {
        let n = bytes(plan, b, value_of);
        events.push((b.live.0, false, n));
        events.push((b.live.1.saturating_add(1), true, n));
    }
    // What ends before a position is gone when the next begins there.
    events.sort_by_key(|&(at, ends, _)| (at, !ends));
    let (mut now, mut most, mut when) = (0u128, 0u128, 0u32);
    for (at, ends, n) in events {
        now = if ends { now.saturating_sub(n) } else { now.saturating_add(n) };
        if now > most {
            (most, when) = (now, at);
        }
    }
    let mut out: Vec<(String, u128)> = entry
        .buffers
        .iter()
        .filter(|b| b.class != Class::Workspace || (b.live.0 <= when && when <= b.live.1))
        .map(|b| (b.name.clone(), bytes(plan, b, value_of)))
        .collect();
    out.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if out.len() > SHOWN {
        let rest: u128 = out[SHOWN..].iter().map(|x| x.1).fold(0, u128::saturating_add);
        let count = out.len() - SHOWN;
        out.truncate(SHOWN);
        out.push((format!("{count} more"), rest));
    }
    out
}

fn elements(p: &tn_ir::size::Poly, value_of: &dyn Fn(SymbolId) -> i64) -> u128 {
    u128::try_from(p.eval(value_of)).unwrap_or(0)
}

fn bytes(plan: &Plan, b: &Buffer, value_of: &dyn Fn(SymbolId) -> i64) -> u128 {
    elements(&b.len, value_of).saturating_mul(plan.dtype.bytes() as u128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tn_ir::ids::Arena;
    use tn_ir::size::Poly;
    use tn_plan::ir::{EntryKind, PLAN_VERSION, Summary};

    #[test]
    fn the_worst_moment_is_found() {
        let buffer = |name: &str, class, len: u64, live| Buffer {
            class,
            name: name.into(),
            len: len.into(),
            offset: Poly::zero(),
            live,
        };
        let buffers: Arena<_, _> = [
            buffer("x", Class::Leaf(0), 10, (0, 0)),
            buffer("a", Class::Workspace, 5, (0, 1)),
            buffer("b", Class::Workspace, 7, (1, 2)),
            buffer("c", Class::Workspace, 6, (2, 3)),
        ]
        .into_iter()
        .collect();
        let entry = Entry {
            kind: EntryKind::Forward,
            buffers,
            vars: vec![],
            body: vec![],
            workspace_len: 13u64.into(),
            saved_len: Poly::zero(),
        };
        let plan = Plan {
            version: PLAN_VERSION,
            name: String::new(),
            doc: String::new(),
            source: String::new(),
            source_hash: String::new(),
            dtype: tn_ir::dtype::DType::F64,
            symbols: Arena::new(),
            leaves: vec![],
            outputs: vec![],
            bodies: vec![],
            entries: vec![entry],
            regions: vec![],
            summary: Summary::default(),
        };
        let live = live_at_worst(&plan, &|_| 1);
        assert_eq!(live, [("x".to_owned(), 80), ("b".to_owned(), 56), ("c".to_owned(), 48)]);
    }
}
