//! Contractions that every good plan does first: a tensor whose legs are all on another one is multiplied into it. Of several such tensors
//! on one host, small ones are multiplied together first, so that the host is gone through less often.

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

/// A group of tensors that wait for their host grows to this size (log2): past that, nothing is left to gain.
const GROUP: f64 = 64.0;

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
    /// log2 of the extents of the legs, and of the open ones of every place.
    lg: Vec<f64>,
    size: Vec<f64>,
    /// The place that is next to be multiplied into a host, and whether a place is such a one.
    guest: Vec<Option<u32>>,
    waits: Vec<bool>,
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
            lg: model.lg.clone(),
            size: model.legs.iter().map(|t| model.log_size(t)).collect(),
            guest: vec![None; n],
            waits: vec![false; n],
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
                self.size[h] -= self.lg[i];
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

    /// Multiplies place `a` into `g`, where a third one has the legs of both.
    fn join(&mut self, a: usize, g: usize) {
        let (Some(na), Some(ng)) = (self.node[a].take(), self.node[g]) else { return };
        for &i in &std::mem::take(&mut self.legs[a]) {
            let holders = &mut self.holders[i as usize];
            match self.legs[g].binary_search(&i) {
                Ok(_) => {
                    self.held[i as usize] -= 1;
                    holders.retain(|&x| x as usize != a);
                }
                Err(at) => {
                    self.legs[g].insert(at, i);
                    self.open[g] += 1;
                    self.size[g] += self.lg[i as usize];
                    holders.iter_mut().filter(|x| **x as usize == a).for_each(|x| *x = g as u32);
                }
            }
        }
        self.grad[g] |= self.grad[a];
        self.node[g] = Some((self.node.len() + self.prefix.len()) as u32);
        self.prefix.push((na, ng));
    }

    /// Whether to multiply `a` into the guest `g` of `h` is cheaper than to multiply both into `h`, one after the other: the second would
    /// meet a host without the legs that the first closes.
    fn is_cheaper(&self, a: usize, g: usize, h: usize) -> bool {
        let sum = |legs: &[u32], of: &dyn Fn(u32) -> bool| -> f64 {
            legs.iter().filter(|&&i| of(i)).map(|&i| self.lg[i as usize]).sum()
        };
        let both = self.size[g] + sum(&self.legs[a], &|i| self.legs[g].binary_search(&i).is_err());
        both < GROUP && both < self.size[h] - sum(&self.legs[g], &|i| self.held[i as usize] == 2)
    }

    /// Multiplies the guest of a host into it. Returns whether there was one.
    fn admit(&mut self, h: usize) -> bool {
        let Some(g) = self.guest[h].take() else { return false };
        self.waits[g as usize] = false;
        self.absorb(g as usize, h);
        true
    }

    /// Place `a`, whose legs are all on `h`, waits for it with those that wait already, or in place of them. Returns whether the host has changed.
    fn wait(&mut self, a: usize, h: usize) -> bool {
        if let Some(g) = self.guest[h]
            && self.is_cheaper(a, g as usize, h)
        {
            self.join(a, g as usize);
            return false;
        }
        let changed = self.admit(h);
        self.waits[a] = true;
        self.guest[h] = Some(a as u32);
        changed
    }
}

/// Multiplies scalars together and every tensor whose legs are a subset of another's into the smallest such host.
pub(crate) fn simplify(model: &Model) -> Simplified {
    let n = model.n();
    let mut p = Places::new(model);
    let mut scalar: Option<usize> = None;
    let mut order: Vec<u32> = (0..n as u32).collect();
    // of vectors on one host, the long ones first: the others then meet a smaller host
    order.sort_by(|&a, &b| {
        let len = |k: u32| p.legs[k as usize].len();
        len(a).cmp(&len(b)).then(p.size[b as usize].total_cmp(&p.size[a as usize])).then(a.cmp(&b))
    });
    let mut queue: VecDeque<u32> = order.into();
    let mut hosts: Vec<u32> = Vec::new();
    loop {
        let Some(a) = queue.pop_front() else {
            // who still waits is let in, and what the hosts become may have hosts of its own
            hosts.sort_unstable();
            hosts.dedup();
            queue.extend(hosts.drain(..).filter(|&h| p.admit(h as usize)));
            if queue.is_empty() {
                break;
            }
            continue;
        };
        let k = a as usize;
        if p.node[k].is_none() || scalar == Some(k) || p.waits[k] {
            continue;
        }
        p.admit(k);
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
        // a host that waits itself takes guests in at once, so that they go where it goes
        let changed = match p.waits[h as usize] {
            true => {
                p.absorb(k, h as usize);
                false
            }
            false => p.wait(k, h as usize),
        };
        hosts.push(h);
        if changed {
            queue.push_back(h);
        }
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
