//! Rule `support` wherever it applies, before there is a graph of alternatives.
//!
//! A product with a placement, or one of which a diagonal is read, costs no more on its support than it does densely, whoever else uses it, so there is
//! nothing to choose. In the graph the rule runs again, for what other rules make.

use tn_ir::dag::{Dag, DagId, Op, Root};

/// The same roots with products, views and diagonals computed on their support.
pub fn on_support(dag: Dag) -> Dag {
    let needed = needed(&dag);
    // without a node that places anything there is none that could be smaller
    let places = |n: &DagId| !matches!(dag.op(*n), Op::Leaf(_) | Op::Number(_) | Op::Einsum2 { .. });
    if needed.len() == dag.len() && !needed.iter().any(places) {
        return dag;
    }
    let mut pass = Pass { out: dag.emptied(), at: vec![None; dag.len()], simple: vec![] };
    for n in needed {
        let info = dag.info(n);
        (pass.out.current_span, pass.out.in_adjoint) = (info.span, info.adjoint);
        let op = dag.op(n).clone().with_args(|a| pass.at[a.0 as usize].unwrap_or(a));
        let same = pass.out.add(op, dag.dims(n).to_vec());
        pass.at[n.0 as usize] = Some(pass.simplest(same));
    }
    let moved = |r: &Root| Root { node: pass.at[r.node.0 as usize].unwrap_or(r.node), ..r.clone() };
    let roots = dag.roots.iter().map(moved).collect();
    let mut out = pass.out;
    (out.roots, out.in_adjoint) = (roots, false);
    out
}

fn needed(dag: &Dag) -> Vec<DagId> {
    let mut needed = vec![false; dag.len()];
    dag.roots.iter().for_each(|r| needed[r.node.0 as usize] = true);
    for n in dag.ids().rev() {
        if needed[n.0 as usize] {
            dag.op(n).args().iter().for_each(|a| needed[a.0 as usize] = true);
        }
    }
    dag.ids().filter(|n| needed[n.0 as usize]).collect()
}

struct Pass {
    out: Dag,
    /// The new node of each old one.
    at: Vec<Option<DagId>>,
    /// The simplest node equal to each new one, where that is known.
    simple: Vec<Option<DagId>>,
}

impl Pass {
    fn known(&self, n: DagId) -> Option<DagId> {
        self.simple.get(n.0 as usize).copied().flatten()
    }

    fn learn(&mut self, n: DagId, simplest: DagId) {
        let k = n.0 as usize;
        if self.simple.len() <= k {
            self.simple.resize(k + 1, None);
        }
        self.simple[k] = Some(simplest);
    }

    /// The node that `start` is after all rewrites, those of what they make included. With a stack of its own: what is made may nest deep.
    fn simplest(&mut self, start: DagId) -> DagId {
        let mut stack = vec![start];
        while let Some(&n) = stack.last() {
            if self.known(n).is_some() {
                stack.pop();
                continue;
            }
            let unknown = self.out.op(n).args().into_iter().find(|&a| self.known(a).is_none());
            if let Some(a) = unknown {
                stack.push(a);
                continue;
            }
            let op = self.out.op(n).clone().with_args(|a| self.known(a).unwrap_or(a));
            let same = self.out.add(op, self.out.dims(n).to_vec());
            let next = if same != n { Some(same) } else { self.rewritten(n) };
            match next {
                None => self.learn(n, n),
                Some(next) => match self.known(next) {
                    Some(simplest) => self.learn(n, simplest),
                    // a rewrite never comes back to where it began: what it makes is smaller
                    None if stack.contains(&next) => self.learn(n, n),
                    None => stack.push(next),
                },
            }
        }
        self.known(start).unwrap_or(start)
    }

    /// One rewrite of a node whose arguments are simple; in the same loops and of the same shape.
    fn rewritten(&mut self, n: DagId) -> Option<DagId> {
        let made = match self.out.op(n).clone() {
            Op::Einsum2 { a, b, .. } => {
                let first = self.out.product_on_support(n, true, a);
                first.or_else(|| self.out.product_on_support(n, false, b))
            }
            Op::Einsum1 { a, a_labels, .. } => {
                let diagonal = (0..a_labels.len()).any(|i| a_labels[..i].contains(&a_labels[i]));
                let placed = self.out.view_on_support(n, a);
                placed.or_else(|| diagonal.then(|| self.out.reduced_on_support(n, a)).flatten())
            }
            Op::Add { terms } => {
                let terms: Vec<DagId> = terms.iter().map(|t| t.1).collect();
                self.out.sum_on_support(n, &terms)
            }
            _ => None,
        }?;
        let place = |dag: &Dag, n: DagId| {
            let info = dag.info(n);
            (info.depth, info.nest.filter(|_| info.depth > 0))
        };
        let same = self.out.dims(made) == self.out.dims(n) && place(&self.out, made) == place(&self.out, n);
        (same && made != n).then_some(made)
    }
}
