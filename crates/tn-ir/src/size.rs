//! Sizes: integers that remember how they depend on a network's parameters and on run-time sizes.
//!
//! A [`Poly`] is an exact polynomial in [`SymbolId`]s. Two kinds of symbols exist ([`Symbol`]): a
//! `dyn` index, whose value is known at run time, and a network parameter, whose value was chosen when
//! the network was elaborated. Strides, offsets and buffer lengths of plans are polynomials in the `dyn`
//! symbols alone; `--scaling` reads the degree in a parameter.

use crate::typed_id;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

typed_id!(
    /// A symbol of size polynomials.
    SymbolId
);

/// What a symbol stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SymbolKind {
    /// Known at run time, from the inputs' shapes.
    Dyn {
        /// The value that the planner assumes.
        hint: u64,
        /// The largest value that limits must hold for.
        max: Option<u64>,
    },
    /// A network parameter, fixed at this value when the network was elaborated.
    Param {
        /// Its value.
        value: i64,
    },
}

/// A named symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// The index's or the parameter's name.
    pub name: String,
    /// What it stands for.
    pub kind: SymbolKind,
}

impl Symbol {
    /// The value used for planning.
    pub fn value(&self) -> i64 {
        match self.kind {
            SymbolKind::Dyn { hint, .. } => hint as i64,
            SymbolKind::Param { value } => value,
        }
    }
    /// Whether it is known at run time only.
    pub fn is_dyn(&self) -> bool {
        matches!(self.kind, SymbolKind::Dyn { .. })
    }
}

/// A product of symbols: (symbol, exponent ≥ 1), ordered by symbol.
pub type Monomial = Vec<(SymbolId, u32)>;

/// The monomial of a constant.
static ONE: Monomial = Monomial::new();

/// An exact polynomial with integer coefficients. Arithmetic saturates at the limits of `i128`.
///
/// Most sizes are numbers, and a plan of many tensors holds millions of them, so a number takes two words and no allocation, and copies share
/// their terms.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Monomial, i128>", into = "BTreeMap<Monomial, i128>")]
pub struct Poly(Repr);

/// One form for each polynomial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Number(i64),
    /// Anything else: a symbol occurs, or the number is larger. No coefficient is zero.
    Terms(Arc<Terms>),
}

type Terms = BTreeMap<Monomial, i128>;

/// The terms of a number.
static NONE: Terms = Terms::new();

impl From<Terms> for Poly {
    fn from(mut terms: Terms) -> Poly {
        terms.retain(|_, c| *c != 0);
        let number = match (terms.len(), terms.get(&ONE)) {
            (0, _) => Some(0),
            (1, Some(&c)) => i64::try_from(c).ok(),
            _ => None,
        };
        Poly(number.map_or_else(|| Repr::Terms(Arc::new(terms)), Repr::Number))
    }
}

impl From<Poly> for Terms {
    fn from(poly: Poly) -> Self {
        match poly.0 {
            Repr::Number(0) => Terms::new(),
            Repr::Number(c) => Terms::from([(ONE.clone(), c.into())]),
            Repr::Terms(terms) => Arc::unwrap_or_clone(terms),
        }
    }
}

impl fmt::Debug for Poly {
    /// As a formula, `4*s0 + 8`: plans are hashed by this text, whatever the form in memory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display(|s| format!("s{}", s.0)))
    }
}

impl Default for Poly {
    fn default() -> Self {
        Poly::zero()
    }
}

impl Poly {
    /// The constant polynomial.
    #[inline]
    pub fn constant(value: i128) -> Poly {
        match i64::try_from(value) {
            Ok(c) => Poly(Repr::Number(c)),
            Err(_) => Terms::from([(ONE.clone(), value)]).into(),
        }
    }
    /// The symbol itself.
    pub fn symbol(symbol: SymbolId) -> Poly {
        Terms::from([(vec![(symbol, 1)], 1)]).into()
    }
    /// Zero.
    #[inline]
    pub fn zero() -> Poly {
        Poly(Repr::Number(0))
    }
    /// One.
    #[inline]
    pub fn one() -> Poly {
        Poly(Repr::Number(1))
    }
    /// The number, and the terms where there is more than a number.
    fn parts(&self) -> (Option<i64>, &Terms) {
        match &self.0 {
            Repr::Number(c) => (Some(*c), &NONE),
            Repr::Terms(terms) => (None, terms),
        }
    }
    fn coefficient(&self, monomial: &Monomial) -> i128 {
        let (number, terms) = self.parts();
        let number = number.filter(|_| monomial.is_empty()).map(i128::from);
        number.or_else(|| terms.get(monomial).copied()).unwrap_or(0)
    }
    /// The value, if no symbol occurs.
    #[inline]
    pub fn as_constant(&self) -> Option<i128> {
        match &self.0 {
            Repr::Number(c) => Some(i128::from(*c)),
            Repr::Terms(terms) => terms.get(&ONE).copied().filter(|_| terms.len() == 1),
        }
    }
    /// The terms: coefficients by monomial, constant first.
    pub fn terms(&self) -> impl Iterator<Item = (&Monomial, i128)> {
        let (number, terms) = self.parts();
        let number = number.filter(|c| *c != 0).map(|c| (&ONE, c.into()));
        number.into_iter().chain(terms.iter().map(|(m, &c)| (m, c)))
    }
    /// Whether it is zero.
    #[inline]
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Number(0))
    }
    /// The value where `value_of` gives each symbol's, saturating.
    #[inline]
    pub fn eval(&self, value_of: impl FnMut(SymbolId) -> i64) -> i128 {
        match &self.0 {
            Repr::Number(c) => i128::from(*c),
            Repr::Terms(terms) => Poly::eval_terms(terms, value_of),
        }
    }
    #[inline(never)]
    fn eval_terms(terms: &Terms, mut value_of: impl FnMut(SymbolId) -> i64) -> i128 {
        terms.iter().fold(0, |sum: i128, (monomial, &c)| {
            let product = monomial
                .iter()
                .fold(c, |p, &(s, e)| p.saturating_mul((value_of(s) as i128).saturating_pow(e)));
            sum.saturating_add(product)
        })
    }
    /// The exponent of `symbol` in the term where it is largest (0 if it does not occur).
    pub fn degree(&self, symbol: SymbolId) -> u32 {
        let exponents = self.parts().1.keys().flatten();
        exponents.filter(|(s, _)| *s == symbol).map(|&(_, e)| e).max().unwrap_or(0)
    }
    /// The symbols that occur, in order.
    pub fn symbols(&self) -> Vec<SymbolId> {
        let mut all: Vec<_> = self.parts().1.keys().flatten().map(|&(s, _)| s).collect();
        all.sort();
        all.dedup();
        all
    }
    /// Whether it is the product of `a` and `b`.
    #[inline]
    pub fn is_product(&self, a: &Poly, b: &Poly) -> bool {
        match (&self.0, &a.0, &b.0) {
            (Repr::Number(c), Repr::Number(a), Repr::Number(b)) => a.checked_mul(*b) == Some(*c),
            _ => *self == a * b,
        }
    }
    /// Replaces every symbol for which `value_of` is `Some` by that value.
    pub fn substitute(&self, mut value_of: impl FnMut(SymbolId) -> Option<i64>) -> Poly {
        let Repr::Terms(terms) = &self.0 else { return self.clone() };
        let mut out = Terms::new();
        for (monomial, &c) in terms.iter() {
            let (mut coef, mut rest) = (c, Monomial::new());
            for &(s, e) in monomial {
                match value_of(s) {
                    Some(v) => coef = coef.saturating_mul((v as i128).saturating_pow(e)),
                    None => rest.push((s, e)),
                }
            }
            add_term(&mut out, rest, coef);
        }
        out.into()
    }
    /// Whether every coefficient of `self` is at most that of `other` (then `self ≤ other` at all sizes ≥ 0).
    pub fn dominated_by(&self, other: &Poly) -> bool {
        self.terms().all(|(m, c)| c <= other.coefficient(m))
            && other.terms().all(|(m, c)| c >= self.coefficient(m))
    }
    /// Coefficient-wise maximum: at least both at all sizes ≥ 0.
    pub fn upper(&self, other: &Poly) -> Poly {
        if let (Repr::Number(a), Repr::Number(b)) = (&self.0, &other.0) {
            return Poly(Repr::Number(*a.max(b)));
        }
        let larger = |(m, _): (&Monomial, i128)| (m.clone(), self.coefficient(m).max(other.coefficient(m)));
        self.terms().chain(other.terms()).map(larger).collect::<Terms>().into()
    }
    /// Written with the symbols' names: `4*b + 8`.
    pub fn display(&self, mut name_of: impl FnMut(SymbolId) -> String) -> String {
        if self.is_zero() {
            return "0".into();
        }
        let mut parts = Vec::new();
        for (m, c) in self.terms() {
            let mut factors: Vec<String> = Vec::new();
            if c != 1 || m.is_empty() {
                factors.push(c.to_string());
            }
            for &(s, e) in m {
                for _ in 0..e {
                    factors.push(name_of(s));
                }
            }
            parts.push(factors.join("*"));
        }
        parts.reverse();
        parts.join(" + ")
    }
}

impl From<u64> for Poly {
    #[inline]
    fn from(value: u64) -> Poly {
        Poly::constant(value as i128)
    }
}

/// Adds a term, saturating.
fn add_term(terms: &mut Terms, monomial: Monomial, coef: i128) {
    let sum = terms.entry(monomial).or_insert(0);
    *sum = sum.saturating_add(coef);
}

/// The number that two numbers give, where it is short.
#[inline]
fn quick(a: &Poly, b: &Poly, f: fn(i64, i64) -> Option<i64>) -> Option<Poly> {
    match (&a.0, &b.0) {
        (Repr::Number(a), Repr::Number(b)) => f(*a, *b).map(|c| Poly(Repr::Number(c))),
        _ => None,
    }
}

/// Adds the terms of `other`, changed by `f`.
fn combined(a: &Poly, b: &Poly, f: fn(i128) -> i128) -> Poly {
    let mut out: Terms = a.clone().into();
    for (m, c) in b.terms() {
        add_term(&mut out, m.clone(), f(c));
    }
    out.into()
}

impl std::ops::Add for &Poly {
    type Output = Poly;
    #[inline]
    fn add(self, other: &Poly) -> Poly {
        quick(self, other, i64::checked_add).unwrap_or_else(|| combined(self, other, |c| c))
    }
}

impl std::ops::Sub for &Poly {
    type Output = Poly;
    #[inline]
    fn sub(self, other: &Poly) -> Poly {
        quick(self, other, i64::checked_sub).unwrap_or_else(|| combined(self, other, i128::saturating_neg))
    }
}

impl std::ops::Mul for &Poly {
    type Output = Poly;
    #[inline]
    fn mul(self, other: &Poly) -> Poly {
        quick(self, other, i64::checked_mul).unwrap_or_else(|| product(self, other))
    }
}

/// Exponents of a product add up.
fn product(a: &Poly, b: &Poly) -> Poly {
    let mut out = Terms::new();
    for (ma, ca) in a.terms() {
        for (mb, cb) in b.terms() {
            let mut exponents: BTreeMap<SymbolId, u32> = ma.iter().copied().collect();
            for &(s, e) in mb {
                *exponents.entry(s).or_insert(0) += e;
            }
            add_term(&mut out, exponents.into_iter().collect(), ca.saturating_mul(cb));
        }
    }
    out.into()
}

/// The size of an index: its value where planning happens (a `dyn` index at its hint), and exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// At the hints and the chosen parameters.
    pub value: u64,
    /// In the symbols.
    pub poly: Poly,
    /// The symbol, if the index is `dyn`.
    pub dynamic: Option<SymbolId>,
}

impl Size {
    /// A size without symbols.
    pub fn fixed(value: u64) -> Size {
        Size { value, poly: value.into(), dynamic: None }
    }
    /// The size as plans see it: network parameters are numbers by then.
    pub fn dim(&self) -> Dim {
        match self.dynamic {
            Some(symbol) => Dim::Dyn(symbol),
            None => Dim::Const(self.value),
        }
    }
}

/// An axis length below L1: a number, or a run-time size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Dim {
    /// Known.
    Const(u64),
    /// Known at run time.
    Dyn(SymbolId),
}

impl Dim {
    /// As a polynomial in the `dyn` symbols.
    #[inline]
    pub fn poly(self) -> Poly {
        match self {
            Dim::Const(n) => n.into(),
            Dim::Dyn(s) => Poly::symbol(s),
        }
    }
    /// The value under an assignment of the `dyn` symbols.
    #[inline]
    pub fn eval(self, mut value_of: impl FnMut(SymbolId) -> u64) -> u64 {
        match self {
            Dim::Const(n) => n,
            Dim::Dyn(s) => value_of(s),
        }
    }
}

/// The number of entries of a tensor with these axes.
pub fn numel(dims: &[Dim]) -> Poly {
    dims.iter().fold(Poly::one(), |p, d| &p * &d.poly())
}

/// Row-major strides of a tensor with these axes.
pub fn row_major(dims: &[Dim]) -> Vec<Poly> {
    let mut strides = Vec::with_capacity(dims.len());
    let mut stride = Poly::one();
    for d in dims.iter().rev() {
        let next = &stride * &d.poly();
        strides.push(std::mem::replace(&mut stride, next));
    }
    strides.reverse();
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_exact() {
        let (b, c) = (SymbolId(0), SymbolId(1));
        let p = &(&Poly::symbol(b) + &Poly::constant(2)) * &(&Poly::symbol(b) - &Poly::symbol(c));
        assert_eq!(p.eval(|s| if s == b { 5 } else { 3 }), 14);
        assert_eq!(p.degree(b), 2);
        assert_eq!(p.degree(c), 1);
        assert_eq!(p.substitute(|s| (s == c).then_some(0)).eval(|_| 4), 24);
        assert_eq!((&p - &p), Poly::zero());
        let q = &p + &Poly::constant(-7);
        assert_eq!(Poly::from(BTreeMap::from(q.clone())), q);
        assert_eq!(q.terms().count(), 1 + p.terms().count());
        assert_eq!((&q - &q).as_constant(), Some(0));
    }

    #[test]
    fn numbers_beyond_a_word_are_exact_too() {
        let big = Poly::constant(1 << 70);
        assert_eq!(big.as_constant(), Some(1 << 70));
        assert_eq!(&big - &Poly::constant((1 << 70) - 5), Poly::constant(5));
        assert_eq!(&Poly::constant(i64::MAX.into()) + &Poly::one(), Poly::constant(1 << 63));
        assert_eq!(&Poly::constant(1 << 40) * &Poly::constant(1 << 40), Poly::constant(1 << 80));
        assert_eq!((&big + &Poly::symbol(SymbolId(0))).eval(|_| 3), (1 << 70) + 3);
        assert!(Poly::one().dominated_by(&big) && !big.dominated_by(&Poly::one()));
        assert_eq!(big.upper(&Poly::one()), big);
        let b = Poly::symbol(SymbolId(0));
        assert_eq!((&b - &Poly::constant(7)).upper(&b), b);
        assert_eq!(Poly::from(BTreeMap::from(big.clone())), big);
    }

    #[test]
    fn strides_follow_run_time_sizes() {
        let dims = [Dim::Const(3), Dim::Dyn(SymbolId(0)), Dim::Const(4)];
        let strides: Vec<_> = row_major(&dims).iter().map(|p| p.eval(|_| 7)).collect();
        assert_eq!(strides, [28, 4, 1]);
        assert_eq!(numel(&dims).eval(|_| 7), 84);
    }
}
