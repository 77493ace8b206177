//! A contraction tree as a dendrogram: inputs in a row, every contraction above its operands.

use super::coarse::{Line, grouped, sizes};
use super::{RegionNet, escape, svg::begin};
use std::fmt::Write;

/// A tree to draw: the network, its SSA path, and the sliced indices.
pub type TreeDrawing<'a> = (&'a RegionNet, &'a [(u32, u32)], &'a [u32]);

/// How much room a tree has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Pixels between the outermost inputs.
    pub width: f64,
    /// Pixels from the inputs to the root.
    pub height: f64,
}

/// Of more inputs than these, neighbours are drawn in groups.
const MAX_INPUTS: usize = 2000;
/// Names that are listed of more.
const MAX_NAMES: usize = 24;

/// The room of a drawing that has nothing but trees: as much as they need, within reason.
const PAGE: Room = Room { width: 1600.0, height: 900.0 };

/// The trees one below the other. Lines are darker and wider the more elements the tensor has, and tooltips name the indices; the largest
/// result is marked. Sliced indices are listed in the heading. Of a tree of very many inputs, neighbours share their lines. A path that is not a tree over the inputs is drawn as far as it goes.
pub fn tree_svg(title: &str, trees: &[TreeDrawing<'_>]) -> String {
    let (mut body, mut width, mut height) = (String::new(), 400.0f64, 36.0);
    for &tree in trees {
        let room = Room {
            width: PAGE.width.max(0.5 * tree.0.inputs.len() as f64),
            height: PAGE
                .height
                .max(2.0 * f64::from(levels(tree.0.inputs.len(), tree.1).iter().copied().max().unwrap_or(0))),
        };
        let (text, (w, h)) = one_tree(tree, room);
        let _ = writeln!(body, "<g transform=\"translate(0 {height:.1})\">\n{text}</g>");
        width = width.max(w);
        height += h;
    }
    begin(width, height, title) + &body + "</svg>\n"
}

/// For each tensor how many contractions are below it at most.
fn levels(n: usize, path: &[(u32, u32)]) -> Vec<u32> {
    let mut level = vec![0u32; n + path.len()];
    for (k, &(a, b)) in path.iter().enumerate() {
        let (a, b) = (a as usize, b as usize);
        if a < n + k && b < n + k {
            level[n + k] = level[a].max(level[b]) + 1;
        }
    }
    level
}

/// From light to dark, for a part between 0 and 1 of the largest.
fn color(part: f64) -> String {
    let mix = |from: f64, to: f64| (from + (to - from) * part.clamp(0.0, 1.0)).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(158.0, 8.0), mix(196.0, 48.0), mix(225.0, 107.0))
}

/// A tree and its size on the page.
pub(super) fn one_tree((net, ssa_path, sliced): TreeDrawing<'_>, room: Room) -> (String, (f64, f64)) {
    let n = net.inputs.len();
    let order = leaf_order(n, ssa_path);
    let mut x = vec![0.0f64; n + ssa_path.len()];
    for (k, &leaf) in order.iter().enumerate() {
        x[leaf] = k as f64;
    }
    // A result stands between its operands, nearer to the one with more inputs: long chains come out straight.
    let mut inputs = vec![1.0f64; x.len()];
    for (k, &(a, b)) in ssa_path.iter().enumerate() {
        let (a, b) = (a as usize, b as usize);
        if a < n + k && b < n + k {
            inputs[n + k] = inputs[a] + inputs[b];
            x[n + k] = (x[a] * inputs[a] + x[b] * inputs[b]) / inputs[n + k];
        }
    }
    let level = levels(n, ssa_path);
    let coarse = n > MAX_INPUTS;
    let legs = if coarse { Vec::new() } else { legs(net, ssa_path) };
    let depth = level.iter().copied().max().unwrap_or(0);
    let step_x = (room.width / n.max(1) as f64).min(48.0);
    let step_y = (room.height / f64::from(depth.max(1))).min(36.0);
    let place = |k: usize| (32.0 + x[k] * step_x, 34.0 + f64::from(depth - level[k]) * step_y);
    let names = |list: &[u32]| {
        let name = |&i: &u32| net.index_names.get(i as usize).map_or("?", String::as_str);
        let names: Vec<&str> = list.iter().take(MAX_NAMES).map(name).collect();
        match list.len().saturating_sub(MAX_NAMES) {
            0 => names.join(", "),
            more => format!("{}, {more} more", names.join(", ")),
        }
    };
    let mut heading = format!("{}: {} contractions", net.name, ssa_path.len());
    if !sliced.is_empty() {
        let _ = write!(heading, ", sliced over {}", names(sliced));
    }
    let log2 = |k: usize| -> f64 {
        let kept = legs[k].iter().filter(|i| !sliced.contains(i));
        kept.map(|&i| (net.sizes[i as usize] as f64).log2()).sum()
    };
    let size: Vec<f64> =
        if coarse { sizes(net, ssa_path, sliced) } else { (0..legs.len()).map(log2).collect() };
    let mut lines: Vec<Line> = if coarse {
        let (lines, group) = grouped(n, ssa_path, &order, &size);
        let _ = write!(heading, "; every {group} neighbouring inputs share their lines");
        lines
    } else {
        let ends = |(k, &(a, b)): (usize, &(u32, u32))| [a, b].map(|c| (c as usize, n + k));
        let all = ssa_path.iter().enumerate().flat_map(ends).filter(|(c, p)| c < p);
        all.map(|(child, parent)| Line { child, parent, size: size[child], count: 1, within: false })
            .collect()
    };
    let mut out =
        format!("<text x=\"16\" y=\"14\" font-size=\"12\" fill=\"#222\">{}</text>\n", escape(&heading));
    let top = size.iter().copied().fold(1.0, f64::max);
    let widest = (0.9 * step_x).clamp(0.7, 5.0);
    // What is large lies on top.
    lines.sort_by(|a, b| {
        a.size.total_cmp(&b.size).then_with(|| (a.child, a.parent).cmp(&(b.child, b.parent)))
    });
    out.push_str("<g fill=\"none\" stroke-linejoin=\"round\">\n");
    for line in lines {
        let ((cx, cy), (px, py)) = (place(line.child), place(line.parent));
        let part = line.size / top;
        let way = if line.within { format!("L{px:.1} {py:.1}") } else { format!("V{py:.1} H{px:.1}") };
        let about = match legs.get(line.child) {
            Some(legs) => format!("[{}], 2^{:.1} elements", names(legs), line.size),
            None => format!("{} tensors, up to 2^{:.1} elements", line.count, line.size),
        };
        let _ = writeln!(
            out,
            "<path d=\"M{cx:.1} {cy:.1} {way}\" stroke=\"{}\" stroke-width=\"{:.1}\"><title>{}</title></path>",
            color(part),
            0.7 + (widest - 0.7) * part,
            escape(&about)
        );
    }
    out.push_str("</g>\n");
    // The first of equals.
    let largest = (n..size.len()).rev().max_by(|&a, &b| size[a].total_cmp(&size[b]));
    if let Some(k) = largest {
        let (x, y) = place(k);
        let right = x < 32.0 + 0.7 * n as f64 * step_x;
        let (anchor, at) = if right { ("start", x + 8.0) } else { ("end", x - 8.0) };
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#d35400\" stroke=\"#fff\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" font-size=\"10\" text-anchor=\"{anchor}\" fill=\"#d35400\" paint-order=\"stroke\" stroke=\"#fff\" stroke-width=\"3\">largest: 2^{:.1} elements</text>",
            y - 6.0,
            size[k]
        );
    }
    let labels = step_x >= 9.0;
    if labels {
        out.push_str("<g font-size=\"9\" fill=\"#222\">\n");
        for &leaf in &order {
            let (lx, ly) = place(leaf);
            let name = escape(&net.inputs[leaf]);
            let _ = writeln!(
                out,
                "<text transform=\"translate({lx:.1} {:.1}) rotate(60)\">{name}</text>",
                ly + 8.0
            );
        }
        out.push_str("</g>\n");
    }
    let below = match labels {
        true => 30.0 + 4.4 * net.inputs.iter().map(|i| i.chars().count()).max().unwrap_or(0).min(24) as f64,
        false => 22.0,
    };
    (out, (96.0 + n as f64 * step_x, 40.0 + below + f64::from(depth) * step_y))
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
        let lonely = RegionNet {
            input_indices: vec![vec![0, 1, 3], vec![1, 2, 2], vec![2, 0, 1]],
            output: vec![0],
            sizes: vec![2, 4, 8, 16],
            ..net.clone()
        };
        assert_eq!(sizes(&lonely, &[(0, 1), (2, 3)], &[]), [7.0, 5.0, 6.0, 6.0, 1.0]);
        assert_eq!(sizes(&lonely, &[(0, 1), (2, 3)], &[1]), [5.0, 3.0, 4.0, 4.0, 1.0]);
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
        let text = tree_svg("t", &[(&net, &path, &[])]);
        assert!(text.contains("19999 contractions; every 40 neighbouring inputs") && text.len() < 400_000);
    }

    #[test]
    fn pictures_are_bounded() {
        // A tensor with so many legs, and one on each: the tree's tensors have many legs all the way up.
        let star = |n: u32| RegionNet {
            inputs: (0..=n).map(|k| format!("t{k}")).collect(),
            input_indices: (0..n).map(|k| vec![k]).chain([(0..n).collect()]).collect(),
            sizes: vec![2; n as usize],
            index_names: (0..n).map(|k| format!("i{k}")).collect(),
            ..RegionNet::default()
        };
        let up = |n: u32| (0..n).map(|k| (k, n + k)).collect::<Vec<_>>();
        for n in [1500, 5000] {
            let text = tree_svg("t", &[(&star(n), &up(n), &[])]);
            assert!(text.len() < 1_000_000, "{n}: {}", text.len());
            assert!(text.contains(&format!("largest: 2^{}.0 elements", n - 1)), "{n}");
        }
        // A balanced tree of the same.
        let mut layer: Vec<u32> = (0..=5000).collect();
        let (mut path, mut next) = (Vec::new(), 5001);
        while layer.len() > 1 {
            let pairs = layer.chunks(2).map(|pair| match pair {
                &[a, b] => {
                    path.push((a, b));
                    next += 1;
                    next - 1
                }
                one => one[0],
            });
            layer = pairs.collect();
        }
        let text = tree_svg("t", &[(&star(5000), &path, &[])]);
        assert!(text.len() < 1_000_000 && text.contains("5000 contractions"));
    }
}
