//! Integer expressions that read the same in Rust and in C++.

use std::collections::BTreeMap;
use tn_ir::size::{Poly, SymbolId};
use tn_kernel::ir::{Bound, Index, Var};
use tn_kernel::module::{Number, OffsetTerm};

/// Names of the run-time sizes.
pub(crate) type SizeNames = BTreeMap<SymbolId, String>;

fn size(names: &SizeNames, s: SymbolId) -> &str {
    names.get(&s).map_or("unknown_size", |n| n.as_str())
}

/// A sum: what is added first, then what is taken away, so that nothing unsigned goes below zero on the way.
fn sum(plus: Vec<String>, minus: Vec<String>) -> String {
    let mut out = if plus.is_empty() { "0".to_string() } else { plus.join(" + ") };
    for m in minus {
        out.push_str(" - ");
        out.push_str(&m);
    }
    out
}

fn product(factor: i128, names: &SizeNames, monomial: &[(SymbolId, u32)]) -> String {
    let mut factors = Vec::new();
    if factor != 1 || monomial.is_empty() {
        factors.push(factor.to_string());
    }
    for &(s, e) in monomial {
        factors.extend((0..e).map(|_| size(names, s).to_string()));
    }
    factors.join(" * ")
}

/// A polynomial: `4 * b * b + 3`.
pub(crate) fn poly(p: &Poly, names: &SizeNames) -> String {
    let (mut plus, mut minus) = (vec![], vec![]);
    for (m, c) in p.terms() {
        if c < 0 {
            minus.push(product(-c, names, m));
        } else {
            plus.push(product(c, names, m));
        }
    }
    plus.reverse();
    sum(plus, minus)
}

/// A polynomial as a factor: in parentheses where it is a sum.
pub(crate) fn factor(p: &Poly, names: &SizeNames) -> String {
    let text = poly(p, names);
    if p.terms().count() > 1 { format!("({text})") } else { text }
}

/// A polynomial as a divisor: in parentheses unless it is one number or one name.
pub(crate) fn atom(p: &Poly, names: &SizeNames) -> String {
    let text = poly(p, names);
    if text.contains(' ') { format!("({text})") } else { text }
}

/// The text without parentheses around the whole of it: an argument of a call needs none.
pub(crate) fn bare(text: &str) -> &str {
    let Some(inside) = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) else { return text };
    let mut depth = 0i32;
    for c in inside.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth < 0 {
            return text;
        }
    }
    inside
}

/// A loop bound.
pub(crate) fn bound(b: &Bound, names: &SizeNames) -> String {
    match b.multiple_of {
        1 => poly(&b.poly, names),
        m => format!("{} / {m} * {m}", factor(&b.poly, names)),
    }
}

/// The name of a loop variable of a kernel.
pub(crate) fn var(v: Var) -> String {
    format!("i{}", v.0)
}

/// A position.
pub(crate) fn index(i: &Index, names: &SizeNames) -> String {
    let mut parts: Vec<String> = i
        .terms
        .iter()
        .map(|(v, s)| match s.as_constant() {
            Some(1) => var(*v),
            _ => format!("{} * {}", factor(s, names), var(*v)),
        })
        .collect();
    // A base with negative terms (a pad at the far end of a run-time size) is subtracted after all that is added.
    if !i.base.is_zero() || parts.is_empty() {
        parts.push(poly(&i.base, names));
    }
    parts.join(" + ")
}

/// Whether a position is the beginning.
pub(crate) fn is_zero(i: &Index) -> bool {
    i.base.is_zero() && i.terms.is_empty()
}

/// How the numbers of a repeat loop are read.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// The loop variable.
    pub var: String,
    /// The table's row: `TABLE_3[round]`.
    pub row: String,
    /// What follows a table access to make it an index: nothing, or a conversion.
    pub convert: &'static str,
}

/// A number of a call; the text is a factor.
pub(crate) fn number(n: &Number, round: Option<&Round>) -> String {
    match (n, round) {
        (Number::Fixed(c), _) => c.to_string(),
        (Number::Linear { start: 0, step: 1 }, Some(r)) => r.var.clone(),
        (Number::Linear { start: 0, step }, Some(r)) => format!("{step} * {}", r.var),
        (Number::Linear { start, step: 1 }, Some(r)) => format!("({start} + {})", r.var),
        (Number::Linear { start, step }, Some(r)) => format!("({start} + {step} * {})", r.var),
        (Number::Column(c), Some(r)) => format!("{}[{c}]{}", r.row, r.convert),
        // The verifier sees to it that such numbers stand in a repeat loop.
        _ => "0".into(),
    }
}

/// An offset of a call.
pub(crate) fn offset(
    terms: &[OffsetTerm],
    names: &SizeNames,
    round: Option<&Round>,
    loop_var: impl Fn(u32) -> String,
) -> String {
    // Terms of one loop variable with several monomials stay together, so that their differences come before the product.
    let mut by_var: BTreeMap<Option<u32>, Vec<&OffsetTerm>> = BTreeMap::new();
    for t in terms {
        by_var.entry(t.var).or_default().push(t);
    }
    let (mut plus, mut minus) = (vec![], vec![]);
    for (v, terms) in by_var {
        let (mut p, mut m) = (vec![], vec![]);
        for t in terms {
            let sizes: Vec<String> = t
                .monomial
                .iter()
                .flat_map(|&(s, e)| (0..e).map(move |_| size(names, s).to_string()))
                .collect();
            let (negative, factor) = match &t.factor {
                Number::Fixed(0) => continue,
                Number::Fixed(c) if *c < 0 => (true, Number::Fixed(-c)),
                other => (false, other.clone()),
            };
            let mut factors = Vec::new();
            if factor != Number::Fixed(1) || sizes.is_empty() {
                factors.push(number(&factor, round));
            }
            factors.extend(sizes);
            if negative { &mut m } else { &mut p }.push(factors.join(" * "));
        }
        match v {
            None => {
                plus.append(&mut p);
                minus.append(&mut m);
            }
            Some(_) if p.is_empty() && m.is_empty() => {}
            Some(v) if p.len() == 1 && m.is_empty() => {
                plus.push(if p[0] == "1" { loop_var(v) } else { format!("{} * {}", p[0], loop_var(v)) });
            }
            Some(v) => plus.push(format!("({}) * {}", sum(p, m), loop_var(v))),
        }
    }
    sum(plus, minus)
}
