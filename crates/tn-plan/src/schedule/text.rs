//! Steps in index notation.

use std::fmt::Write;
use tn_ir::dag::{Dag, DagId, Op};

/// Names of the values of a dag: arrays by their names, everything else `t<number>`.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    names: Vec<Option<String>>,
}

impl Names {
    /// The names of a dag's leaves.
    pub fn new(dag: &Dag) -> Names {
        let names = dag.ids().map(|n| match dag.op(n) {
            Op::Leaf(a) => Some(dag.arrays[*a].name.clone()),
            _ => None,
        });
        Names { names: names.collect() }
    }
    /// Names a node's memory.
    pub fn set(&mut self, n: DagId, name: &str) {
        if let Some(place) = self.names.get_mut(n.0 as usize) {
            *place = Some(name.to_string());
        }
    }
    /// The name of a node's memory.
    pub fn of(&self, n: DagId) -> String {
        match self.names.get(n.0 as usize) {
            Some(Some(name)) => name.clone(),
            _ => format!("t{}", n.0),
        }
    }
}

/// A letter for a label: a to z, then a1, b1, ….
fn letter(label: u32, out: &mut String) {
    out.push(char::from(b'a' + (label % 26) as u8));
    match label / 26 {
        0 => {}
        // formatting takes a while, and wide tensors have many
        round @ 1..10 => out.push(char::from(b'0' + round as u8)),
        round => {
            let _ = write!(out, "{round}");
        }
    }
}

/// `name[a,b]`; the bare name for order 0.
pub(crate) fn tensor(name: &str, labels: &[u32]) -> String {
    // a letter with its comma, and a digit for every second
    let mut out = String::with_capacity(name.len() + 2 + labels.len() * 5 / 2);
    out.push_str(name);
    for (i, &l) in labels.iter().enumerate() {
        out.push(if i > 0 { ',' } else { '[' });
        letter(l, &mut out);
    }
    if !labels.is_empty() {
        out.push(']');
    }
    out
}

/// `a * conj(b)`.
pub(crate) fn product(a: (&str, bool), b: (&str, bool)) -> String {
    let mut out = String::with_capacity(a.0.len() + b.0.len() + 17);
    for (k, (text, conj)) in [a, b].into_iter().enumerate() {
        let (before, after) = if conj { ("conj(", ")") } else { ("", "") };
        for part in [if k > 0 { " * " } else { "" }, before, text, after] {
            out.push_str(part);
        }
    }
    out
}
