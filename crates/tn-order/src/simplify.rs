//! Contractions that every good plan does first: a tensor whose legs are all on another one is multiplied into it.

use crate::model::Model;
use std::collections::VecDeque;

/// A smaller model and how to get there.
pub(crate) struct Simplified {
    /// The remaining network.
    pub model: Model,
    /// The steps done, in SSA form over the terms of the original.
    pub prefix: Vec<(u32, u32)>,
    /// The node of the original (term or step) that each term of the remaining network is.
    pub node: Vec<u32>,
}

impl Simplified {
    /// The network as it is.
    pub fn none(model: &Model) -> Self {
        Self { model: model.clone(), prefix: Vec::new(), node: (0..model.n() as u32).collect() }
    }

    /// A path of the original from a path of the remaining network.
    pub fn lift(&self, path: &[(u32, u32)], n: usize) -> Vec<(u32, u32)> {
        let mut out = self.prefix.clone();
        let m = self.node.len();
        let base = n + self.prefix.len();
        let id =
            |x: u32| if (x as usize) < m { self.node[x as usize] } else { (base + x as usize - m) as u32 };
        out.extend(path.iter().map(|&(a, b)| (id(a), id(b))));
        out
    }
}

/// How many holders of a leg are tried as hosts.
const MAX_HOSTS: usize = 64;

/// The tensors in places that never move: what a place absorbs changes its legs and the node that it is. Closed legs stay
/// in a list until half of it is closed, so that a host of many legs takes in its neighbours in linear time.
struct Places {
    legs: Vec<Vec<u32>>,
    /// How many of the legs are open.
    open: Vec<u32>,
    grad: Vec<bool>,
    /// The node of the original that the place is; none once it was absorbed.
    node: Vec<Option<u32>>,
    /// How many places (and the result) hold a leg.
    held: Vec<u32>,
    holders: Vec<Vec<u32>>,
    prefix: Vec<(u32, u32)>,
}

impl Places {
    fn new(model: &Model) -> Self {
        let n = model.n();
        let mut held = model.counts();
        for &i in &model.out {
            held[i as usize] += 1;
        }
        let mut holders: Vec<Vec<u32>> = vec![Vec::new(); model.lg.len()];
        for (k, t) in model.legs.iter().enumerate() {
            for &i in t {
                holders[i as usize].push(k as u32);
            }
        }
        Self {
            open: model.legs.iter().map(|t| t.len() as u32).collect(),
            legs: model.legs.clone(),
            grad: model.grad.clone(),
            node: (0..n as u32).map(Some).collect(),
            held,
            holders,
            prefix: Vec::new(),
        }
    }

    /// Drops the closed legs of a place.
    fn tidy(&mut self, k: usize) {
        let held = &self.held;
        if self.legs[k].len() > self.open[k] as usize {
            self.legs[k].retain(|&i| held[i as usize] > 0);
        }
    }

    /// Multiplies place `a`, whose legs are all on `h`, into `h`.
    fn absorb(&mut self, a: usize, h: usize) {
        let (Some(na), Some(nh)) = (self.node[a].take(), self.node[h]) else { return };
        for &i in &std::mem::take(&mut self.legs[a]) {
            let i = i as usize;
            self.held[i] -= 1;
            if self.held[i] == 1 {
                // the host alone has it
                self.held[i] = 0;
                self.open[h] -= 1;
                self.holders[i].clear();
            } else {
                self.holders[i].retain(|&x| x as usize != a);
            }
        }
        if self.legs[h].len() > 2 * self.open[h] as usize {
            self.tidy(h);
        }
        self.grad[h] |= self.grad[a];
        self.node[h] = Some((self.node.len() + self.prefix.len()) as u32);
        self.prefix.push((na, nh));
    }
}

/// Multiplies scalars together and every tensor whose legs are a subset of another's into the smallest such host.
pub(crate) fn simplify(model: &Model) -> Simplified {
    let n = model.n();
    let mut p = Places::new(model);
    let mut scalar: Option<usize> = None;
    let mut order: Vec<u32> = (0..n as u32).collect();
    // of vectors on one host, the long ones first: the others then meet a smaller host
    let size: Vec<f64> = p.legs.iter().map(|t| model.log_size(t)).collect();
    order.sort_by(|&a, &b| {
        let len = |k: u32| p.legs[k as usize].len();
        len(a).cmp(&len(b)).then(size[b as usize].total_cmp(&size[a as usize])).then(a.cmp(&b))
    });
    let mut queue: VecDeque<u32> = order.into();
    while let Some(a) = queue.pop_front() {
        let k = a as usize;
        if p.node[k].is_none() || scalar == Some(k) {
            continue;
        }
        p.tidy(k);
        let ta = &p.legs[k];
        if ta.is_empty() {
            match scalar {
                None => scalar = Some(k),
                Some(s) => p.absorb(k, s),
            }
            continue;
        }
        let rare = ta.iter().copied().min_by_key(|&i| p.holders[i as usize].len()).unwrap_or(ta[0]);
        let host = p.holders[rare as usize]
            .iter()
            .copied()
            .filter(|&h| h != a)
            .take(MAX_HOSTS)
            .filter(|&h| subset(ta, &p.legs[h as usize]))
            .min_by_key(|&h| (p.open[h as usize], h));
        let Some(h) = host else { continue };
        p.absorb(k, h as usize);
        queue.push_back(h);
    }
    for k in 0..n {
        p.tidy(k);
    }
    // the product of all scalars goes into the smallest tensor
    if let Some(s) = scalar {
        let small = (0..n).filter(|&k| p.node[k].is_some() && k != s).min_by(|&x, &y| {
            model.log_size(&p.legs[x]).total_cmp(&model.log_size(&p.legs[y])).then(x.cmp(&y))
        });
        if let Some(t) = small {
            p.absorb(s, t);
        }
    }
    let left: Vec<usize> = (0..n).filter(|&k| p.node[k].is_some()).collect();
    let rest = Model {
        legs: left.iter().map(|&k| std::mem::take(&mut p.legs[k])).collect(),
        out: model.out.clone(),
        lg: model.lg.clone(),
        grad: left.iter().map(|&k| p.grad[k]).collect(),
        orig: model.orig.clone(),
    };
    Simplified { model: rest, node: left.iter().filter_map(|&k| p.node[k]).collect(), prefix: p.prefix }
}

/// Whether sorted `a` is contained in sorted `b`.
fn subset(a: &[u32], b: &[u32]) -> bool {
    if a.len() > b.len() {
        return false;
    }
    a.iter().all(|i| b.binary_search(i).is_ok())
}
