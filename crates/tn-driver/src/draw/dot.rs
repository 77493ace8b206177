//! Graphviz.

use super::{NodeKind, Picture};
use std::fmt::Write;

/// The picture as an undirected DOT graph; `neato` or `sfdp` draw it best.
pub fn dot(picture: &Picture) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "graph {} {{", quote(&picture.title));
    out.push_str("  layout=neato; overlap=false; splines=true;\n");
    out.push_str(
        "  node [fontname=\"Helvetica\", fontsize=10]; edge [fontname=\"Helvetica\", fontsize=8];\n",
    );
    for (k, node) in picture.nodes.iter().enumerate() {
        let label = quote(&node.label);
        let style = match node.kind {
            NodeKind::Tensor => format!("shape=circle, style=filled, fillcolor=\"#cfe2f3\", label={label}"),
            NodeKind::Computed => {
                format!("shape=box, style=\"filled,rounded\", fillcolor=\"#fce5cd\", label={label}")
            }
            NodeKind::Hyperedge => {
                format!(
                    "shape=square, style=filled, fillcolor=\"#444444\", width=0.1, label=\"\", xlabel={label}"
                )
            }
            NodeKind::Open => format!("shape=plaintext, label={label}"),
        };
        let _ = writeln!(out, "  n{k} [{style}];");
    }
    for edge in &picture.edges {
        let label =
            if edge.label.is_empty() { String::new() } else { format!("label={}, ", quote(&edge.label)) };
        let _ = writeln!(out, "  n{} -- n{} [{label}tooltip={}];", edge.from, edge.to, quote(&edge.index));
    }
    out.push_str("}\n");
    out
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{picture, tests::chain};

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote("a\"b\\\n"), "\"a\\\"b\\\\ \"");
        let text = dot(&picture("psi", &[chain(3)]));
        assert!(text.starts_with("graph \"psi\" {"));
        assert_eq!(text.matches(" -- ").count(), 5);
    }
}
