//! What an entry computes: which nodes, which of them stand in loops, and in which run of a nest.
//!
//! A value that leaves its loops by `Collect` is complete only after them. So the collects of a nest fall into *groups*: those of one group
//! are ready together and share one run of the loops. Groups are found by letting values become available: outside the loops everything
//! whose arguments are available is; a nest runs when nothing else is left to do, with all collects that are ready by then, and preferably one
//! whose collects are all ready. What a group needs inside the loops is computed in that group, even if another group computes it too.

use super::views::View;
use std::collections::BTreeMap;
use tn_ir::dag::{Dag, DagId, NestId, Op};

/// One run of a nest's loops.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Whose loops.
    pub nest: NestId,
    /// What leaves them, in order.
    pub collects: Vec<DagId>,
    /// What is computed inside, in the dag's order.
    pub cone: Vec<DagId>,
    /// What is read from outside and computed by this entry.
    pub outside: Vec<DagId>,
}

/// An entry's share of a dag.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Computed by a step (or directly into a collect), by node.
    pub computed: Vec<bool>,
    /// Values that are there from the start: leaves and saved values.
    pub given: Vec<bool>,
    /// Collects whose argument's step writes straight into the result.
    pub direct: Vec<bool>,
    /// The runs of nests, in an order in which they can run.
    pub groups: Vec<Group>,
    /// The group of a collect.
    pub group_of: BTreeMap<DagId, u32>,
}

/// The nodes whose memory the op of `n` reads.
pub(crate) fn reads(dag: &Dag, views: &[View], n: DagId) -> Vec<DagId> {
    dag.op(n).args().into_iter().map(|a| views[a.0 as usize].base).collect()
}

/// Whether a step of this op may write into a part of a larger result.
fn may_write_direct(op: &Op) -> bool {
    match op {
        Op::Einsum2 { .. } | Op::Map { .. } | Op::Add { .. } => true,
        Op::Einsum1 { out_labels, .. } => {
            (0..out_labels.len()).all(|i| !out_labels[..i].contains(&out_labels[i]))
        }
        _ => false,
    }
}

impl Scope {
    /// What has to be computed so that the memory of `roots` is there, where `saved` values are given.
    pub fn new(dag: &Dag, views: &[View], roots: &[DagId], saved: &[bool]) -> Scope {
        let n = dag.len();
        let mut given = vec![false; n];
        let (mut computed, mut uses) = (vec![false; n], vec![0u32; n]);
        let mut stack: Vec<DagId> = Vec::new();
        let visit = |b: DagId, computed: &mut Vec<bool>, given: &mut Vec<bool>, stack: &mut Vec<DagId>| {
            let i = b.0 as usize;
            if matches!(dag.op(b), Op::Leaf(_)) || saved[i] {
                given[i] = true;
            } else if !computed[i] {
                computed[i] = true;
                stack.push(b);
            }
        };
        for r in roots {
            let b = views[r.0 as usize].base;
            uses[b.0 as usize] += 1;
            visit(b, &mut computed, &mut given, &mut stack);
        }
        while let Some(m) = stack.pop() {
            for b in reads(dag, views, m) {
                uses[b.0 as usize] += 1;
                visit(b, &mut computed, &mut given, &mut stack);
            }
        }
        let mut direct = vec![false; n];
        for c in dag.ids() {
            let Op::Collect { a, nest, .. } = dag.op(c) else { continue };
            let i = a.0 as usize;
            if computed[c.0 as usize]
                && computed[i]
                && uses[i] == 1
                && dag.info(*a).depth as usize == dag.nests[*nest].vars.len()
                && dag.info(*a).depth > 0
                && may_write_direct(dag.op(*a))
            {
                direct[c.0 as usize] = true;
                computed[i] = false;
            }
        }
        let mut scope = Scope { computed, given, direct, groups: vec![], group_of: BTreeMap::new() };
        scope.find_groups(dag, views);
        scope
    }

    /// What the steps of `n` read: those of a direct collect read what its argument reads.
    pub fn reads(&self, dag: &Dag, views: &[View], n: DagId) -> Vec<DagId> {
        match dag.op(n) {
            Op::Collect { a, .. } if self.direct[n.0 as usize] => reads(dag, views, *a),
            _ => reads(dag, views, n),
        }
    }

    fn find_groups(&mut self, dag: &Dag, views: &[View]) {
        let nodes: Vec<DagId> = dag.ids().filter(|m| self.computed[m.0 as usize]).collect();
        let mut waits: Vec<u32> = vec![0; dag.len()];
        let mut readers: Vec<Vec<DagId>> = vec![vec![]; dag.len()];
        let mut remaining: BTreeMap<NestId, usize> = BTreeMap::new();
        for &m in &nodes {
            for b in self.reads(dag, views, m) {
                if self.computed[b.0 as usize] {
                    waits[m.0 as usize] += 1;
                    readers[b.0 as usize].push(m);
                }
            }
            if let Op::Collect { nest, .. } = dag.op(m) {
                *remaining.entry(*nest).or_default() += 1;
            }
        }
        if remaining.is_empty() {
            return;
        }
        let mut ready: BTreeMap<NestId, Vec<DagId>> = BTreeMap::new();
        let mut work: Vec<DagId> = nodes.iter().copied().filter(|m| waits[m.0 as usize] == 0).collect();
        // A collect that is reached waits for its nest to run; everything else is available at once.
        let mut run: Vec<DagId> = Vec::new();
        loop {
            while let Some((m, ran)) = run.pop().map(|m| (m, true)).or_else(|| work.pop().map(|m| (m, false)))
            {
                match dag.op(m) {
                    Op::Collect { nest, .. } if !ran => ready.entry(*nest).or_default().push(m),
                    _ => {
                        for &r in &readers[m.0 as usize] {
                            waits[r.0 as usize] -= 1;
                            if waits[r.0 as usize] == 0 {
                                work.push(r);
                            }
                        }
                    }
                }
            }
            let next =
                ready.iter().min_by_key(|(nest, c)| (remaining[nest] - c.len(), **nest)).map(|(n, _)| *n);
            let Some(nest) = next else { return };
            let mut collects = ready.remove(&nest).unwrap_or_default();
            collects.sort();
            if let Some(left) = remaining.get_mut(&nest) {
                *left -= collects.len();
            }
            for &c in &collects {
                self.group_of.insert(c, self.groups.len() as u32);
            }
            run.extend(&collects);
            let group = self.group(dag, views, nest, collects);
            self.groups.push(group);
        }
    }

    fn group(&self, dag: &Dag, views: &[View], nest: NestId, collects: Vec<DagId>) -> Group {
        let (mut cone, mut outside) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        let mut stack = collects.clone();
        while let Some(m) = stack.pop() {
            for b in self.reads(dag, views, m) {
                if !self.computed[b.0 as usize] {
                    continue;
                }
                if dag.info(b).depth == 0 {
                    outside.insert(b);
                } else if cone.insert(b) {
                    stack.push(b);
                }
            }
        }
        Group { nest, collects, cone: cone.into_iter().collect(), outside: outside.into_iter().collect() }
    }
}
