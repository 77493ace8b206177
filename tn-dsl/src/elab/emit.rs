//! Tensor expressions to L1 nodes: where indices are summed.
//!
//! An index is open in a scope if the left side has it or another factor of an enclosing product does; otherwise the scope sums it. Scopes are the operands
//! of `+`, the bodies of `sum` and `stack`, and arguments of maps.

use super::tensor::Te;
use super::{Elab, Res};
use crate::diag::{Code, Diagnostic};
use std::collections::{HashMap, HashSet};
use tn_ir::Complex64;
use tn_ir::program::{IndexId, Node, NodeData, NodeId, Operand};
use tn_ir::span::Span;

/// A node bound to indices of the scope around it.
struct Bound {
    node: NodeId,
    indices: Vec<IndexId>,
    conj: bool,
}

/// What kind of scope an expression is in, for the check of indices that occur once.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Definition,
    Map,
    Term,
}

const ONE: Complex64 = Complex64::new(1.0, 0.0);

impl Elab<'_> {
    /// The node of a definition with these legs.
    pub fn define(&mut self, left: &[IndexId], te: Te, name: &str, span: Span) -> Res<NodeId> {
        let open: HashSet<IndexId> = left.iter().copied().collect();
        let bound = self.emit(te, &open, left, Within::Definition, name, span)?;
        for &i in left {
            if !bound.indices.contains(&i) {
                let index = self.program.indices[i].name.clone();
                let d = Diagnostic::error(
                    Code::NoFactor,
                    span,
                    format!("index `{index}` is on the left, but no factor has it"),
                );
                return Err(self.report(d.with_help(format!(
                    "remove it from the left, or multiply by a tensor that has `{index}`"
                ))));
            }
        }
        Ok(self.with_legs(bound, left, name, span))
    }

    /// The bound node under legs in exactly that order.
    fn with_legs(&mut self, b: Bound, legs: &[IndexId], name: &str, span: Span) -> NodeId {
        let has = &self.program.nodes[b.node].legs;
        if !b.conj && has.len() == legs.len() && b.indices == legs {
            return b.node;
        }
        let operand = Operand { node: b.node, indices: b.indices, conj: b.conj };
        self.node(Node::Contract { scale: ONE, operands: vec![operand] }, legs.to_vec(), name, span)
    }

    /// Adds a node.
    pub fn node(&mut self, node: Node, legs: Vec<IndexId>, name: &str, span: Span) -> NodeId {
        self.program.nodes.push(NodeData { node, legs, name: name.to_string(), span })
    }

    fn emit(
        &mut self,
        te: Te,
        open: &HashSet<IndexId>,
        order: &[IndexId],
        within: Within,
        name: &str,
        span: Span,
    ) -> Res<Bound> {
        match te {
            Te::Number(c) => {
                let node = self.node(Node::Contract { scale: c, operands: vec![] }, vec![], name, span);
                Ok(Bound { node, indices: vec![], conj: false })
            }
            Te::Use { .. } => self.emit_product(vec![te], open, order, within, name, span),
            Te::Product(factors) => self.emit_product(factors, open, order, within, name, span),
            Te::Sum { terms, conj, span } => self.emit_sum(terms, conj, open, order, name, span),
            Te::Map { map, arg, params, conj, span } => {
                let bound = self.emit(*arg, open, order, Within::Map, name, span)?;
                let indices = bound.indices.clone();
                // the map's legs are exactly its argument's; a diagonal is taken before
                let arg = if distinct(&indices) && !bound.conj {
                    bound.node
                } else {
                    let legs = unique(&indices);
                    self.with_legs(bound, &legs, name, span)
                };
                let indices = unique(&indices);
                self.storable(arg, "the argument of a map", span)?;
                let node = self.node(Node::Map { map: map.id, arg, params }, indices.clone(), name, span);
                Ok(Bound { node, indices, conj })
            }
            Te::Stack { index, parts, conj, span } => {
                let mut nodes = vec![];
                let mut legs: Option<Vec<IndexId>> = None;
                for part in parts {
                    let bound = self.emit(part, open, order, Within::Term, name, span)?;
                    let legs = legs.get_or_insert_with(|| unique(&bound.indices)).clone();
                    let mut mine = unique(&bound.indices);
                    let mut want = legs.clone();
                    mine.sort();
                    want.sort();
                    if mine != want {
                        let d = Diagnostic::error(
                            Code::NoWidest,
                            span,
                            "the parts of a `stack` have different legs",
                        );
                        return Err(self.report(d.with_help("every part needs the same open indices")));
                    }
                    nodes.push(self.with_legs(bound, &legs, name, span));
                }
                let mut all = vec![index];
                all.extend(legs.unwrap_or_default());
                let node = self.node(Node::Stack { parts: nodes }, all.clone(), name, span);
                self.storable(node, "a `stack`", span)?;
                Ok(Bound { node, indices: all, conj })
            }
        }
    }

    fn emit_sum(
        &mut self,
        terms: Vec<(Complex64, Te, Span)>,
        conj: bool,
        open: &HashSet<IndexId>,
        order: &[IndexId],
        name: &str,
        span: Span,
    ) -> Res<Bound> {
        let mut bound = vec![];
        for (c, t, at) in terms {
            bound.push((c, self.emit(t, open, order, Within::Term, name, at)?));
        }
        let mut all: Vec<IndexId> = vec![];
        let mut seen = HashSet::new();
        for (_, b) in &bound {
            all.extend(b.indices.iter().copied().filter(|i| seen.insert(*i)));
        }
        let widest = bound.iter().find(|(_, b)| unique(&b.indices).len() == all.len());
        let Some((_, widest)) = widest else {
            let names: Vec<String> =
                all.iter().map(|&i| format!("`{}`", self.program.indices[i].name)).collect();
            let message = format!("no term of the sum has all of its legs {}", names.join(", "));
            let d = Diagnostic::error(Code::NoWidest, span, message);
            let help =
                "a sum has the legs of its widest term; multiply a term by `const one[…] = ones` to widen it";
            return Err(self.report(d.with_help(help)));
        };
        let mut legs: Vec<IndexId> = order.iter().copied().filter(|i| all.contains(i)).collect();
        legs.extend(unique(&widest.indices).into_iter().filter(|i| !order.contains(i)));
        let terms =
            bound.into_iter().map(|(c, b)| (c, Operand { node: b.node, indices: b.indices, conj: b.conj }));
        let terms: Vec<_> = terms.collect();
        let node = self.node(Node::Add { terms }, legs.clone(), name, span);
        Ok(Bound { node, indices: legs, conj })
    }

    fn emit_product(
        &mut self,
        factors: Vec<Te>,
        open: &HashSet<IndexId>,
        order: &[IndexId],
        within: Within,
        name: &str,
        span: Span,
    ) -> Res<Bound> {
        // how many factors mention each index, and how often it occurs in all
        let mut mentions: HashMap<IndexId, u32> = HashMap::new();
        let mut occurrences: HashMap<IndexId, u32> = HashMap::new();
        let simple = |t: &Te| matches!(t, Te::Use { .. } | Te::Number(_));
        let mut own: Vec<HashMap<IndexId, u32>> = vec![];
        for f in &factors {
            // most factors have a few legs
            if let Te::Use { indices, .. } = f
                && indices.len() <= 8
            {
                for (k, &i) in indices.iter().enumerate() {
                    *mentions.entry(i).or_default() += u32::from(!indices[..k].contains(&i));
                    *occurrences.entry(i).or_default() += 1;
                }
                own.push(HashMap::new());
                continue;
            }
            let mut mine = HashMap::new();
            f.occurrences(&mut mine);
            // counting: the order does not matter
            #[allow(clippy::iter_over_hash_type)]
            for (&i, &n) in &mine {
                *mentions.entry(i).or_default() += 1;
                *occurrences.entry(i).or_default() += n;
            }
            own.push(if simple(f) { HashMap::new() } else { mine });
        }
        let mut scale = ONE;
        let mut operands: Vec<Operand> = vec![];
        for (f, mine) in factors.into_iter().zip(own) {
            match f {
                Te::Number(c) => scale *= c,
                Te::Use { node, indices, conj, .. } => operands.push(Operand { node, indices, conj }),
                other => {
                    let inner: HashSet<IndexId> =
                        mine.keys().copied().filter(|i| open.contains(i) || mentions[i] > 1).collect();
                    let b = self.emit(other, &inner, order, within, name, span)?;
                    operands.push(Operand { node: b.node, indices: b.indices, conj: b.conj });
                }
            }
        }
        let mut carried: Vec<IndexId> = vec![];
        let mut seen = HashSet::new();
        for o in &operands {
            carried.extend(o.indices.iter().copied().filter(|i| seen.insert(*i)));
        }
        if within != Within::Definition
            && let Some(&i) = carried.iter().find(|i| !open.contains(i) && occurrences.get(i) == Some(&1))
        {
            let index = self.program.indices[i].name.clone();
            let place = if within == Within::Map { "the argument of a map" } else { "a term of a sum" };
            let d = Diagnostic::error(
                Code::CutOff,
                span,
                format!("index `{index}` is summed inside {place}, where it occurs only once"),
            );
            let name = |i: &IndexId| self.program.indices[*i].name.clone();
            let kept: Vec<String> = carried.iter().filter(|i| open.contains(i)).map(name).collect();
            let (sum, all) = (kept.join(", "), [kept, vec![index]].concat().join(", "));
            let help = format!(
                "if it should be summed outside, give the inner expression its own `let`: `let t[{all}] = …`; if its sum is meant, sum it there: `let t[{sum}] = …`"
            );
            return Err(self.report(d.with_help(help)));
        }
        let position: HashMap<IndexId, usize> = order.iter().enumerate().map(|(k, &i)| (i, k)).collect();
        let mut legs: Vec<IndexId> = carried.into_iter().filter(|i| open.contains(i)).collect();
        legs.sort_by_key(|i| position.get(i).copied().unwrap_or(usize::MAX));
        self.settle_init(&operands, &legs);
        if let [one] = operands.as_slice()
            && scale == ONE
            && one.indices.len() == legs.len()
            && distinct(&one.indices)
        {
            let one = operands.remove(0);
            return Ok(Bound { node: one.node, indices: one.indices, conj: one.conj });
        }
        let node = self.node(Node::Contract { scale, operands }, legs.clone(), name, span);
        Ok(Bound { node, indices: legs, conj: false })
    }

    /// A tensor that must be stored has a size that fits 64 bits.
    pub fn storable(&mut self, node: NodeId, what: &str, span: Span) -> Res<()> {
        let legs = self.program.nodes[node].legs.clone();
        self.storable_legs(&legs, what, span)
    }

    /// The same for a list of legs.
    pub fn storable_legs(&mut self, legs: &[IndexId], what: &str, span: Span) -> Res<()> {
        let bytes = self.program.dtype.bytes() as u128;
        let n = legs.iter().fold(bytes, |p, &i| p.saturating_mul(self.program.indices[i].size.value as u128));
        if n > i64::MAX as u128 {
            let d = Diagnostic::error(
                Code::TooLarge,
                span,
                format!("{what} has too many entries to be stored: its size overflows 64 bits"),
            );
            return Err(
                self.report(d.with_help("only definitions that are seen through (`let`) may be that large"))
            );
        }
        Ok(())
    }
}

fn unique(indices: &[IndexId]) -> Vec<IndexId> {
    let mut seen = HashSet::new();
    indices.iter().copied().filter(|i| seen.insert(*i)).collect()
}

fn distinct(indices: &[IndexId]) -> bool {
    let mut seen = HashSet::new();
    indices.iter().all(|i| seen.insert(*i))
}
