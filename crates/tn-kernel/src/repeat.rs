//! Runs of calls that are equal up to offsets become loops, so that the code of a chain does not grow with its sites.
//!
//! A run has a period (one site may take several calls). Offsets that grow evenly become `start + round·step`; others go
//! to a table with one row a round.

use crate::module::*;
use std::collections::{BTreeSet, HashMap};
use tn_ir::size::Monomial;

/// Runs of fewer calls stay as they are.
const MIN_CALLS: usize = 8;
/// The longest period that is looked for.
const MAX_PERIOD: usize = 16;

type Shape = (KernelId, Vec<Slot>);

/// Folds runs within every block.
pub fn fold(items: Vec<CallItem>) -> Vec<CallItem> {
    let items: Vec<CallItem> = items
        .into_iter()
        .map(|item| match item {
            CallItem::Loop { var, trip, body } => CallItem::Loop { var, trip, body: fold(body) },
            other => other,
        })
        .collect();
    let mut names: HashMap<Shape, u32> = HashMap::new();
    // A number for each shape of call; other items are unlike anything.
    let shapes: Vec<Option<u32>> = items
        .iter()
        .map(|item| {
            let CallItem::Call(c) = item else { return None };
            let next = names.len() as u32;
            let shape = (c.kernel, c.operands.iter().map(|o| o.slot).collect());
            Some(*names.entry(shape).or_insert(next))
        })
        .collect();
    let mut out = Vec::with_capacity(items.len());
    let mut at = 0;
    while at < items.len() {
        let run = longest_run(&shapes[at..]).and_then(|(period, rounds)| {
            let calls: Vec<&Call> = items[at..at + period * rounds]
                .iter()
                .filter_map(|i| if let CallItem::Call(c) = i { Some(c) } else { None })
                .collect();
            tabulate(&calls, period, rounds).map(|item| (item, period * rounds))
        });
        match run {
            Some((item, len)) => {
                out.push(item);
                at += len;
            }
            None => {
                out.push(items[at].clone());
                at += 1;
            }
        }
    }
    out
}

/// The (period, rounds) that covers most from the beginning, if it is worth a loop.
fn longest_run(shapes: &[Option<u32>]) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    for period in 1..=MAX_PERIOD.min(shapes.len() / 2) {
        if shapes[period - 1].is_none() {
            break;
        }
        let same = (0..shapes.len() - period)
            .take_while(|&i| shapes[i].is_some() && shapes[i] == shapes[i + period])
            .count();
        let rounds = 1 + same / period;
        let covers = period * rounds;
        if rounds >= 3 && covers >= MIN_CALLS && best.is_none_or(|(p, r)| p * r < covers) {
            best = Some((period, rounds));
        }
    }
    best
}

/// The loop over a run; none if a number that changes is negative.
fn tabulate(calls: &[&Call], period: usize, rounds: usize) -> Option<CallItem> {
    let mut table: Vec<Vec<u64>> = Vec::new();
    let mut out = Vec::with_capacity(period);
    for t in 0..period {
        let of = |round: usize| calls[round * period + t];
        let mut operands = Vec::new();
        for k in 0..of(0).operands.len() {
            let operand = |round: usize| &of(round).operands[k];
            let members: Vec<i128> = (0..rounds).map(|r| operand(r).member.value(0, &[])).collect();
            let member = number(&members, &mut table)?;
            let keys: BTreeSet<(Option<u32>, Monomial)> = (0..rounds)
                .flat_map(|r| operand(r).offset.iter().map(|o| (o.var, o.monomial.clone())))
                .collect();
            let mut offset = Vec::new();
            for (var, monomial) in keys {
                let values: Vec<i128> = (0..rounds)
                    .map(|r| {
                        let terms = operand(r).offset.iter();
                        let mine = terms.filter(|o| o.var == var && o.monomial == monomial);
                        mine.map(|o| o.factor.value(0, &[])).sum()
                    })
                    .collect();
                offset.push(OffsetTerm { factor: number(&values, &mut table)?, monomial, var });
            }
            operands.push(Operand { slot: operand(0).slot, member, offset });
        }
        out.push(Call { kernel: of(0).kernel, operands });
    }
    Some(CallItem::Repeat { rounds: rounds as u32, table, calls: out })
}

fn number(values: &[i128], table: &mut Vec<Vec<u64>>) -> Option<Number> {
    let start = values[0];
    if values.iter().all(|&v| v == start) {
        return Some(Number::Fixed(start));
    }
    let step = values[1] - start;
    if start >= 0 && step >= 0 && values.windows(2).all(|w| w[1] - w[0] == step) {
        return Some(Number::Linear { start, step });
    }
    let column: Vec<u64> = values.iter().map(|&v| u64::try_from(v).ok()).collect::<Option<_>>()?;
    let at = table.iter().position(|c| *c == column).unwrap_or_else(|| {
        table.push(column);
        table.len() - 1
    });
    Some(Number::Column(at as u32))
}
