//! Pictures of networks and of their plans: DOT for Graphviz, and SVG with a layout of our own.
//!
//! A tensor is a circle, an index that two tensors share is an edge labelled with its size, an index on three or more (or on two
//! and open) is a small square, an open leg ends in a small dot with its name. A tensor that is computed by another part of the
//! network (a map, a sum, another region) is a rounded box. [`picture`] makes all of that from index lists, so a plan file is drawn
//! like the source it came from.

mod coarse;
mod dot;
mod layout;
mod plot;
mod svg;
mod tree;

pub use dot::dot;
pub use layout::{Layout, layout};
pub use plot::plot_svg;
pub use svg::{svg, svg_page};
pub use tree::{TreeDrawing, tree_svg};

/// One region as index lists: what both a fresh network and a plan file know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionNet {
    /// The definition's name.
    pub name: String,
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Whether an input is computed elsewhere in the network, rather than given.
    pub computed: Vec<bool>,
    /// Index lists of the inputs.
    pub input_indices: Vec<Vec<u32>>,
    /// Open indices.
    pub output: Vec<u32>,
    /// Sizes of the indices.
    pub sizes: Vec<u64>,
    /// Names of the indices.
    pub index_names: Vec<String>,
}

/// What a node of a picture stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A tensor that is given.
    Tensor,
    /// A tensor that another region, map, sum or view computes.
    Computed,
    /// An index on more than two places.
    Hyperedge,
    /// The end of an open leg.
    Open,
}

/// A node of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureNode {
    /// What it stands for.
    pub kind: NodeKind,
    /// Its name.
    pub label: String,
}

/// An edge of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureEdge {
    /// One end.
    pub from: usize,
    /// The other; equal to `from` for a diagonal or trace.
    pub to: usize,
    /// The index's name.
    pub index: String,
    /// Its size, where the label stands on this edge.
    pub label: String,
}

/// Nodes and edges, in the order of the inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Its title.
    pub title: String,
    /// Nodes: inputs first.
    pub nodes: Vec<PictureNode>,
    /// Edges.
    pub edges: Vec<PictureEdge>,
}

/// The picture of several regions side by side.
pub fn picture(title: &str, regions: &[RegionNet]) -> Picture {
    let mut out = Picture { title: title.to_owned(), ..Picture::default() };
    for region in regions {
        add_region(&mut out, region);
    }
    out
}

fn add_region(out: &mut Picture, net: &RegionNet) {
    let base = out.nodes.len();
    for (k, name) in net.inputs.iter().enumerate() {
        let computed = net.computed.get(k).copied().unwrap_or(false);
        let kind = if computed { NodeKind::Computed } else { NodeKind::Tensor };
        out.nodes.push(PictureNode { kind, label: name.clone() });
    }
    let mut ends: Vec<Vec<usize>> = vec![Vec::new(); net.sizes.len()];
    for (k, indices) in net.input_indices.iter().enumerate() {
        for &i in indices {
            if let Some(e) = ends.get_mut(i as usize) {
                e.push(base + k);
            }
        }
    }
    let mut open = vec![false; net.sizes.len()];
    for &i in &net.output {
        if let Some(o) = open.get_mut(i as usize) {
            *o = true;
        }
    }
    for (i, ends) in ends.iter().enumerate() {
        let index = net.index_names.get(i).cloned().unwrap_or_else(|| format!("i{i}"));
        let size = net.sizes[i].to_string();
        let edge = |from: usize, to: usize, label: &str| PictureEdge {
            from,
            to,
            index: index.clone(),
            label: label.to_owned(),
        };
        match (ends.as_slice(), open[i]) {
            ([], _) => {}
            (&[a, b], false) => out.edges.push(edge(a, b, &size)),
            (&[a], _) => {
                // An index on one tensor alone is summed at once; it is drawn as a leg that ends in a hyperedge's square.
                let (kind, label) = match open[i] {
                    true => (NodeKind::Open, index.clone()),
                    false => (NodeKind::Hyperedge, index.clone()),
                };
                out.nodes.push(PictureNode { kind, label });
                out.edges.push(edge(a, out.nodes.len() - 1, &size));
            }
            (many, is_open) => {
                out.nodes.push(PictureNode { kind: NodeKind::Hyperedge, label: index.clone() });
                let hub = out.nodes.len() - 1;
                for (n, &a) in many.iter().enumerate() {
                    out.edges.push(edge(a, hub, if n == 0 { &size } else { "" }));
                }
                if is_open {
                    out.nodes.push(PictureNode { kind: NodeKind::Open, label: index.clone() });
                    out.edges.push(edge(hub, out.nodes.len() - 1, ""));
                }
            }
        }
    }
}

/// Text inside XML or an HTML-like label.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn chain(n: usize) -> RegionNet {
        RegionNet {
            name: "psi".into(),
            inputs: (0..n).map(|k| format!("core[{k}]")).collect(),
            computed: vec![false; n],
            input_indices: (0..n as u32)
                .map(|k| {
                    let mut legs = vec![n as u32 - 1 + k];
                    legs.extend((k > 0).then(|| k - 1));
                    legs.extend((k + 1 < n as u32).then_some(k));
                    legs
                })
                .collect(),
            output: (0..n as u32).map(|k| n as u32 - 1 + k).collect(),
            sizes: vec![4; 2 * n - 1],
            index_names: (0..2 * n - 1).map(|i| format!("i{i}")).collect(),
        }
    }

    #[test]
    fn edges_hyperedges_diagonals_and_open_legs() {
        let net = RegionNet {
            inputs: vec!["a".into(), "b".into(), "c<".into()],
            computed: vec![false, false, true],
            input_indices: vec![vec![0, 1], vec![1, 2], vec![2, 2, 1]],
            output: vec![0],
            sizes: vec![2, 3, 4],
            index_names: vec!["x".into(), "h".into(), "k".into()],
            ..RegionNet::default()
        };
        let p = picture("t", &[net]);
        let kinds: Vec<_> = p.nodes.iter().map(|n| n.kind).collect();
        use NodeKind::*;
        assert_eq!(kinds, [Tensor, Tensor, Computed, Open, Hyperedge, Hyperedge]);
        assert_eq!(p.edges.len(), 1 + 3 + 3);
        let (d, s) = (dot(&p), svg(&p));
        assert!(d.contains("c<") && s.contains("c&lt;") && !s.contains("c<"));
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_drawn() {
        let p = picture("long", &[chain(100_000)]);
        assert_eq!(p.nodes.len(), 200_000);
        assert!(svg(&p).len() > 100_000);
    }
}
