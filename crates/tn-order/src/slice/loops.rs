//! The order of the slice loops.

use super::MANY;
use crate::model::Model;

/// Orders the slice loops so that invariant work is hoisted the most: greedily, the loop that the least work depends
/// on goes innermost.
pub(crate) fn order_loops(model: &Model, path: &[(u32, u32)], sliced: &mut Vec<u32>) {
    if !(2..=MANY).contains(&sliced.len()) {
        return;
    }
    let walk = model.walk(path, sliced);
    let n = model.n();
    let words = sliced.len().div_ceil(64);
    let mut below = vec![0u64; words * (n + path.len())];
    for (k, t) in model.legs.iter().enumerate() {
        for (p, i) in sliced.iter().enumerate() {
            if t.binary_search(i).is_ok() {
                below[k * words + p / 64] |= 1 << (p % 64);
            }
        }
    }
    for (k, &(a, b)) in path.iter().enumerate() {
        for w in 0..words {
            below[(n + k) * words + w] = below[a as usize * words + w] | below[b as usize * words + w];
        }
    }
    let top = walk.macs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lin: Vec<f64> = walk.macs.iter().map(|m| (m - top).exp2()).collect();
    // the work that depends on a loop and on none that is already inside it
    let mut depends = vec![0.0; sliced.len()];
    for k in 0..path.len() {
        for_bits(&below[(n + k) * words..][..words], |p| depends[p] += lin[k]);
    }
    let mut left: Vec<usize> = (0..sliced.len()).collect();
    let mut open: Vec<usize> = (0..path.len()).collect();
    let mut inner: Vec<u32> = Vec::new();
    while let Some(at) = (0..left.len()).min_by(|&x, &y| depends[left[x]].total_cmp(&depends[left[y]])) {
        let p = left.remove(at);
        open.retain(|&k| {
            let bits = &below[(n + k) * words..][..words];
            let settled = bits[p / 64] >> (p % 64) & 1 == 1;
            if settled {
                for_bits(bits, |q| depends[q] -= lin[k]);
            }
            !settled
        });
        inner.push(sliced[p]);
    }
    inner.reverse();
    *sliced = inner;
}

fn for_bits(words: &[u64], mut f: impl FnMut(usize)) {
    for (w, &word) in words.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            f(64 * w + rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}
