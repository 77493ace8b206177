//! A contraction tree as a dendrogram: inputs in a row, every contraction above its operands.

use super::{RegionNet, escape, svg::begin};
use std::fmt::Write;

/// A tree to draw: the network, its SSA path, and the sliced indices.
pub type TreeDrawing<'a> = (&'a RegionNet, &'a [(u32, u32)], &'a [u32]);

/// The trees one below the other. The width of a line grows with the logarithm of the tensor's size, and tooltips name
/// the indices. Sliced indices are listed in the heading. A path that is not a tree over the inputs is drawn as far as it goes.
pub fn tree_svg(title: &str, trees: &[TreeDrawing<'_>]) -> String {
    let (mut body, mut width, mut height) = (String::new(), 400.0f64, 36.0);
    for &(net, path, sliced) in trees {
        let (text, (w, h)) = one_tree(net, path, sliced);
        let _ = writeln!(body, "<g transform=\"translate(0 {height:.1})\">\n{text}</g>");
        width = width.max(w);
        height += h;
    }
    begin(width, height, title) + &body + "</svg>\n"
}

fn one_tree(net: &RegionNet, ssa_path: &[(u32, u32)], sliced: &[u32]) -> (String, (f64, f64)) {
    let n = net.inputs.len();
    let order = leaf_order(n, ssa_path);
    let total = n + ssa_path.len();
    let (mut x, mut level) = (vec![0.0f64; total], vec![0u32; total]);
    for (k, &leaf) in order.iter().enumerate() {
        x[leaf] = k as f64;
    }
    for (k, &(a, b)) in ssa_path.iter().enumerate() {
        let (a, b) = (a as usize, b as usize);
        if a < n + k && b < n + k {
            x[n + k] = (x[a] + x[b]) / 2.0;
            level[n + k] = level[a].max(level[b]) + 1;
        }
    }
    let legs = legs(net, ssa_path);
    let depth = level.iter().copied().max().unwrap_or(0);
    let step_x = (1600.0 / n.max(1) as f64).clamp(0.5, 48.0);
    let step_y = (900.0 / f64::from(depth.max(1))).clamp(2.0, 36.0);
    let place = |k: usize| (32.0 + x[k] * step_x, 30.0 + f64::from(depth - level[k]) * step_y);
    let names = |list: &[u32]| {
        let names: Vec<&str> =
            list.iter().map(|&i| net.index_names.get(i as usize).map_or("?", String::as_str)).collect();
        names.join(", ")
    };
    let mut heading = format!("{}: {} contractions", net.name, ssa_path.len());
    if !sliced.is_empty() {
        let _ = write!(heading, ", sliced over {}", names(sliced));
    }
    let mut out =
        format!("<text x=\"16\" y=\"14\" font-size=\"12\" fill=\"#222\">{}</text>\n", escape(&heading));
    out.push_str("<g stroke=\"#2b5b84\" fill=\"none\">\n");
    for (k, &(a, b)) in ssa_path.iter().enumerate() {
        let (px, py) = place(n + k);
        for child in [a as usize, b as usize].into_iter().filter(|&c| c < n + k) {
            let (cx, cy) = place(child);
            let log2: f64 = legs[child].iter().map(|&i| (net.sizes[i as usize] as f64).log2()).sum();
            let _ = writeln!(
                out,
                "<path d=\"M{cx:.1} {cy:.1} V{py:.1} H{px:.1}\" stroke-width=\"{:.1}\"><title>[{}], 2^{log2:.1} elements</title></path>",
                (0.8 + log2 / 6.0).min(8.0),
                escape(&names(&legs[child]))
            );
        }
    }
    out.push_str("</g>\n<g font-size=\"9\" fill=\"#222\">\n");
    if step_x >= 9.0 {
        for &leaf in &order {
            let (lx, ly) = place(leaf);
            let name = escape(&net.inputs[leaf]);
            let _ = writeln!(
                out,
                "<text transform=\"translate({lx:.1} {:.1}) rotate(60)\">{name}</text>",
                ly + 8.0
            );
        }
    }
    out.push_str("</g>\n");
    (out, (96.0 + n as f64 * step_x, 110.0 + f64::from(depth) * step_y))
}

/// The inputs in the order in which a walk of the tree meets them, so that no lines cross.
fn leaf_order(n: usize, path: &[(u32, u32)]) -> Vec<usize> {
    let mut seen = vec![false; n + path.len()];
    let mut out = Vec::with_capacity(n);
    for root in (0..n + path.len()).rev() {
        let mut stack = vec![root];
        while let Some(at) = stack.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match at.checked_sub(n).map(|k| path[k]) {
                None => out.push(at),
                Some((a, b)) => stack.extend([b, a].map(|c| c as usize).into_iter().filter(|&c| c < at)),
            }
        }
    }
    out
}

/// The indices that each tensor of the path carries.
fn legs(net: &RegionNet, path: &[(u32, u32)]) -> Vec<Vec<u32>> {
    let mut count = vec![0i64; net.sizes.len()];
    for &i in &net.output {
        count[i as usize] += 1;
    }
    let mut out: Vec<Vec<u32>> = Vec::with_capacity(net.inputs.len() + path.len());
    for indices in &net.input_indices {
        let mut own = indices.clone();
        own.sort_unstable();
        own.dedup();
        own.iter().for_each(|&i| count[i as usize] += 1);
        out.push(own);
    }
    for (k, &(a, b)) in path.iter().enumerate() {
        let limit = net.inputs.len() + k;
        if a as usize >= limit || b as usize >= limit {
            out.push(Vec::new());
            continue;
        }
        let mut union = out[a as usize].clone();
        union.extend(&out[b as usize]);
        union.sort_unstable();
        for w in union.windows(2) {
            if w[0] == w[1] {
                count[w[0] as usize] -= 1;
            }
        }
        union.dedup();
        // What only this result carries is summed.
        union.retain(|&i| {
            let stays = count[i as usize] > 1;
            if !stays {
                count[i as usize] -= 1;
            }
            stays
        });
        out.push(union);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::tests::chain;

    #[test]
    fn contracted_indices_disappear() {
        let net = RegionNet {
            inputs: vec!["a".into(), "b".into(), "c".into()],
            input_indices: vec![vec![0, 1], vec![1, 2], vec![2, 0]],
            sizes: vec![2, 3, 4],
            index_names: vec!["i".into(), "j".into(), "k".into()],
            ..RegionNet::default()
        };
        let l = legs(&net, &[(0, 1), (2, 3)]);
        assert_eq!(l[3], [0, 2]);
        assert_eq!(l[4], [0u32; 0]);
        let text = tree_svg("t", &[(&net, &[(0, 1), (2, 3)], &[1])]);
        assert_eq!(text.matches("<path").count(), 4);
        assert!(text.contains("sliced over j"));
    }

    #[test]
    fn a_deep_tree_does_not_recurse() {
        let n = 20_000u32;
        let mut net = chain(n as usize);
        net.output.clear();
        let path: Vec<_> = (1..n).map(|k| (if k == 1 { 0 } else { n + k - 2 }, k)).collect();
        assert!(tree_svg("t", &[(&net, &path, &[])]).contains("19999 contractions"));
    }
}
