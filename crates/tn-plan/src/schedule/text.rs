//! Steps in index notation.

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
    if label >= 26 {
        out.push_str(&(label / 26).to_string());
    }
}

/// `name[a,b]`; the bare name for order 0.
pub(crate) fn tensor(name: &str, labels: &[u32]) -> String {
    if labels.is_empty() {
        return name.to_string();
    }
    let mut out = format!("{name}[");
    for (i, &l) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        letter(l, &mut out);
    }
    out.push(']');
    out
}

/// `a * conj(b)`.
pub(crate) fn product(a: (&str, bool), b: (&str, bool)) -> String {
    let factor = |(text, conj): (&str, bool)| if conj { format!("conj({text})") } else { text.to_string() };
    format!("{} * {}", factor(a), factor(b))
}
