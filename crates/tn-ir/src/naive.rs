//! The meaning of a program by brute force: every contraction is one loop over all values of all its indices.
//!
//! It shares nothing with regions, trees or dags, so it is the witness that they are compared with. Only for small programs.

use crate::eval::{Dense, flat, for_each_index};
use crate::ids::Id;
use crate::program::*;
use crate::size::SymbolId;
use num_complex::Complex64;
use std::collections::HashMap;

/// A result of a program: one array, or phase and logarithm of the modulus for a `log` output.
#[derive(Clone, Debug)]
pub enum NaiveOutput {
    /// The tensor.
    Plain(Dense),
    /// `z/|z|` and `log|z|`, entry by entry.
    Log {
        /// z/|z|
        phase: Dense,
        /// log|z|
        log: Dense,
    },
}

/// The outputs, in order. `leaves` gives every param and input; constants are filled from the program. `sizes` gives run-time sizes
/// (absent: the hint).
pub fn evaluate(
    program: &Program,
    leaves: &HashMap<LeafId, Dense>,
    sizes: &HashMap<SymbolId, u64>,
) -> Vec<NaiveOutput> {
    let naive = Naive { program, leaves, sizes };
    let mut values: Vec<Dense> = Vec::with_capacity(program.nodes.len());
    for (_, data) in program.nodes.enumerate() {
        let value = naive.node(data, &values);
        values.push(value);
    }
    let entrywise = |d: &Dense, f: &dyn Fn(Complex64) -> Complex64| Dense {
        shape: d.shape.clone(),
        data: d.data.iter().map(|&x| f(x)).collect(),
    };
    let output = |o: &Output| {
        let value = values[o.node.index()].clone();
        if !o.log {
            return NaiveOutput::Plain(value);
        }
        NaiveOutput::Log {
            phase: entrywise(&value, &|z| z / z.norm()),
            log: entrywise(&value, &|z| Complex64::new(z.norm().ln(), 0.0)),
        }
    };
    program.outputs.iter().map(output).collect()
}

/// The array of a constant leaf.
pub fn constant(program: &Program, leaf: LeafId) -> Option<Dense> {
    let leaf = &program.leaves[leaf];
    let Role::Const(value) = &leaf.role else { return None };
    let shape: Vec<u64> = leaf.legs.iter().map(|&i| program.indices[i].size.value).collect();
    let mut out = Dense::zeros(shape.clone());
    for_each_index(&shape, |at| out.data[flat(at, &shape)] = value.entry(at, &shape));
    Some(out)
}

struct Naive<'a> {
    program: &'a Program,
    leaves: &'a HashMap<LeafId, Dense>,
    sizes: &'a HashMap<SymbolId, u64>,
}

impl Naive<'_> {
    fn size(&self, i: IndexId) -> u64 {
        let size = &self.program.indices[i].size;
        match size.dynamic {
            Some(s) => self.sizes.get(&s).copied().unwrap_or(size.value),
            None => size.value,
        }
    }

    fn node(&self, data: &NodeData, values: &[Dense]) -> Dense {
        let shape: Vec<u64> = data.legs.iter().map(|&i| self.size(i)).collect();
        let mut out = Dense::zeros(shape.clone());
        let value = |n: &NodeId| &values[n.index()];
        match &data.node {
            Node::Leaf(l) => {
                out = constant(self.program, *l).unwrap_or_else(|| self.leaves[l].clone());
            }
            Node::Contract { scale, operands } => {
                let mut all = data.legs.clone();
                for &i in operands.iter().flat_map(|o| &o.indices) {
                    if !all.contains(&i) {
                        all.push(i);
                    }
                }
                let place: HashMap<IndexId, usize> = all.iter().enumerate().map(|(k, &i)| (i, k)).collect();
                let lens: Vec<u64> = all.iter().map(|&i| self.size(i)).collect();
                for_each_index(&lens, |at| {
                    let factor = |o: &Operand| {
                        let index: Vec<u64> = o.indices.iter().map(|i| at[place[i]]).collect();
                        let x = value(&o.node).get(&index);
                        if o.conj { x.conj() } else { x }
                    };
                    let product = operands.iter().fold(*scale, |p, o| p * factor(o));
                    out.data[flat(&at[..data.legs.len()], &shape)] += product;
                });
            }
            Node::Map { map, arg, params } => {
                let mut args = vec![Complex64::new(0.0, 0.0)];
                args.extend(params.iter().flat_map(|p| value(p).data.iter().copied()));
                for (o, &x) in out.data.iter_mut().zip(&value(arg).data) {
                    args[0] = x;
                    *o = self.program.maps[*map].body.eval(&args);
                }
            }
            Node::Add { terms } => for_each_index(&shape, |at| {
                let at_leg = |i: &IndexId| at[data.legs.iter().position(|l| l == i).unwrap_or(0)];
                for (c, o) in terms {
                    let index: Vec<u64> = o.indices.iter().map(at_leg).collect();
                    let x = value(&o.node).get(&index);
                    out.data[flat(at, &shape)] += c * if o.conj { x.conj() } else { x };
                }
            }),
            Node::Select { arg, axis, at: entry } => for_each_index(&shape, |at| {
                let mut index = at.to_vec();
                index.insert(*axis as usize, *entry);
                out.data[flat(at, &shape)] = value(arg).get(&index);
            }),
            Node::Unpad { arg } => {
                let n = out.data.len();
                out.data.copy_from_slice(&value(arg).data[..n]);
            }
            Node::Stack { parts } => {
                out.data = parts.iter().flat_map(|p| value(p).data.iter().copied()).collect();
            }
            Node::Pin { arg } => out.data.clone_from(&value(arg).data),
        }
        out
    }
}
