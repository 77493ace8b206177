//! The scalar functions of a plan's steps, each once.

use crate::ir::BodyId;
use std::collections::HashMap;
use tn_ir::Complex64;
use tn_ir::dag::Coef;
use tn_ir::scalar::{ScalarBuilder, ScalarFn, ScalarOp};

/// Scalar functions by first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies {
    pub all: Vec<ScalarFn>,
    known: HashMap<ScalarFn, BodyId>,
    /// The products, which most steps compute, by what is conjugated.
    products: [[Option<BodyId>; 2]; 2],
}

impl Bodies {
    /// The id of a function.
    pub fn add(&mut self, f: ScalarFn) -> BodyId {
        if let Some(&id) = self.known.get(&f) {
            return id;
        }
        let id = BodyId(self.all.len() as u32);
        self.all.push(f.clone());
        self.known.insert(f, id);
        id
    }
    /// The product of two numbers or their conjugates.
    pub fn product(&mut self, conj_a: bool, conj_b: bool) -> BodyId {
        let (a, b) = (usize::from(conj_a), usize::from(conj_b));
        if let Some(id) = self.products[a][b] {
            return id;
        }
        let id = self.add(ScalarFn::product(conj_a, conj_b));
        self.products[a][b] = Some(id);
        id
    }
    /// A number without arguments.
    pub fn constant(&mut self, value: Complex64) -> BodyId {
        let mut b = ScalarBuilder::new();
        let r = b.complex(value);
        self.add(b.finish(0, r))
    }
    /// x, or its conjugate.
    pub fn copy(&mut self, conj: bool) -> BodyId {
        if !conj {
            return self.add(ScalarFn::identity());
        }
        self.add(ScalarFn { arity: 1, ops: vec![ScalarOp::Arg(0), ScalarOp::Conj(0)] })
    }
    /// Σ cᵢ·xᵢ.
    pub fn linear(&mut self, coefs: &[Coef]) -> BodyId {
        self.add(linear(coefs))
    }
}

/// Σ cᵢ·xᵢ as a function of the xᵢ.
pub(crate) fn linear(coefs: &[Coef]) -> ScalarFn {
    let mut b = ScalarBuilder::new();
    let mut sum = None;
    for (i, c) in coefs.iter().enumerate() {
        let x = b.push(ScalarOp::Arg(i as u32));
        let factor = b.complex(c.value());
        let term = b.push(ScalarOp::Mul(factor, x));
        sum = Some(match sum {
            None => term,
            Some(s) => b.push(ScalarOp::Add(s, term)),
        });
    }
    let result = sum.unwrap_or_else(|| b.real(0.0));
    b.finish(coefs.len() as u32, result)
}
