//! Contraction trees of every quality: greedy with noise, by chance, from left to right.

use std::fmt::Write;
use std::sync::Arc;
use tn_driver::paths::{PathFile, PathFormat};
use tn_driver::{Options, Prepared};
use tn_order::Network;
use tn_plan::ir::RegionPlan;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }
    /// Uniform in 0..1, without 0.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// Contracts, again and again, the pair with the smallest log2 of (result / operands), from which Gumbel noise of this temperature is
/// taken: at 0 the greedy order, at large temperatures any order of neighbours. SSA pairs.
pub fn greedy(net: &Network, temperature: f64, random: &mut Random) -> Vec<(u32, u32)> {
    let mut held = vec![0u32; net.sizes.len()];
    let legs = |t: &Vec<u32>| {
        let mut t = t.clone();
        t.sort_unstable();
        t.dedup();
        t
    };
    let mut live: Vec<(u32, Vec<u32>)> =
        net.inputs.iter().enumerate().map(|(k, t)| (k as u32, legs(t))).collect();
    live.iter().flat_map(|(_, t)| t).for_each(|&i| held[i as usize] += 1);
    net.output.iter().for_each(|&i| held[i as usize] += 1);
    let log = |t: &[u32]| -> f64 { t.iter().map(|&i| (net.sizes[i as usize] as f64).log2()).sum() };
    let joined = |a: &[u32], b: &[u32], held: &[u32]| -> Vec<u32> {
        let mut all: Vec<u32> = a.iter().chain(b).copied().collect();
        all.sort_unstable();
        all.dedup();
        let left = |i: &u32| held[*i as usize] > u32::from(a.contains(i)) + u32::from(b.contains(i));
        all.retain(left);
        all
    };
    let mut path = vec![];
    while live.len() > 1 {
        let mut best: Option<(f64, usize, usize)> = None;
        let meets = |x: usize, y: usize| live[x].1.iter().any(|i| live[y].1.contains(i));
        let any = (0..live.len()).any(|x| (0..x).any(|y| meets(x, y)));
        for x in 0..live.len() {
            for y in 0..x {
                if any && !meets(x, y) {
                    continue;
                }
                let (a, b) = (&live[y].1, &live[x].1);
                let gain = log(&joined(a, b, &held)) - (log(a).exp2() + log(b).exp2()).log2();
                let noise = if temperature > 0.0 { -(-random.uniform().ln()).ln() } else { 0.0 };
                let worth = gain - temperature * noise;
                if best.is_none_or(|(w, ..)| worth < w) {
                    best = Some((worth, y, x));
                }
            }
        }
        let Some((_, y, x)) = best else { break };
        let (b, a) = (live.remove(x), live.remove(y));
        let new = joined(&a.1, &b.1, &held);
        for &i in a.1.iter().chain(&b.1) {
            held[i as usize] -= 1;
        }
        new.iter().for_each(|&i| held[i as usize] += 1);
        path.push((a.0, b.0));
        live.push(((net.inputs.len() + path.len() - 1) as u32, new));
    }
    path
}

/// Contracts the inputs in their order.
pub fn left_to_right(net: &Network) -> Vec<(u32, u32)> {
    let n = net.inputs.len() as u32;
    (1..n).map(|k| (if k == 1 { 0 } else { n + k - 2 }, k)).collect()
}

/// Options that take these paths, one for each region, as they are.
pub fn given(prepared: &Prepared, paths: &[Vec<(u32, u32)>], options: &Options) -> Result<Options, String> {
    let mut text = String::from("{\"regions\": [");
    for (k, (region, path)) in prepared.regions.iter().zip(paths).enumerate() {
        let pairs: Vec<String> = path.iter().map(|(a, b)| format!("[{a}, {b}]")).collect();
        let comma = if k > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{{\"name\": {:?}, \"ssa_path\": [{}]}}", region.name, pairs.join(", "));
    }
    text += "]}";
    with_path(&text, options)
}

/// Options that take the trees of a plan as they are.
pub fn given_plan(regions: &[RegionPlan], options: &Options) -> Result<Options, String> {
    with_path(&tn_driver::paths::path_text(regions, true), options)
}

fn with_path(text: &str, options: &Options) -> Result<Options, String> {
    let file = PathFile::parse("path", text.as_bytes(), PathFormat::Ssa).map_err(|e| e.render(false))?;
    Ok(Options { path: Some(Arc::new(file)), ..options.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tn_order::Tree;

    fn chain(n: u32) -> Network {
        let inputs = (0..n).map(|k| vec![k, k + 1]).collect();
        Network { inputs, output: vec![0, n], sizes: vec![4; n as usize + 1], needs_grad: vec![] }
    }

    #[test]
    fn every_tree_is_an_order_of_the_network() {
        let net = chain(7);
        let mut paths = vec![left_to_right(&net)];
        for (seed, temperature) in [(0, 0.0), (1, 0.5), (2, 8.0)] {
            paths.push(greedy(&net, temperature, &mut Random::new(seed)));
        }
        for ssa_path in paths {
            assert_eq!(Tree { ssa_path, sliced: vec![] }.check(&net), Ok(()));
        }
    }

    #[test]
    fn without_noise_the_seed_does_not_matter_and_with_noise_it_does() {
        let net = chain(9);
        let of = |t, s| greedy(&net, t, &mut Random::new(s));
        assert_eq!(of(0.0, 1), of(0.0, 2));
        assert_ne!(of(4.0, 1), of(4.0, 2));
    }
}
