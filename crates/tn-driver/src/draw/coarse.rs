//! A tree of very many inputs, drawn with a bounded number of lines.
//!
//! The inputs stand in a row, and neighbours share a group. A tensor made from inputs of one group is not drawn; tensors that reach from the same
//! group to the same group lie one above the other and are drawn as one stroke. Of the lines that would then lie on each other, the one
//! of the largest tensor stands for all. There are a few times as many lines as groups, whatever the tree.

use super::RegionNet;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Groups at most: about two pixels each where a page is as wide as a screen.
const GROUPS: usize = 500;

/// A line of a tree, from a tensor to the one that is made from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub child: usize,
    pub parent: usize,
    /// log2 of the elements of the largest tensor that it stands for.
    pub size: f64,
    /// How many it stands for.
    pub count: usize,
    /// Whether it runs through tensors that are drawn as one.
    pub within: bool,
}

/// The lines, and how many inputs a group has. `order` is that of the inputs in the row.
pub(super) fn grouped(n: usize, path: &[(u32, u32)], order: &[usize], size: &[f64]) -> (Vec<Line>, usize) {
    let group = n.div_ceil(GROUPS).max(1);
    // From which group to which one a tensor reaches.
    let mut reach = vec![(usize::MAX, 0); n + path.len()];
    for (k, &input) in order.iter().enumerate() {
        reach[input] = (k / group, k / group);
    }
    let mut lines: BTreeMap<[(usize, usize); 2], Line> = BTreeMap::new();
    for (k, &(a, b)) in path.iter().enumerate() {
        let parent = n + k;
        let children = [a as usize, b as usize];
        let children = || children.into_iter().filter(|&c| c < parent);
        reach[parent] = children().fold((usize::MAX, 0), |r, c| (r.0.min(reach[c].0), r.1.max(reach[c].1)));
        if reach[parent].0 >= reach[parent].1 {
            continue;
        }
        for child in children() {
            let line =
                Line { child, parent, size: size[child], count: 1, within: reach[child] == reach[parent] };
            match lines.entry([reach[child], reach[parent]]) {
                Entry::Vacant(v) => {
                    v.insert(line);
                }
                Entry::Occupied(mut o) => {
                    let old = o.get_mut();
                    let one = if old.within {
                        // From the lowest to the highest.
                        Line { parent, size: old.size.max(line.size), ..*old }
                    } else if old.size < line.size {
                        line
                    } else {
                        *old
                    };
                    *old = Line { count: old.count + 1, ..one };
                }
            }
        }
    }
    (lines.into_values().collect(), group)
}

/// log2 of the elements of each tensor without the sliced indices, in about linear time, also where tensors have very many indices.
pub(super) fn sizes(net: &RegionNet, path: &[(u32, u32)], sliced: &[u32]) -> Vec<f64> {
    let sliced: BTreeSet<u32> = sliced.iter().copied().collect();
    let log2 = |i: u32| if sliced.contains(&i) { 0.0 } else { (net.sizes[i as usize] as f64).log2() };
    let mut count = vec![0usize; net.sizes.len()];
    net.output.iter().for_each(|&i| count[i as usize] += 1);
    let mut legs: Vec<BTreeSet<u32>> =
        net.input_indices.iter().map(|list| list.iter().copied().collect()).collect();
    legs.iter().flatten().for_each(|&i| count[i as usize] += 1);
    let mut out: Vec<f64> = legs.iter().map(|l| l.iter().map(|&i| log2(i)).sum()).collect();
    // What is on one input alone is summed with the first contraction.
    legs.iter_mut().for_each(|l| l.retain(|&i| count[i as usize] > 1));
    let mut sums: Vec<f64> = legs.iter().map(|l| l.iter().map(|&i| log2(i)).sum()).collect();
    for (k, &(a, b)) in path.iter().enumerate() {
        let (a, b, limit) = (a as usize, b as usize, net.inputs.len() + k);
        if a >= limit || b >= limit {
            legs.push(BTreeSet::new());
            sums.push(0.0);
            out.push(0.0);
            continue;
        }
        let (few, many) = if legs[a].len() < legs[b].len() { (a, b) } else { (b, a) };
        let (few, mut own) = (std::mem::take(&mut legs[few]), (std::mem::take(&mut legs[many]), sums[many]));
        // What was on one of them alone stays; what both have is there once, or summed.
        for i in few {
            if own.0.insert(i) {
                own.1 += log2(i);
            } else {
                count[i as usize] -= 1;
                if count[i as usize] <= 1 {
                    own.0.remove(&i);
                    own.1 -= log2(i);
                }
            }
        }
        legs.push(own.0);
        sums.push(own.1);
        out.push(own.1.max(0.0));
    }
    out
}
