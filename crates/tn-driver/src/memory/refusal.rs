//! Why there is no plan within a memory limit, and what would help.

use crate::compile::Prepared;
use crate::error::{Error, Infeasible, Limit, from_log2};
use crate::live::live_at_worst;
use tn_ir::size::SymbolKind;
use tn_order::Outcome;
use tn_plan::cost::declared_max;
use tn_plan::ir::{Class, Plan};

/// Bytes (log2) of leaves and outputs beyond which no memory limit is worth a search: a pebibyte.
const MOST_HELD: f64 = 50.0;

/// What no order and no slicing can change: what the caller holds, in the entry where that is most.
pub(super) fn held_bytes(plan: &Plan) -> u128 {
    let held = plan.entries.iter().map(|e| {
        let caller = e.buffers.iter().filter(|b| !matches!(b.class, Class::Saved | Class::Workspace));
        let n = caller.map(|b| b.len.eval(|s| declared_max(plan, s))).fold(0i128, i128::saturating_add);
        n.saturating_mul(plan.dtype.bytes() as i128)
    });
    u128::try_from(held.max().unwrap_or(0)).unwrap_or(0)
}

/// Where leaves and outputs alone are more than any machine has, nothing is searched for.
///
/// # Errors
/// [`Error::Infeasible`] if they are.
pub(super) fn beyond_all_memory(prepared: &Prepared, limit: u64) -> Result<(), Error> {
    let program = &prepared.program;
    let size = |i: &tn_ir::program::IndexId| (program.indices[*i].size.value.max(1) as f64).log2();
    let width = (program.dtype.bytes() as f64).log2();
    let bytes = |legs: &[tn_ir::program::IndexId]| legs.iter().map(size).sum::<f64>() + width;
    let leaves = program.leaves.iter().map(|l| (l.name.clone(), bytes(&l.legs)));
    let outputs = program.outputs.iter().map(|o| (o.name.clone(), bytes(&program.nodes[o.node].legs)));
    let mut held: Vec<(String, f64)> = leaves.chain(outputs).collect();
    held.sort_by(|a, b| b.1.total_cmp(&a.1));
    let largest = held.first().map_or(0.0, |h| h.1);
    let total = largest + held.iter().map(|h| (h.1 - largest).exp2()).sum::<f64>().max(1.0).log2();
    if total <= MOST_HELD {
        return Ok(());
    }
    let tensors = held.into_iter().take(4).map(|(name, bytes)| (name, from_log2(bytes))).collect();
    let help =
        "parameters, inputs and outputs alone take more than any machine has; a smaller network is needed";
    let (limit, smallest) = (Limit::Memory(limit), from_log2(total));
    Err(Error::Infeasible(Box::new(Infeasible { limit, smallest, tensors, help: vec![help.into()] })))
}

/// [`Error::Infeasible`] with the smallest plan that was found, or what the trees say where none was scheduled.
pub(super) fn infeasible(
    smallest: Option<(u128, Plan)>,
    limit: u64,
    outcomes: &[Outcome],
    prepared: &Prepared,
    mut more: Vec<String>,
) -> Error {
    let limit = Limit::Memory(limit);
    let Some((smallest, plan)) = smallest else {
        // Nothing was small enough to be scheduled: the trees say how much at least.
        let width = (prepared.program.dtype.bytes() as f64).log2();
        let peak = |o: &Outcome| o.cost.log2_peak;
        let worst = (0..outcomes.len()).max_by(|&a, &b| peak(&outcomes[a]).total_cmp(&peak(&outcomes[b])));
        let smallest = from_log2(worst.map_or(0.0, |r| peak(&outcomes[r])) + width);
        let tensor = |r: usize| {
            let name = format!("the largest result of `{}`", prepared.regions[r].name);
            (name, from_log2(outcomes[r].cost.log2_max_size + width))
        };
        let tensors = worst.map(tensor).into_iter().collect();
        more.push("allow more memory, or more trials of the search with `--trials`".to_owned());
        return Error::Infeasible(Box::new(Infeasible { limit, smallest, tensors, help: more }));
    };
    let held = held_bytes(&plan);
    let mut help = Vec::new();
    if let Limit::Memory(limit) = limit {
        if held > limit as u128 {
            help.push(format!(
                "parameters, inputs and outputs alone take `{held}` bytes; a smaller network or element type is needed"
            ));
            help.append(&mut more);
        } else {
            help.push(format!("allow `--memory {smallest}`"));
            help.append(&mut more);
            help.push("more trials (`--trials`) may find smaller trees".into());
        }
    }
    if plan.symbols.iter().any(|s| matches!(s.kind, SymbolKind::Dyn { max: Some(_), .. })) {
        help.push(
            "the limit must hold up to the declared maximum of run-time sizes; declare a smaller `max`"
                .into(),
        );
    }
    let tensors = live_at_worst(&plan, &|s| declared_max(&plan, s));
    Error::Infeasible(Box::new(Infeasible { limit, smallest, tensors, help }))
}
