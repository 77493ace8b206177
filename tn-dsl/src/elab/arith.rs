//! Infix operations on compile-time values.

use super::builtins::text_items;
use super::value::{Value, poly_of};
use super::{Elab, Failed, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic};
use std::rc::Rc;
use tn_ir::size::Poly;
use tn_ir::span::Span;

impl Elab<'_> {
    pub fn overflow(&mut self, span: Span) -> Failed {
        let d = Diagnostic::error(Code::Overflow, span, "the result does not fit 64 bits");
        self.report(d.with_help("use a float, or smaller numbers"))
    }

    /// An infix operation on values.
    pub fn binary(&mut self, op: BinaryOp, l: Value, r: Value, span: Span) -> Res<Value> {
        use BinaryOp::*;
        if matches!(op, Eq | Ne) {
            let same = match (&l, &r) {
                (Value::Bool(a), Value::Bool(b)) => Some(a == b),
                (Value::Str(_), Value::Str(_)) | (Value::List(_), Value::List(_)) => {
                    Some(self.same(&l, &r, span)?)
                }
                (Value::Map(a), Value::Map(b)) => Some(a == b),
                _ => l.as_complex().zip(r.as_complex()).map(|(a, b)| a == b),
            };
            let Some(same) = same else { return Err(self.operands(op, &l, &r, span)) };
            return Ok(Value::Bool(same == (op == Eq)));
        }
        if let (Value::Int(a, pa), Value::Int(b, pb)) = (&l, &r) {
            return self.int_binary(op, (*a, pa.clone()), (*b, pb.clone()), span);
        }
        if let (Value::Str(a), Value::Str(b), Add) = (&l, &r, op) {
            self.spend((a.len() + b.len()) as u64, span)?;
            return Ok(Value::Str(format!("{a}{b}").into()));
        }
        if let (Some(a), Some(b)) = (l.as_f64(), r.as_f64()) {
            return Ok(match op {
                Add => Value::Float(a + b),
                Sub => Value::Float(a - b),
                Mul => Value::Float(a * b),
                Div => Value::Float(a / b),
                Rem => Value::Float(a.rem_euclid(b)),
                Pow => Value::Float(a.powf(b)),
                Lt => Value::Bool(a < b),
                Le => Value::Bool(a <= b),
                Gt => Value::Bool(a > b),
                Ge => Value::Bool(a >= b),
                Eq | Ne | And | Or => return Err(self.operands(op, &l, &r, span)),
            });
        }
        if let (Some(a), Some(b)) = (l.as_complex(), r.as_complex()) {
            return Ok(Value::Complex(match op {
                Add => a + b,
                Sub => a - b,
                Mul => a * b,
                Div => a / b,
                Pow => a.powc(b),
                _ => return Err(self.operands(op, &l, &r, span)),
            }));
        }
        Err(self.operands(op, &l, &r, span))
    }

    /// Whether two values are equal. Lists may share their entries, so that looking at all of them counts as work.
    fn same(&mut self, l: &Value, r: &Value, span: Span) -> Res<bool> {
        if let (Value::List(a), Value::List(b)) = (l, r) {
            if Rc::ptr_eq(a, b) {
                return Ok(true);
            }
            if a.len() != b.len() {
                return Ok(false);
            }
            self.spend(a.len() as u64, span)?;
            for (x, y) in a.iter().zip(b.iter()) {
                if !self.same(x, y, span)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(match (l, r) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => {
                self.spend(text_items(a.len().min(b.len())), span)?;
                a == b
            }
            (Value::Map(a), Value::Map(b)) => a == b,
            _ => l.as_complex().zip(r.as_complex()).is_some_and(|(a, b)| a == b),
        })
    }

    fn operands(&mut self, op: BinaryOp, l: &Value, r: &Value, span: Span) -> Failed {
        let message = format!("`{}` of {} and {}", op.symbol(), l.type_name(), r.type_name());
        self.error(Code::TypeMismatch, span, message)
    }

    fn int_binary(
        &mut self,
        op: BinaryOp,
        l: (i64, Option<Rc<Poly>>),
        r: (i64, Option<Rc<Poly>>),
        span: Span,
    ) -> Res<Value> {
        use BinaryOp::*;
        let (a, b) = (l.0, r.0);
        let value = match op {
            Lt => return Ok(Value::Bool(a < b)),
            Le => return Ok(Value::Bool(a <= b)),
            Gt => return Ok(Value::Bool(a > b)),
            Ge => return Ok(Value::Bool(a >= b)),
            Add => a.checked_add(b),
            Sub => a.checked_sub(b),
            Mul => a.checked_mul(b),
            Div | Rem if b == 0 => return Err(self.error(Code::Overflow, span, "division by zero")),
            Div => {
                a.checked_div_euclid(b).map(|_| a.div_euclid(b) - i64::from(b < 0 && a.rem_euclid(b) != 0))
            }
            Rem => a.checked_rem_euclid(b),
            Pow if b < 0 => return Ok(Value::Float((a as f64).powf(b as f64))),
            Pow => u32::try_from(b).ok().and_then(|e| a.checked_pow(e)),
            Eq | Ne | And | Or => None,
        };
        let Some(value) = value else { return Err(self.overflow(span)) };
        if l.1.is_none() && r.1.is_none() {
            return Ok(Value::int(value));
        }
        let (p, q) = (poly_of(a, &l.1), poly_of(b, &r.1));
        let poly = match op {
            Add => &p + &q,
            Sub => &p - &q,
            Mul => &p * &q,
            Pow if r.1.is_none() && b <= 64 => (0..b).fold(Poly::one(), |acc, _| &acc * &p),
            _ => {
                // no polynomial follows: the parameter counts as one that decides structure
                self.structural.extend(p.symbols().into_iter().chain(q.symbols()));
                return Ok(Value::int(value));
            }
        };
        Ok(Value::Int(value, poly.as_constant().is_none().then(|| Rc::new(poly))))
    }
}
