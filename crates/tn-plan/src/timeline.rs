//! What is live while an entry runs, step by step.

use crate::ir::*;
use crate::schedule::live::flatten;
use tn_ir::size::SymbolId;

/// What is live while a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// A position in the preorder of items, as in [`Buffer::live`]: where most is live from the end of the step before to the end of this one.
    pub position: u32,
    /// Bytes of the workspace that are live there, gaps between buffers not counted.
    pub workspace_bytes: u128,
}

/// A moment for each step, in the order of [`crate::cost::step_costs`]; `value` gives run-time sizes.
pub fn timeline(plan: &Plan, entry: &Entry, value: impl Fn(SymbolId) -> i64) -> Vec<Moment> {
    let flat = flatten(&entry.body);
    let mut begins = vec![0u128; flat.len()];
    let mut ends = vec![0u128; flat.len()];
    for b in entry.buffers.iter().filter(|b| b.class == Class::Workspace) {
        let bytes =
            u128::try_from(b.len.eval(&value)).unwrap_or(0).saturating_mul(plan.dtype.bytes() as u128);
        if let (Some(from), Some(to)) = (begins.get_mut(b.live.0 as usize), ends.get_mut(b.live.1 as usize)) {
            *from = from.saturating_add(bytes);
            *to = to.saturating_add(bytes);
        }
    }
    let mut out = Vec::new();
    let (mut live, mut most): (u128, Option<Moment>) = (0, None);
    for (at, f) in flat.iter().enumerate() {
        live = live.saturating_add(begins[at]);
        if most.is_none_or(|m| live > m.workspace_bytes) {
            most = Some(Moment { position: at as u32, workspace_bytes: live });
        }
        live = live.saturating_sub(ends[at]);
        if let Item::Step(_) = f.item {
            out.extend(most.take());
        }
    }
    out
}
