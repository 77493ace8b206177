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

/// Multiplies scalars together and every tensor whose legs are a subset of another's into the smallest such host.
pub(crate) fn simplify(model: &Model) -> Simplified {
    let n = model.n();
    let mut legs = model.legs.clone();
    let mut grad = model.grad.clone();
    let mut dead = vec![false; n];
    let mut held = model.counts();
    for &i in &model.out {
        held[i as usize] += 1;
    }
    let mut holders: Vec<Vec<u32>> = vec![Vec::new(); model.lg.len()];
    for (k, t) in legs.iter().enumerate() {
        for &i in t {
            holders[i as usize].push(k as u32);
        }
    }
    let mut prefix = Vec::new();
    let mut scalar: Option<u32> = None;
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.sort_by_key(|&k| (legs[k as usize].len(), k));
    let mut queue: VecDeque<u32> = order.into();
    while let Some(a) = queue.pop_front() {
        if dead[a as usize] {
            continue;
        }
        let ta = &legs[a as usize];
        let host = if ta.is_empty() {
            match scalar {
                None => {
                    scalar = Some(a);
                    None
                }
                s => s.filter(|&s| s != a),
            }
        } else {
            let rare = ta.iter().copied().min_by_key(|&i| holders[i as usize].len()).unwrap_or(ta[0]);
            holders[rare as usize]
                .iter()
                .copied()
                .filter(|&h| h != a)
                .take(MAX_HOSTS)
                .filter(|&h| subset(ta, &legs[h as usize]))
                .min_by_key(|&h| (legs[h as usize].len(), h))
        };
        let Some(h) = host else { continue };
        let c = legs.len() as u32;
        let ta = std::mem::take(&mut legs[a as usize]);
        let mut th = std::mem::take(&mut legs[h as usize]);
        for &i in &ta {
            held[i as usize] -= 1;
        }
        if !ta.is_empty() {
            th.retain(|&i| held[i as usize] > 1 || ta.binary_search(&i).is_err());
        }
        for &i in &ta {
            holders[i as usize].retain(|&x| x != a && x != h);
        }
        for &i in &th {
            // legs of the host that `a` does not have still point to the host
            let v = &mut holders[i as usize];
            match v.iter_mut().find(|x| **x == h) {
                Some(x) => *x = c,
                None => v.push(c),
            }
        }
        dead[a as usize] = true;
        dead[h as usize] = true;
        dead.push(false);
        grad.push(grad[a as usize] | grad[h as usize]);
        if scalar == Some(h) {
            scalar = Some(c);
        }
        legs.push(th);
        prefix.push((a, h));
        if scalar != Some(c) {
            queue.push_back(c);
        }
    }
    // the product of all scalars goes into the smallest tensor
    if let Some(s) = scalar {
        let small = (0..legs.len())
            .filter(|&k| !dead[k] && k != s as usize)
            .min_by(|&x, &y| model.log_size(&legs[x]).total_cmp(&model.log_size(&legs[y])).then(x.cmp(&y)));
        if let Some(t) = small {
            let th = std::mem::take(&mut legs[t]);
            dead[t] = true;
            dead[s as usize] = true;
            dead.push(false);
            grad.push(grad[t] | grad[s as usize]);
            legs.push(th);
            prefix.push((s, t as u32));
        }
    }
    let node: Vec<u32> = (0..legs.len() as u32).filter(|&k| !dead[k as usize]).collect();
    let rest = Model {
        legs: node.iter().map(|&k| std::mem::take(&mut legs[k as usize])).collect(),
        out: model.out.clone(),
        lg: model.lg.clone(),
        grad: node.iter().map(|&k| grad[k as usize]).collect(),
        orig: model.orig.clone(),
    };
    Simplified { model: rest, prefix, node }
}

/// Whether sorted `a` is contained in sorted `b`.
fn subset(a: &[u32], b: &[u32]) -> bool {
    if a.len() > b.len() {
        return false;
    }
    a.iter().all(|i| b.binary_search(i).is_ok())
}
