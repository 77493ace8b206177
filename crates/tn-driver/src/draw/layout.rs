//! Where the nodes of a picture stand: stress majorisation (Gansner, Koren and North 2004) for parts of up to a few hundred nodes,
//! breadth-first levels beyond. No random numbers: equal pictures give equal bytes.

use super::Picture;

/// Positions in units of one edge length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// One point a node.
    pub points: Vec<(f64, f64)>,
    /// Width of everything.
    pub width: f64,
    /// Height of everything.
    pub height: f64,
}

/// Parts with more nodes are laid out level by level: stress needs all pairs.
const MAX_STRESS: usize = 400;
const SWEEPS: usize = 120;

/// Lays out each connected part, then sets the parts side by side in rows.
pub fn layout(picture: &Picture) -> Layout {
    let n = picture.nodes.len();
    let mut next: Vec<Vec<u32>> = vec![Vec::new(); n];
    for e in &picture.edges {
        if e.from != e.to {
            next[e.from].push(e.to as u32);
            next[e.to].push(e.from as u32);
        }
    }
    let mut points = vec![(0.0, 0.0); n];
    let mut boxes = Vec::new();
    let mut part_of = vec![u32::MAX; n];
    for start in 0..n {
        if part_of[start] != u32::MAX {
            continue;
        }
        let part = boxes.len() as u32;
        let mut members = vec![start as u32];
        part_of[start] = part;
        let mut at = 0;
        while at < members.len() {
            for &m in &next[members[at] as usize] {
                if part_of[m as usize] == u32::MAX {
                    part_of[m as usize] = part;
                    members.push(m);
                }
            }
            at += 1;
        }
        let local =
            if members.len() <= MAX_STRESS { stress(&members, &next) } else { levels(&members, &next) };
        let size = normalise(&members, local, &mut points);
        boxes.push((members, size));
    }
    place(&boxes, &mut points)
}

/// Breadth-first distances inside one part, from `start`, by position in `members`.
fn distances(start: usize, local: &[Vec<u32>]) -> Vec<f64> {
    let mut out = vec![f64::INFINITY; local.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    out[start] = 0.0;
    while let Some(at) = queue.pop_front() {
        for &m in &local[at] {
            if out[m as usize].is_infinite() {
                out[m as usize] = out[at] + 1.0;
                queue.push_back(m as usize);
            }
        }
    }
    out
}

fn local_graph(members: &[u32], next: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut sorted: Vec<(u32, u32)> = members.iter().enumerate().map(|(k, &m)| (m, k as u32)).collect();
    sorted.sort_unstable();
    let position = |m: u32| sorted.binary_search_by_key(&m, |&(m, _)| m).map_or(0, |p| sorted[p].1);
    members.iter().map(|&m| next[m as usize].iter().map(|&o| position(o)).collect()).collect()
}

fn farthest(d: &[f64]) -> usize {
    let mut best = 0;
    for (k, &x) in d.iter().enumerate() {
        if x > d[best] {
            best = k;
        }
    }
    best
}

fn stress(members: &[u32], next: &[Vec<u32>]) -> Vec<(f64, f64)> {
    let local = local_graph(members, next);
    let n = local.len();
    if n == 1 {
        return vec![(0.0, 0.0)];
    }
    let d: Vec<Vec<f64>> = (0..n).map(|k| distances(k, &local)).collect();
    // Start from two axes that the distances themselves give: along the longest way, and across it.
    let a = farthest(&d[0]);
    let b = farthest(&d[a]);
    let across: Vec<f64> = (0..n).map(|k| d[a][k].min(d[b][k])).collect();
    let c = farthest(&across);
    let mut points: Vec<(f64, f64)> = (0..n)
        .map(|k| {
            // Nodes with equal distances must not start at one point; the golden angle spreads them without a generator.
            let angle = k as f64 * 2.399_963;
            let x = (d[a][k] - d[b][k]) / 2.0;
            let y = d[c][k] - (d[a][k] + d[b][k]) / 2.0;
            (x + 0.15 * angle.cos(), y + 0.15 * angle.sin())
        })
        .collect();
    for _ in 0..SWEEPS {
        for i in 0..n {
            let (mut x, mut y, mut total) = (0.0, 0.0, 0.0);
            for j in 0..n {
                if i == j {
                    continue;
                }
                let want = d[i][j];
                let weight = 1.0 / (want * want);
                let (dx, dy) = (points[i].0 - points[j].0, points[i].1 - points[j].1);
                let far = (dx * dx + dy * dy).sqrt().max(1e-9);
                x += weight * (points[j].0 + want * dx / far);
                y += weight * (points[j].1 + want * dy / far);
                total += weight;
            }
            points[i] = (x / total, y / total);
        }
    }
    points
}

fn levels(members: &[u32], next: &[Vec<u32>]) -> Vec<(f64, f64)> {
    let local = local_graph(members, next);
    let a = farthest(&distances(0, &local));
    let d = distances(a, &local);
    let mut used = vec![0u32; local.len() + 1];
    // A long, thin part is folded into rows, so that the picture stays near a square.
    let depth = d.iter().copied().fold(0.0, f64::max) as usize + 1;
    let mut widest = vec![0u32; depth];
    for &x in &d {
        widest[x as usize] += 1;
    }
    let thick = widest.iter().copied().max().unwrap_or(1) as f64 + 1.0;
    let row = ((depth as f64 * thick).sqrt().ceil() as usize).max(1);
    d.iter()
        .map(|&x| {
            let level = x as usize;
            let y = used[level] as f64;
            used[level] += 1;
            ((level % row) as f64, (level / row) as f64 * thick + y)
        })
        .collect()
}

/// Moves a part to the origin, wider than high; returns its size.
fn normalise(members: &[u32], mut local: Vec<(f64, f64)>, points: &mut [(f64, f64)]) -> (f64, f64) {
    let bounds = |p: &[(f64, f64)]| {
        p.iter().fold((f64::MAX, f64::MAX, f64::MIN, f64::MIN), |b, q| {
            (b.0.min(q.0), b.1.min(q.1), b.2.max(q.0), b.3.max(q.1))
        })
    };
    let b = bounds(&local);
    if b.3 - b.1 > b.2 - b.0 {
        local.iter_mut().for_each(|p| *p = (p.1, p.0));
    }
    let b = bounds(&local);
    for (&m, p) in members.iter().zip(local) {
        points[m as usize] = (p.0 - b.0, p.1 - b.1);
    }
    (b.2 - b.0, b.3 - b.1)
}

type Part = (Vec<u32>, (f64, f64));

fn place(parts: &[Part], points: &mut [(f64, f64)]) -> Layout {
    let area: f64 = parts.iter().map(|(_, (w, h))| (w + 1.0) * (h + 1.0)).sum();
    let widest = parts.iter().map(|(_, (w, _))| *w).fold(0.0, f64::max);
    let limit = widest.max(area.sqrt() * 1.4);
    let (mut x, mut y, mut row, mut width) = (0.0, 0.0, 0.0f64, 0.0f64);
    for (members, (w, h)) in parts {
        if x > 0.0 && x + w > limit {
            x = 0.0;
            y += row + 1.0;
            row = 0.0;
        }
        for &m in members {
            let p = &mut points[m as usize];
            *p = (p.0 + x, p.1 + y);
        }
        x += w + 1.0;
        row = row.max(*h);
        width = width.max(x - 1.0);
    }
    Layout { points: points.to_vec(), width, height: y + row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{RegionNet, picture, tests::chain};

    #[test]
    fn neighbours_of_a_chain_stand_one_edge_apart() {
        let p = picture("", &[chain(10)]);
        let l = layout(&p);
        for e in &p.edges {
            let (a, b) = (l.points[e.from], l.points[e.to]);
            let far = ((a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)).sqrt();
            assert!((0.5..1.6).contains(&far), "{far}");
        }
        assert!(l.width > 7.0 && l.height < 5.0, "{} {}", l.width, l.height);
    }

    #[test]
    fn parts_do_not_overlap() {
        let lone =
            RegionNet { inputs: vec!["x".into()], input_indices: vec![vec![]], ..RegionNet::default() };
        let p = picture("", &[lone.clone(), lone.clone(), lone]);
        let l = layout(&p);
        for i in 0..3 {
            for j in 0..i {
                assert_ne!(l.points[i], l.points[j]);
            }
        }
        assert_eq!(layout(&picture("", &[])).points, []);
    }
}
