//! Scalable vector graphics.

use super::{Layout, NodeKind, Picture, escape, layout};
use std::fmt::Write;

/// Pixels of one edge.
const UNIT: f64 = 72.0;
const MARGIN: f64 = 48.0;
/// Beyond this many nodes, names and sizes would only blacken the page.
const MAX_LABELS: usize = 1500;

/// The picture, laid out by [`layout`].
pub fn svg(picture: &Picture) -> String {
    let Layout { points, width, height } = layout(picture);
    let at = |k: usize| (MARGIN + points[k].0 * UNIT, 2.0 * MARGIN + points[k].1 * UNIT);
    let labels = picture.nodes.len() <= MAX_LABELS;
    let (w, h) = (width * UNIT + 2.0 * MARGIN, height * UNIT + 3.0 * MARGIN);
    let mut out = begin(w.max(240.0), h, &picture.title);
    out.push_str("<g class=\"edges\" stroke=\"#555\" stroke-width=\"1.5\" fill=\"none\">\n");
    // Parallel edges are bent apart, so that each keeps its label.
    let mut parallel = std::collections::BTreeMap::new();
    let mut texts = String::new();
    for e in &picture.edges {
        let (a, b) = (at(e.from), at(e.to));
        let rank = parallel.entry((e.from.min(e.to), e.from.max(e.to))).or_insert(0u32);
        let tooltip = format!("<title>{}</title>", escape(&e.index));
        let middle = if e.from == e.to {
            let r = 14.0 + 8.0 * f64::from(*rank);
            let (x, y) = a;
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {y:.1} c{r:.1} {:.1} {:.1} {:.1} 0 0\">{tooltip}</path>",
                -2.5 * r,
                -r,
                -2.5 * r
            );
            (x, y - 2.0 * r)
        } else {
            let bend = f64::from(rank.div_ceil(2)) * if *rank % 2 == 0 { 14.0 } else { -14.0 };
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let length = (dx * dx + dy * dy).sqrt().max(1.0);
            let (mx, my) = ((a.0 + b.0) / 2.0 - dy / length * bend, (a.1 + b.1) / 2.0 + dx / length * bend);
            let (x, y) = a;
            if bend == 0.0 {
                let _ = writeln!(out, "<path d=\"M{x:.1} {y:.1} L{:.1} {:.1}\">{tooltip}</path>", b.0, b.1);
            } else {
                let (qx, qy) = (2.0 * mx - (a.0 + b.0) / 2.0, 2.0 * my - (a.1 + b.1) / 2.0);
                let _ = writeln!(
                    out,
                    "<path d=\"M{x:.1} {y:.1} Q{qx:.1} {qy:.1} {:.1} {:.1}\">{tooltip}</path>",
                    b.0, b.1
                );
            }
            (mx, my)
        };
        *rank += 1;
        if labels && !e.label.is_empty() {
            let text = escape(&e.label);
            let half = 3.2 * e.label.chars().count() as f64 + 2.0;
            let (x, y) = middle;
            let _ = writeln!(
                texts,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" fill=\"#fff\" opacity=\"0.85\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"10\" fill=\"#a33\">{text}</text>",
                x - half,
                y - 6.0,
                2.0 * half,
                y + 3.5
            );
        }
    }
    out.push_str("</g>\n<g class=\"sizes\" text-anchor=\"middle\">\n");
    out.push_str(&texts);
    out.push_str("</g>\n<g class=\"nodes\" text-anchor=\"middle\" font-size=\"10\">\n");
    for (k, node) in picture.nodes.iter().enumerate() {
        let (x, y) = at(k);
        let name = escape(&node.label);
        match node.kind {
            NodeKind::Tensor => {
                let _ = write!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"13\" fill=\"#cfe2f3\" stroke=\"#2b5b84\"><title>{name}</title></circle>"
                );
            }
            NodeKind::Computed => {
                let _ = write!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"30\" height=\"24\" rx=\"6\" fill=\"#fce5cd\" stroke=\"#a65e1a\"><title>{name}</title></rect>",
                    x - 15.0,
                    y - 12.0
                );
            }
            NodeKind::Hyperedge => {
                let _ = write!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\" fill=\"#444\"><title>{name}</title></rect>",
                    x - 4.0,
                    y - 4.0
                );
            }
            NodeKind::Open => {
                let _ = write!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#fff\" stroke=\"#555\"><title>{name}</title></circle>"
                );
            }
        }
        if labels {
            let below = match node.kind {
                NodeKind::Tensor | NodeKind::Computed => 25.0,
                NodeKind::Hyperedge | NodeKind::Open => 14.0,
            };
            let _ = write!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{name}</text>", y + below);
        }
        out.push('\n');
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// The head of a document of that size, with a white page and a title.
/// A page of the given size around a body.
pub fn svg_page(title: &str, (width, height): (f64, f64), body: &str) -> String {
    begin(width, height, title) + body + "</svg>\n"
}

pub(super) fn begin(width: f64, height: f64, title: &str) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\">\n\
         <title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"15\" fill=\"#222\">{title}</text>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{RegionNet, picture, tests::chain};

    #[test]
    fn every_node_and_edge_is_there() {
        let p = picture("a & b", &[chain(5)]);
        let text = svg(&p);
        assert_eq!(text.matches("r=\"13\"").count(), 5);
        assert_eq!(text.matches("r=\"3\"").count(), 5);
        assert_eq!(text.matches("<path").count(), p.edges.len());
        assert!(text.contains("a &amp; b"));
        assert_eq!(text, svg(&p));
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn parallel_edges_and_traces_are_bent() {
        let net = RegionNet {
            inputs: vec!["a".into(), "b".into()],
            input_indices: vec![vec![0, 1, 2, 2], vec![0, 1]],
            sizes: vec![2, 3, 4],
            index_names: vec!["i".into(), "j".into(), "k".into()],
            ..RegionNet::default()
        };
        let text = svg(&picture("", &[net]));
        assert_eq!((text.matches(" Q").count(), text.matches(" c14").count()), (1, 1));
    }
}
