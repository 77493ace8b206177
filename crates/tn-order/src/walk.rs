//! Sizes and multiply-adds of every step of a path, in time linear in the legs of the network (times a logarithm), however
//! many legs the tensors on the way have.
//!
//! A leg is on the nodes between its holders: seen from a node it is open if some but not all of its holders are below. Over
//! the leaves from left to right, adding a leg's weight at every holder and taking it away where neighbouring
//! holders meet leaves, summed over a subtree, its weight once; taking it away for good where all its holders have met closes
//! it. The meeting points come from heavy paths (Sleator and Tarjan, J. Comput. Syst. Sci. 26, 362, 1983).

use crate::model::Model;

/// What a walk along a tree finds at every step.
pub(crate) struct Walk {
    /// Operands of every step, as node ids (`0..n` are the terms).
    pub kids: Vec<(u32, u32)>,
    /// log2 of the extent of every node (terms first), sliced legs at extent 1.
    pub size: Vec<f64>,
    /// log2 of the multiply-adds of every step, in one slice.
    pub macs: Vec<f64>,
    /// Whether a node holds a term that needs a gradient.
    pub grad: Vec<bool>,
    /// The deepest slice loop (1-based position in the list of slices) that the node depends on.
    pub depth: Vec<u32>,
}

/// Weights are summed as integers: log2 of an extent has at most 52 binary places, so sums and differences are exact.
const SCALE: f64 = (1u64 << 52) as f64;

fn fixed(l: f64) -> i128 {
    (l * SCALE) as i128
}

fn float(x: i128) -> f64 {
    x as f64 / SCALE
}

/// Answers where two leaves of a tree meet. Parents have larger ids than their children.
pub(crate) struct Heavy {
    parent: Vec<u32>,
    /// The topmost node of the heavy path of a node.
    head: Vec<u32>,
}

impl Heavy {
    pub fn new(n: usize, kids: &[(u32, u32)]) -> Self {
        let total = n + kids.len();
        let mut weight = vec![1u32; total];
        let mut parent = vec![u32::MAX; total];
        for (k, &(a, b)) in kids.iter().enumerate() {
            weight[n + k] = weight[a as usize] + weight[b as usize];
            parent[a as usize] = (n + k) as u32;
            parent[b as usize] = (n + k) as u32;
        }
        let mut head: Vec<u32> = (0..total as u32).collect();
        for (k, &(a, b)) in kids.iter().enumerate().rev() {
            let heavy = if weight[a as usize] >= weight[b as usize] { a } else { b };
            head[heavy as usize] = head[n + k];
        }
        Self { parent, head }
    }

    /// The lowest common ancestor of two nodes of one tree. The path with the lower top is left first: what is
    /// below both must be at or below the other's top.
    pub fn meet(&self, a: u32, b: u32) -> u32 {
        let (mut a, mut b) = (a as usize, b as usize);
        while self.head[a] != self.head[b] {
            if self.head[a] < self.head[b] {
                a = self.parent[self.head[a] as usize] as usize;
            } else {
                b = self.parent[self.head[b] as usize] as usize;
            }
        }
        a.max(b) as u32
    }
}

impl Model {
    /// Walks a valid path; `sliced` are legs of this model in loop order.
    pub fn walk(&self, path: &[(u32, u32)], sliced: &[u32]) -> Walk {
        self.walk_by(&self.lg, path, sliced)
    }

    /// The legs of all results of a valid path.
    pub fn inner_legs(&self, path: &[(u32, u32)]) -> f64 {
        let walk = self.walk_by(&vec![1.0; self.lg.len()], path, &[]);
        walk.size[self.n()..].iter().sum()
    }

    /// The same as [`Model::walk`] with these weights for log2 of the extents of the legs.
    pub fn walk_by(&self, weights: &[f64], path: &[(u32, u32)], sliced: &[u32]) -> Walk {
        let n = self.n();
        let total = n + path.len();
        let mut lg: Vec<i128> = weights.iter().map(|&l| fixed(l)).collect();
        let mut level = vec![0u32; if sliced.is_empty() { 0 } else { lg.len() }];
        for (k, &i) in sliced.iter().enumerate() {
            level[i as usize] = k as u32 + 1;
            lg[i as usize] = 0;
        }
        let heavy = Heavy::new(n, path);
        // what is open somewhere below, and what is closed at a node
        let mut any = vec![0i128; total];
        let mut closed = vec![0i128; total];
        let mut last = vec![u32::MAX; lg.len()];
        let mut top = vec![0u32; lg.len()];
        for &leaf in &leaves(n, path) {
            for &i in &self.legs[leaf as usize] {
                let i = i as usize;
                any[leaf as usize] += lg[i];
                if last[i] != u32::MAX {
                    let at = heavy.meet(last[i], leaf);
                    any[at as usize] -= lg[i];
                    top[i] = top[i].max(at);
                } else {
                    top[i] = leaf;
                }
                last[i] = leaf;
            }
        }
        let is_out = self.is_out();
        for i in 0..lg.len() {
            if !is_out[i] && last[i] != u32::MAX {
                closed[top[i] as usize] += lg[i];
            }
        }
        let mut w = Walk {
            kids: path.to_vec(),
            size: Vec::with_capacity(total),
            macs: Vec::with_capacity(path.len()),
            grad: self.grad.clone(),
            depth: match sliced.len() {
                0 => vec![0; total],
                _ => self
                    .legs
                    .iter()
                    .map(|t| t.iter().map(|&i| level[i as usize]).max().unwrap_or(0))
                    .collect(),
            },
        };
        // a lonely leg that is not in the result never comes here, so a leaf has all its legs
        w.size.extend(any[..n].iter().map(|&x| float(x)));
        for (k, &(a, b)) in path.iter().enumerate() {
            let (a, b, v) = (a as usize, b as usize, n + k);
            any[v] += any[a] + any[b];
            let below = closed[a] + closed[b];
            closed[v] += below;
            w.macs.push(float(any[v] - below));
            w.size.push(float(any[v] - closed[v]));
            w.grad.push(w.grad[a] | w.grad[b]);
            if !sliced.is_empty() {
                w.depth.push(w.depth[a].max(w.depth[b]));
            }
        }
        w
    }
}

/// The leaves of a path from left to right.
fn leaves(n: usize, path: &[(u32, u32)]) -> Vec<u32> {
    let mut order = Vec::with_capacity(n);
    let mut stack = vec![(n + path.len()).saturating_sub(1) as u32];
    if n == 0 {
        return order;
    }
    while let Some(v) = stack.pop() {
        match (v as usize).checked_sub(n) {
            None => order.push(v),
            Some(k) => stack.extend([path[k].1, path[k].0]),
        }
    }
    order
}
