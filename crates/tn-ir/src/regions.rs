//! L1 → L2: flattens every maximal multilinear part of a (normalised) program into one contraction.
//!
//! A contraction used by a contraction is seen through, with fresh private indices at every use; what is shared that way is found again
//! at L3 by hash-consing. Everything else (leaves, maps, sums, views, pinned definitions) is a border, and so are definitions that would be repeated
//! out of proportion (see [`crate::definitions`]). Copy tensors cost nothing (see `copies.rs`). Isometries that meet their conjugates
//! cancel (see `structure.rs`).

use crate::copies::drop_copies;
use crate::definitions::Definitions;
use crate::program::*;
use crate::region::{Region, RegionInput};
use crate::structure::{Factors, cancel, find};
use num_complex::Complex64;
use std::collections::{HashMap, HashSet};

/// What is simplified on the way to regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionRules {
    /// Isometries and unitaries cancel with their conjugates.
    pub isometries: bool,
    /// Copy tensors identify indices, and stand nowhere as arrays.
    pub copies: bool,
}

impl Default for RegionRules {
    fn default() -> RegionRules {
        RegionRules { isometries: true, copies: true }
    }
}

/// Every region that the outputs need, in dependency order; none has no inputs (numbers are no regions). `program` has been through [`crate::normalise::normalise`].
pub fn regions(program: &Program, rules: RegionRules) -> Vec<Region> {
    let definitions = Definitions::of(program);
    let wanted = definitions.wanted(program);
    let contracts = program.nodes.enumerate().filter(|(id, d)| {
        let k = id.0 as usize;
        (wanted.plain[k] || wanted.log[k]) && matches!(d.node, Node::Contract { .. })
    });
    let all = contracts.map(|(id, _)| flatten(program, &definitions, id, rules));
    let mut regions: Vec<Region> = all.filter(|r| !r.inputs.is_empty()).collect();
    name_apart(program, &mut regions);
    regions
}

/// Gives every region a name of its own: that of its output, or that of the definition it is part of with a number where that has several.
fn name_apart(program: &Program, regions: &mut [Region]) {
    let outputs: HashMap<NodeId, &str> =
        program.outputs.iter().rev().map(|o| (o.node, o.name.as_str())).collect();
    let mut taken: HashSet<String> =
        regions.iter().filter_map(|r| outputs.get(&r.result)).map(|n| n.to_string()).collect();
    let mut count: HashMap<String, u32> = HashMap::new();
    for r in regions.iter_mut() {
        if let Some(name) = outputs.get(&r.result) {
            r.name = name.to_string();
            continue;
        }
        let n = count.entry(r.name.clone()).or_default();
        loop {
            *n += 1;
            let name = if *n == 1 { r.name.clone() } else { format!("{}#{n}", r.name) };
            if taken.insert(name.clone()) {
                r.name = name;
                break;
            }
        }
    }
}

struct Flat {
    inputs: Vec<RegionInput>,
    /// Where each local index came from (size and name).
    origin: Vec<IndexId>,
    scale: Complex64,
}

fn flatten(program: &Program, definitions: &Definitions, root: NodeId, rules: RegionRules) -> Region {
    let data = &program.nodes[root];
    let mut flat = Flat { inputs: vec![], origin: data.legs.clone(), scale: Complex64::new(1.0, 0.0) };
    let open = data.legs.len();
    let env: HashMap<IndexId, u32> = data.legs.iter().enumerate().map(|(k, &i)| (i, k as u32)).collect();
    expand(program, definitions, root, env, &mut flat);
    let Flat { inputs, origin, scale } = flat;
    let parent = (0..origin.len() as u32).collect();
    let mut factors = Factors { program, inputs, parent, origin: &origin, open };
    if rules.copies {
        drop_copies(&mut factors);
    }
    let mut cancelled = vec![];
    if rules.isometries {
        (factors, cancelled) = cancel(factors);
    }
    let Factors { mut inputs, parent: mut merged, .. } = factors;
    // renumber: open indices first, then by first occurrence
    let mut number: HashMap<u32, u32> = HashMap::new();
    let mut from: Vec<IndexId> = vec![];
    let mut name_of = |i: u32, from: &mut Vec<IndexId>| {
        let root = find(&mut merged, i);
        *number.entry(root).or_insert_with(|| {
            from.push(origin[root as usize]);
            from.len() as u32 - 1
        })
    };
    let legs: Vec<u32> = (0..open as u32).map(|k| name_of(k, &mut from)).collect();
    let mut carried = vec![false; from.len()];
    for input in &mut inputs {
        for i in &mut input.indices {
            *i = name_of(*i, &mut from);
            if let Some(open) = carried.get_mut(*i as usize) {
                *open = true;
            }
        }
    }
    let mut output: Vec<u32> = legs.iter().copied().filter(|&i| carried[i as usize]).collect();
    let mut seen = vec![false; carried.len()];
    output.retain(|&i| !std::mem::replace(&mut seen[i as usize], true));
    Region {
        name: data.name.clone(),
        result: root,
        inputs,
        output,
        legs,
        sizes: from.iter().map(|&i| program.indices[i].size.clone()).collect(),
        index_names: from.iter().map(|&i| program.indices[i].name.clone()).collect(),
        scale,
        cancelled,
    }
}

/// Depth first over the contractions below `root`, with an explicit stack: definitions may nest as deep as a program is long.
fn expand(
    program: &Program,
    definitions: &Definitions,
    root: NodeId,
    env: HashMap<IndexId, u32>,
    flat: &mut Flat,
) {
    struct Frame {
        node: NodeId,
        env: HashMap<IndexId, u32>,
        next: usize,
        conj: bool,
    }
    let mut stack = vec![Frame { node: root, env, next: 0, conj: false }];
    while let Some(frame) = stack.last_mut() {
        let Node::Contract { scale, operands } = &program.nodes[frame.node].node else {
            stack.pop();
            continue;
        };
        if frame.next == 0 {
            flat.scale *= if frame.conj { scale.conj() } else { *scale };
        }
        let Some(operand) = operands.get(frame.next) else {
            stack.pop();
            continue;
        };
        frame.next += 1;
        let indices: Vec<u32> = operand
            .indices
            .iter()
            .map(|&i| {
                *frame.env.entry(i).or_insert_with(|| {
                    flat.origin.push(i);
                    flat.origin.len() as u32 - 1
                })
            })
            .collect();
        let conj = operand.conj != frame.conj;
        if let Some(number) = definitions.numbers[operand.node.0 as usize] {
            flat.scale *= if conj { number.conj() } else { number };
        } else if definitions.seen_through(program, operand.node) {
            let env = program.nodes[operand.node].legs.iter().copied().zip(indices).collect();
            stack.push(Frame { node: operand.node, env, next: 0, conj });
        } else {
            flat.inputs.push(RegionInput { value: operand.node, indices, conj });
        }
    }
}
