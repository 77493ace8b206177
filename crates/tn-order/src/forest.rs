//! A tree over a whole network with the legs of every node, from which windows are cut, improved and put back.
//!
//! A window is a connected part of the tree: its leaves are whole subtrees, its result is the tensor of its top.
//! It is a small network of its own, so memory and the width of bit rows stay bounded whatever the network.

use crate::Minimize;
use crate::model::{Model, Stepper};
use crate::objective::{grad_times, step_log2, work_log2};
use crate::rng::Rng;
use crate::sub::Sub;

const NONE: u32 = u32::MAX;

/// The tree: nodes `0..n` are terms, `n..2n-1` contractions with the root last at the start (ids stay, structure moves).
pub(crate) struct Forest {
    n: usize,
    kids: Vec<[u32; 2]>,
    parent: Vec<u32>,
    legs: Vec<Vec<u32>>,
    /// log2 of the extent of every node.
    size: Vec<f64>,
    grad: Vec<bool>,
    /// log2 of the additive cost of every contraction.
    cost: Vec<f64>,
    root: u32,
    kind: Minimize,
    overhead: bool,
    lg: Vec<f64>,
    /// Scratch, by leg: how many tensors hold it.
    held: Vec<u32>,
}

/// After so many legs, whoever builds a tree is asked whether to go on.
const ASK: usize = 1 << 20;

/// A window cut from a tree.
pub(crate) struct Window {
    pub sub: Sub,
    /// The path inside the window as it stands.
    pub path: Vec<(u32, u32)>,
    leaves: Vec<u32>,
    inner: Vec<u32>,
    /// log2 of the cost as it stands.
    pub value: f64,
}

impl Window {
    /// Frees the contractions of a window that others may share.
    pub fn release(&self, busy: &mut [bool]) {
        for &v in &self.inner {
            busy[v as usize] = false;
        }
    }
}

impl Forest {
    /// Builds the tree of a path over `model`; `sliced` legs count as extent 1. `overhead` says whether that of a step counts. The tensors of a
    /// large tree may have billions of legs: `goes_on` hears now and then how many have been written, and none is built once it says no.
    pub fn new(
        model: &Model,
        path: &[(u32, u32)],
        (kind, overhead): (Minimize, bool),
        sliced: &[u32],
        mut goes_on: impl FnMut(f64) -> bool,
    ) -> Option<Self> {
        let n = model.n();
        let mut lg = model.lg.clone();
        for &i in sliced {
            lg[i as usize] = 0.0;
        }
        let mut f = Self {
            n,
            kids: vec![[NONE; 2]; n],
            parent: vec![NONE; n + path.len()],
            size: Vec::with_capacity(n + path.len()),
            legs: model.legs.clone(),
            grad: model.grad.clone(),
            cost: vec![f64::NEG_INFINITY; n],
            root: (n + path.len()).saturating_sub(1) as u32,
            kind,
            overhead,
            held: vec![0; lg.len()],
            lg,
        };
        for k in 0..n {
            f.size.push(f.log_size(k));
        }
        let mut stepper = Stepper::new(model);
        let (mut written, mut ask) = (0, ASK);
        for (k, &(a, b)) in path.iter().enumerate() {
            if written >= ask {
                ask = written + ASK;
                if !goes_on(written as f64) {
                    return None;
                }
            }
            let mut out = Vec::new();
            stepper.contract(&f.legs[a as usize], &f.legs[b as usize], &mut out, |_, _| {});
            written += out.len();
            f.legs.push(out);
            f.size.push(f.log_size(n + k));
            f.kids.push([a, b]);
            f.parent[a as usize] = (n + k) as u32;
            f.parent[b as usize] = (n + k) as u32;
            f.grad.push(f.grad[a as usize] | f.grad[b as usize]);
            f.cost.push(0.0);
            f.price(n + k);
        }
        Some(f)
    }

    fn log_size(&self, v: usize) -> f64 {
        self.legs[v].iter().map(|&i| self.lg[i as usize]).sum()
    }

    fn price(&mut self, v: usize) {
        let [a, b] = self.kids[v].map(|x| x as usize);
        let (ta, tb) = (&self.legs[a], &self.legs[b]);
        let (sa, sb) = (self.size[a], self.size[b]);
        let (mut i, mut j, mut both) = (0, 0, 0.0);
        while i < ta.len() && j < tb.len() {
            if ta[i] == tb[j] {
                both += self.lg[ta[i] as usize];
            }
            let (x, y) = (ta[i], tb[j]);
            i += usize::from(x <= y);
            j += usize::from(y <= x);
        }
        let times = grad_times(self.grad[a], self.grad[b]);
        let price = if self.overhead { step_log2 } else { work_log2 };
        self.cost[v] = price(self.kind, sa + sb - both, sa, sb, self.size[v], times);
    }

    /// The path as it stands.
    pub fn path(&self) -> Vec<(u32, u32)> {
        let order = self.contractions();
        let mut name: Vec<u32> = (0..self.kids.len() as u32).collect();
        let mut path = Vec::with_capacity(order.len());
        for &v in &order {
            let [a, b] = self.kids[v as usize];
            name[v as usize] = (self.n + path.len()) as u32;
            path.push((name[a as usize], name[b as usize]));
        }
        path
    }

    /// Cuts a window of at most `size` leaves around a contraction: a costly one most often. Nodes in `busy` are left
    /// alone, and the window's own are added to it. `None` if it would have fewer than three leaves.
    pub fn window(&self, size: usize, busy: &mut [bool], rng: &mut Rng) -> Option<Window> {
        let count = self.kids.len() - self.n;
        // of a few random contractions the costliest, then some steps up
        let tries = 1 + rng.below(8);
        let mut top = (0..tries)
            .map(|_| self.n + rng.below(count))
            .max_by(|&a, &b| self.cost[a].total_cmp(&self.cost[b]).then(b.cmp(&a)))?;
        if busy[top] {
            return None;
        }
        let up = rng.below(size);
        for _ in 0..up {
            let p = self.parent[top];
            if p == NONE || busy[p as usize] {
                break;
            }
            top = p as usize;
        }
        let greedy = rng.next() & 1 == 0;
        self.window_at(top, size, greedy, busy)
    }

    /// The window below a contraction: `greedy` opens the costliest contractions first, else the nearest.
    pub fn window_at(&self, top: usize, size: usize, greedy: bool, busy: &mut [bool]) -> Option<Window> {
        let mut inner = vec![top as u32];
        let mut leaves: Vec<u32> = Vec::new();
        let mut frontier: Vec<u32> = self.kids[top].to_vec();
        while let Some(at) = (0..frontier.len()).max_by(|&x, &y| {
            let c = |k: usize| if greedy { self.cost[frontier[k] as usize] } else { -(k as f64) };
            c(x).total_cmp(&c(y)).then(y.cmp(&x))
        }) {
            let v = frontier.swap_remove(at);
            if (v as usize) < self.n || busy[v as usize] || leaves.len() + frontier.len() + 2 > size {
                leaves.push(v);
            } else {
                inner.push(v);
                frontier.extend(self.kids[v as usize]);
            }
            if leaves.len() + frontier.len() + 1 > size {
                leaves.append(&mut frontier);
            }
        }
        if leaves.len() < 3 {
            return None;
        }
        for &v in &inner {
            busy[v as usize] = true;
        }
        // children were found after their parents
        let slot: std::collections::BTreeMap<u32, u32> = leaves
            .iter()
            .copied()
            .zip(0..)
            .chain(inner.iter().rev().copied().zip(leaves.len() as u32..))
            .collect();
        let path = inner
            .iter()
            .rev()
            .map(|&v| (slot[&self.kids[v as usize][0]], slot[&self.kids[v as usize][1]]))
            .collect();
        let rows: Vec<&[u32]> = leaves.iter().map(|&v| self.legs[v as usize].as_slice()).collect();
        let grad = leaves.iter().map(|&v| self.grad[v as usize]).collect();
        let sub = Sub::new(&rows, &self.legs[top], &self.lg, grad);
        let mut sum = crate::cost::LogSum::new();
        for &v in &inner {
            sum.add(self.cost[v as usize]);
        }
        Some(Window { sub, path, leaves, inner, value: sum.log2() })
    }

    /// Puts a better path back into the tree.
    pub fn replace(&mut self, window: &Window, path: &[(u32, u32)]) {
        let m = window.leaves.len();
        // the top keeps its id; the other contractions take the remaining ids in any order
        let id = |x: u32, steps: usize| -> u32 {
            let x = x as usize;
            if x < m { window.leaves[x] } else { window.inner[steps - 1 - (x - m)] }
        };
        let steps = path.len();
        // which leaves of the window hold a leg: a leg closes where the last one joins
        let mut left = std::mem::take(&mut self.held);
        let ends = window.leaves.iter().chain(&window.inner[..1]);
        for &i in ends.clone().flat_map(|&v| &self.legs[v as usize]) {
            left[i as usize] += 1;
        }
        for (k, &(a, b)) in path.iter().enumerate() {
            let (a, b) = (id(a, steps), id(b, steps));
            let v = window.inner[steps - 1 - k] as usize;
            self.kids[v] = [a, b];
            self.parent[a as usize] = v as u32;
            self.parent[b as usize] = v as u32;
            self.grad[v] = self.grad[a as usize] | self.grad[b as usize];
            if k + 1 < steps {
                let (ta, tb) = (&self.legs[a as usize], &self.legs[b as usize]);
                let mut out = Vec::with_capacity(ta.len().max(tb.len()));
                let (mut i, mut j) = (0, 0);
                while i < ta.len() || j < tb.len() {
                    let x = ta.get(i).copied().unwrap_or(NONE);
                    let y = tb.get(j).copied().unwrap_or(NONE);
                    let leg = x.min(y);
                    i += usize::from(x <= y);
                    j += usize::from(y <= x);
                    let mut stays = true;
                    if x == y {
                        let c = &mut left[leg as usize];
                        *c -= 1;
                        stays = *c > 1;
                    }
                    if stays {
                        out.push(leg);
                    }
                }
                self.legs[v] = out;
                self.size[v] = self.log_size(v);
            }
            self.price(v);
        }
        for &i in ends.flat_map(|&v| &self.legs[v as usize]) {
            left[i as usize] = 0;
        }
        self.held = left;
    }

    /// The contractions, children before parents.
    pub fn contractions(&self) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.n);
        let mut stack = vec![self.root];
        while let Some(v) = stack.pop() {
            if v as usize >= self.n {
                order.push(v);
                stack.extend(self.kids[v as usize]);
            }
        }
        order.reverse();
        order
    }

    /// log2 of the cost of all contractions.
    pub fn total(&self) -> f64 {
        let mut sum = crate::cost::LogSum::new();
        self.cost[self.n..].iter().for_each(|&c| sum.add(c));
        sum.log2()
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.kids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::objective::Limits;
    use crate::portfolio::Search;
    use crate::simplify::Simplified;
    use crate::{Network, Options, Progress};
    use std::sync::Arc;
    use std::time::Duration;

    /// Vectors that all stay open: a chain of them has results of 2, 3, … legs.
    fn vectors(n: usize) -> (Network, Vec<(u32, u32)>) {
        let inputs = (0..n as u32).map(|i| vec![i]).collect();
        let net = Network { inputs, output: (0..n as u32).collect(), sizes: vec![2; n], needs_grad: vec![] };
        let step = |k: u32| if k == 0 { (0, 1) } else { (n as u32 + k - 1, k + 1) };
        (net, (0..n as u32 - 1).map(step).collect())
    }

    #[test]
    fn a_tree_of_many_legs_is_left_as_soon_as_it_is_not_wanted() {
        let (net, path) = vectors(3000);
        let model = Model::new(&net);
        let by = (Minimize::Macs, false);
        let all = model.inner_legs(&path);
        assert_eq!(all, (2..=3000).sum::<usize>() as f64);
        let mut heard = vec![];
        let forest = Forest::new(&model, &path, by, &[], |written| {
            heard.push(written);
            true
        });
        assert!(forest.is_some_and(|f| f.nodes() == 5999));
        assert_eq!(heard.len(), all as usize / ASK, "{heard:?}");
        let mut asked = 0;
        let forest = Forest::new(&model, &path, by, &[], |_| {
            asked += 1;
            asked < 2
        });
        assert!(forest.is_none() && asked == 2);
    }

    #[test]
    fn a_search_whose_time_is_too_short_or_that_was_stopped_builds_no_large_tree() {
        let (net, path) = vectors(3000);
        let is_built = |opts: &Options, path: &[(u32, u32)], net: &Network| {
            let model = Model::new(net);
            let simple = Simplified::none(&model);
            let limits = Limits { keep: vec![false; model.lg.len()], ..Limits::default() };
            let (clock, kind) = (Clock::new(opts), Minimize::Macs);
            let search = Search { model, simple, kind, limits, opts, clock, unit: 0.0 };
            search.forest(path, (kind, false), &[]).is_some()
        };
        let within = |max_time| Options { max_time, ..Options::default() };
        let stop = Progress { stop: Arc::new(true.into()), report: None };
        let stopped = Options { progress: Some(Arc::new(stop)), ..Options::default() };
        assert!(is_built(&within(None), &path, &net));
        assert!(is_built(&within(Some(Duration::from_secs(3600))), &path, &net));
        assert!(!is_built(&within(Some(Duration::ZERO)), &path, &net));
        assert!(!is_built(&stopped, &path, &net));
        // a small one takes no time
        let (net, path) = vectors(30);
        assert!(is_built(&stopped, &path, &net));
    }
}
