//! Tests of runs that become loops.

use crate::module::*;
use crate::repeat::fold;
use tn_ir::size::Monomial;

fn call(kernel: u32, from: i128, to: i128) -> CallItem {
    let at = |slot, n| Operand {
        slot,
        member: Number::Fixed(0),
        offset: vec![OffsetTerm { factor: Number::Fixed(n), monomial: Monomial::new(), var: None }],
    };
    CallItem::Call(Call {
        kernel: KernelId(kernel),
        operands: vec![at(Slot::Params, from), at(Slot::Workspace, to)],
    })
}

/// The calls of items, loops unrolled, as (kernel, offsets).
fn unroll(items: &[CallItem]) -> Vec<(u32, Vec<i128>)> {
    let mut out = Vec::new();
    for item in items {
        let mut push = |c: &Call, round: u32, table: &[Vec<u64>]| {
            let offset = |o: &Operand| o.offset.iter().map(|t| t.factor.value(round, table)).sum();
            out.push((c.kernel.0, c.operands.iter().map(offset).collect()));
        };
        match item {
            CallItem::Call(c) => push(c, 0, &[]),
            CallItem::Repeat { rounds, table, calls } => {
                (0..*rounds).for_each(|r| calls.iter().for_each(|c| push(c, r, table)));
            }
            _ => {}
        }
    }
    out
}

#[test]
fn alternating_calls_become_one_loop_with_a_table_for_what_is_uneven() {
    let mut items = vec![call(7, 0, 0)];
    for k in 0..50i128 {
        items.push(call(1, 16 * k, k * k));
        items.push(call(2, 5, k % 2));
    }
    items.push(call(1, 3, 4));
    let folded = fold(items.clone());
    assert_eq!(unroll(&folded), unroll(&items));
    let CallItem::Repeat { rounds, table, calls } = &folded[1] else { panic!("a loop was expected") };
    assert_eq!((*rounds, table.len(), calls.len()), (50, 2, 2));
    assert_eq!(calls[0].operands[0].offset[0].factor, Number::Linear { start: 0, step: 16 });
    assert_eq!(folded.len(), 3);
}

#[test]
fn short_runs_stay_as_they_are() {
    let items: Vec<CallItem> = (0..7).map(|k| call(1, k, 0)).collect();
    assert_eq!(fold(items.clone()), items);
}
