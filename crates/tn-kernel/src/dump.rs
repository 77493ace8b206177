//! Kernels and calls as text, for `--print kernels` and for tests.

use crate::ir::*;
use crate::module::Module;
use std::fmt::Write;
use tn_ir::ids::Id;
use tn_ir::size::{Poly, SymbolId};

/// Every kernel of a module, and how often each is called.
pub fn module(m: &Module) -> String {
    let mut out = String::new();
    for (id, k) in m.kernels.enumerate() {
        let (text, count) = &m.uses[id.index()];
        let _ = writeln!(out, "# {count} × {text}");
        out.push_str(&kernel(&format!("{}_{}", k.what, id.0), k, |s| m.symbols[s].name.clone()));
    }
    out
}

/// One kernel.
pub fn kernel(name: &str, k: &Kernel, name_of: impl Fn(SymbolId) -> String) -> String {
    let mut d = Dump { out: String::new(), name_of: &name_of, indent: 1, arrays: &k.arrays };
    let lens: Vec<String> = k.operands.iter().map(|p| d.poly(p)).collect();
    let _ = writeln!(d.out, "kernel {name}[{}]({}) {:?}", k.dtype, lens.join(", "), k.launch);
    d.block(&k.body);
    d.out
}

struct Dump<'a> {
    out: String,
    name_of: &'a dyn Fn(SymbolId) -> String,
    indent: usize,
    arrays: &'a [u32],
}

impl Dump<'_> {
    fn poly(&self, p: &Poly) -> String {
        p.display(self.name_of)
    }
    fn bound(&self, b: &Bound) -> String {
        match b.multiple_of {
            1 => self.poly(&b.poly),
            m => format!("({})/{m}*{m}", self.poly(&b.poly)),
        }
    }
    fn index(&self, i: &Index) -> String {
        let mut parts = Vec::new();
        if !i.base.is_zero() || i.terms.is_empty() {
            parts.push(self.poly(&i.base));
        }
        for (v, s) in &i.terms {
            parts.push(match s.as_constant() {
                Some(1) => format!("i{}", v.0),
                _ => format!("i{}*({})", v.0, self.poly(s)),
            });
        }
        parts.join(" + ")
    }
    fn place(&self, p: &Place) -> String {
        match p {
            Place::Operand(o, i) => format!("x{o}[{}]", self.index(i)),
            Place::View(v, i) => format!("v{}[{}]", v.0, self.index(i)),
            Place::Array(a, i) => format!("acc{}[{}]", a.0, self.index(i)),
        }
    }
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{:width$}{text}", "", width = self.indent * 2);
    }
    fn inside(&mut self, body: &[Stmt]) {
        self.indent += 1;
        self.block(body);
        self.indent -= 1;
    }
    fn block(&mut self, body: &[Stmt]) {
        for s in body {
            match s {
                Stmt::Loop { var, from, to, step, walk, body } => {
                    let (from, to) = (self.bound(from), self.bound(to));
                    self.line(&format!("for i{} in {from}..{to} by {step} {walk:?}", var.0));
                    self.inside(body);
                }
                Stmt::Decode { flat, parts } => {
                    let parts: Vec<String> =
                        parts.iter().map(|(v, p)| format!("i{} < {}", v.0, self.poly(p))).collect();
                    self.line(&format!("({}) = i{}", parts.join(", "), flat.0));
                }
                Stmt::Piece { var, within, from, width, to, step, body } => {
                    let (to, from) = (self.poly(to), from.0);
                    self.line(&format!(
                        "for i{} = i{from} + i{}, i{} in 0..min({width}, {to} - i{from}) by {step}",
                        var.0, within.0, within.0
                    ));
                    self.inside(body);
                }
                Stmt::View { view, of, base, len } => {
                    let (base, len) = (self.index(base), self.poly(len));
                    let whole = match of {
                        Whole::Operand(o) => format!("x{o}"),
                        Whole::Array(a) | Whole::ArrayMut(a) => format!("acc{}", a.0),
                    };
                    self.line(&format!("v{} = {whole}[{base} ..][..{len}]", view.0));
                }
                Stmt::Array(a) => {
                    let len = self.arrays.get(a.0 as usize).copied().unwrap_or(0);
                    self.line(&format!("acc{} = [0; {len}]", a.0));
                }
                Stmt::Settle(a) => self.line(&format!("settle acc{}", a.0)),
                Stmt::Load { dst, from } => self.line(&format!("r{} = {}", dst.0, self.place(from))),
                Stmt::Op { dst, op } => self.line(&format!("r{} = {op:?}", dst.0)),
                Stmt::Store { to, value, put } => {
                    let sign = if *put == Put::Add { "+=" } else { "=" };
                    self.line(&format!("{} {sign} r{}", self.place(to), value.0));
                }
                Stmt::Join { array, join } => self.line(&format!("join acc{} {join:?}", array.0)),
                Stmt::First { body } => {
                    self.line("first thread:");
                    self.inside(body);
                }
            }
        }
    }
}
