//! The functions of the language over compile-time values.

use super::value::{MAX_LIST, Value};
use super::{Elab, Res};
use crate::diag::{Code, Diagnostic};
use std::rc::Rc;
use tn_ir::span::Span;

/// Their names. `exp`, `log`, `sin`, `cos` and `sqrt` of a number are the maps of these names.
pub const NAMES: [&str; 12] =
    ["len", "min", "max", "ceil_div", "log2", "range", "reverse", "concat", "total", "per", "pi", "conj"];

/// The bytes of a text that count as an item of work.
const BYTES_PER_ITEM: u64 = 16;

/// What looking at so many bytes of text counts.
pub fn text_items(bytes: usize) -> u64 {
    bytes as u64 / BYTES_PER_ITEM
}

impl Elab<'_> {
    /// Calls a function of the language.
    pub fn builtin(&mut self, name: &str, args: Vec<Value>, span: Span) -> Res<Value> {
        match (name, args.as_slice()) {
            ("len", [Value::List(l)]) => Ok(Value::int(l.len() as i64)),
            ("len", [Value::Str(s)]) => {
                self.spend(text_items(s.len()), span)?;
                Ok(Value::int(s.chars().count() as i64))
            }
            ("min" | "max", [Value::List(l)]) if !l.is_empty() => self.extreme(name, l, span),
            ("min" | "max", [_, _, ..]) => self.extreme(name, &args, span),
            ("ceil_div", [Value::Int(a, p), Value::Int(b, q)]) => {
                for p in [p, q].into_iter().flatten() {
                    self.structural.extend(p.symbols());
                }
                if *b <= 0 {
                    return Err(self.error(Code::Overflow, span, format!("ceil_div by {b}")));
                }
                Ok(Value::int(a.div_euclid(*b) + i64::from(a.rem_euclid(*b) != 0)))
            }
            ("log2", [Value::Int(a, p)]) => {
                if let Some(p) = p {
                    self.structural.extend(p.symbols());
                }
                if *a <= 0 {
                    return Err(self.error(Code::Overflow, span, format!("log2 of {a}")));
                }
                Ok(Value::int(i64::from(a.ilog2())))
            }
            ("range", [Value::Int(n, _)]) => self.range_list(0, *n, span),
            ("range", [Value::Int(a, _), Value::Int(b, _)]) => self.range_list(*a, *b, span),
            ("reverse", [Value::List(l)]) => {
                self.spend(l.len() as u64, span)?;
                Ok(Value::List(Rc::new(l.iter().rev().cloned().collect())))
            }
            ("concat", lists) if lists.iter().all(|v| matches!(v, Value::List(_))) => {
                let mut out = vec![];
                for v in lists {
                    if let Value::List(l) = v {
                        self.spend(l.len() as u64, span)?;
                        out.extend(l.iter().cloned());
                    }
                }
                Ok(Value::List(Rc::new(out)))
            }
            ("total", [Value::List(l)]) => {
                self.spend(l.len() as u64, span)?;
                l.iter().try_fold(Value::int(0), |sum, v| {
                    self.binary(crate::ast::BinaryOp::Add, sum, v.clone(), span)
                })
            }
            ("conj", [v @ (Value::Int(..) | Value::Float(_))]) => Ok(v.clone()),
            ("conj", [Value::Complex(c)]) => Ok(Value::Complex(c.conj())),
            ("per", [v, Value::Int(n, p)]) => {
                if let Some(p) = p {
                    self.structural.extend(p.symbols());
                }
                self.per(v, *n, span)
            }
            _ => {
                let types = args.iter().map(Value::type_name).collect::<Vec<_>>().join(" and ");
                let given = if args.is_empty() { "nothing".to_string() } else { types };
                Err(self.error(Code::BadCall, span, format!("`{name}` does not take {given}")))
            }
        }
    }

    fn extreme(&mut self, name: &str, values: &[Value], span: Span) -> Res<Value> {
        self.spend(values.len() as u64, span)?;
        let mut best = values[0].clone();
        for v in values {
            let (Some(a), Some(b)) = (v.as_f64(), best.as_f64()) else {
                return Err(self.error(Code::TypeMismatch, span, format!("`{name}` compares numbers")));
            };
            // on a tie the value that depends on a parameter counts, so that `min(p, 4)` at p = 4 counts as p
            let tie = a == b && matches!(v, Value::Int(_, Some(_)));
            if (name == "min" && a < b) || (name == "max" && a > b) || tie {
                best = v.clone();
            }
        }
        // a size `min(p, …)` counts as p
        if name == "min" && matches!(best, Value::Int(_, None)) {
            let mut symbols = std::collections::BTreeSet::new();
            values.iter().for_each(|v| v.symbols(&mut symbols));
            if let Some(Value::Int(_, p)) = values.iter().find(|v| matches!(v, Value::Int(_, Some(_))))
                && let Value::Int(v, _) = best
            {
                best = Value::Int(v, p.clone());
            }
        }
        Ok(best)
    }

    fn range_list(&mut self, a: i64, b: i64, span: Span) -> Res<Value> {
        if b < a {
            let d = Diagnostic::error(Code::BadRange, span, format!("the range {a}..{b}"));
            return Err(self
                .report(d.with_help("`range(a, b)` goes from a to b − 1, and `range(n)` from 0 to n − 1")));
        }
        let n = b.abs_diff(a);
        if n > MAX_LIST as u64 {
            return Err(self.too_long(n, span));
        }
        self.spend(n, span)?;
        Ok(Value::List(Rc::new((a..b).map(Value::int).collect())))
    }

    fn per(&mut self, v: &Value, n: i64, span: Span) -> Res<Value> {
        if n < 0 {
            let d = Diagnostic::error(Code::BadRange, span, format!("`per` of {n} places"));
            return Err(self.report(d.with_help("counts are 0 or more")));
        }
        if n as usize > MAX_LIST {
            return Err(self.too_long(n as u64, span));
        }
        match v {
            Value::Int(..) => {
                self.spend(n as u64, span)?;
                Ok(Value::List(Rc::new(vec![v.clone(); n as usize])))
            }
            Value::List(l) if l.len() as i64 == n => Ok(v.clone()),
            Value::List(l) => {
                let message = format!("a list of {} entries for {n} places", l.len());
                Err(self.error(Code::TypeMismatch, span, message))
            }
            other => Err(self.error(Code::TypeMismatch, span, format!("`per` of {}", other.type_name()))),
        }
    }
}
