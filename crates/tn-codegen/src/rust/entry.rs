//! Entries as Rust functions: checks of lengths, then calls.
//!
//! Where a plan has several schedules, each entry of each is a function of its own, and a public one of the entry's name calls
//! that for the sizes.

use super::support::Wanted;
use super::{Names, api, kernel};
use crate::EmitError;
use crate::expr::{self, Round};
use crate::namer::Namer;
use crate::printer::{Printer, mentions};
use tn_ir::size::Poly;
use tn_kernel::Module;
use tn_kernel::module::*;
use tn_plan::ir::EntryKind;

/// Prints one entry, with the tables of its repeat loops before it.
pub(super) fn print(
    p: &mut Printer,
    m: &Module,
    entry: &ModuleEntry,
    names: &Names,
    wanted: &mut Wanted,
) -> Result<(), EmitError> {
    let mut locals = Namer::with(super::OWN_NAMES);
    names.sizes.values().for_each(|n| {
        locals.fresh(n);
    });
    let vars = entry.vars.iter().map(|v| locals.fresh(v)).collect();
    let mut body = Printer::default();
    let mut e = EntryPrinter { m, entry, names, wanted, vars, tables: Printer::default(), table_count: 0 };
    match &m.regimes {
        None => {
            doc(&mut body, entry.kind);
            body.open(format!("pub {}", signature(m, entry.kind, names, name(entry.kind))));
        }
        Some(regimes) => {
            let size = &m.symbols[regimes.symbol].name;
            let text = match regimes.tops.get(entry.regime as usize) {
                Some(top) => format!(" [`{}`] for `{size}` up to {top}.", name(entry.kind)),
                None => format!(" [`{}`] for larger `{size}`.", name(entry.kind)),
            };
            body.line(format!("#[doc = {text:?}]"));
            body.line("#[allow(non_snake_case, clippy::all)]");
            body.open(signature(m, entry.kind, names, &e.name()));
        }
    }
    e.checks(&mut body);
    for item in &entry.body {
        e.item(&mut body, item)?;
    }
    body.line("Ok(())");
    body.close("");
    p.line(e.tables.finish());
    p.line(body.finish());
    Ok(())
}

/// The function's name.
pub(super) fn name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Forward => "forward",
        EntryKind::ForwardSaving => "forward_saving",
        EntryKind::Vjp => "vjp",
        EntryKind::Jvp => "jvp",
    }
}

/// Prints the function that calls the schedule for the sizes; nothing where there is one.
pub(super) fn print_choice(p: &mut Printer, m: &Module, kind: EntryKind, names: &Names) {
    let Some(regimes) = &m.regimes else { return };
    doc(p, kind);
    p.open(format!("pub {}", signature(m, kind, names, name(kind))));
    p.line("sizes.check()?;");
    let args: Vec<&str> = arguments(m, kind, names.elem).into_iter().map(|(n, _)| n).collect();
    let args = args.join(", ");
    p.open(format!("match sizes.{}", api::regime_size(m, names)));
    for (r, top) in regimes.tops.iter().enumerate() {
        p.line(format!("..={top} => {}_{r}({args}),", name(kind)));
    }
    p.line(format!("_ => {}_{}({args}),", name(kind), regimes.tops.len()));
    p.close("");
    p.close("");
}

/// What an entry does.
pub(super) fn summary(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Forward => "Computes the outputs.",
        EntryKind::ForwardSaving => "Computes the outputs, and leaves in `saved` what [`vjp`] needs.",
        EntryKind::Vjp => {
            "Computes gradients: the adjoint of the Jacobian applied to `cotangents`. `saved` comes from [`forward_saving`] with the same arguments. Gradients are overwritten; parameters that need none get zeros."
        }
        EntryKind::Jvp => "Computes the outputs and their tangents along `tan_params` and `tan_inputs`.",
    }
}

/// The documentation of a public entry.
fn doc(p: &mut Printer, kind: EntryKind) {
    let doc = summary(kind);
    p.line(format!("#[doc = {:?}]", format!(" {doc}")));
    p.line("#[doc = \"\"]");
    p.line("#[doc = \" # Errors\"]");
    p.line("#[doc = \" If a length does not fit. Nothing is written then.\"]");
    p.line("#[allow(dead_code, non_snake_case, clippy::all)]");
}

/// The arguments of an entry: names and types.
pub(super) fn arguments(m: &Module, kind: EntryKind, elem: &str) -> Vec<(&'static str, String)> {
    let (read, write) = (format!("&[{elem}]"), format!("&mut [{elem}]"));
    let inputs = !m.inputs.is_empty();
    let outputs = "&mut Outputs<'_>".to_owned();
    let mut args: Vec<(&'static str, String)> = Vec::new();
    if !m.sizes.is_empty() {
        args.push(("sizes", "Sizes".into()));
    }
    args.push(("params", read.clone()));
    if inputs {
        args.push(("inputs", "&Inputs<'_>".into()));
    }
    match kind {
        EntryKind::Forward => args.push(("outputs", outputs)),
        EntryKind::ForwardSaving => args.extend([("outputs", outputs), ("saved", write.clone())]),
        EntryKind::Vjp => {
            args.push(("saved", read));
            args.push(("cotangents", "&Cotangents<'_>".into()));
            args.push(("grad_params", write.clone()));
            if !m.grads.is_empty() {
                args.push(("grad_inputs", "&mut InputGrads<'_>".into()));
            }
        }
        EntryKind::Jvp => {
            args.push(("tan_params", read));
            if inputs {
                args.push(("tan_inputs", "&Inputs<'_>".into()));
            }
            args.extend([("outputs", outputs.clone()), ("tan_outputs", outputs)]);
        }
    }
    args.push(("workspace", write));
    args
}

/// `fn forward(sizes: Sizes, …) -> Result<(), Error>`.
fn signature(m: &Module, kind: EntryKind, names: &Names, name: &str) -> String {
    let args: Vec<String> =
        arguments(m, kind, names.elem).into_iter().map(|(n, t)| format!("{n}: {t}")).collect();
    format!("fn {name}({}) -> Result<(), Error>", args.join(", "))
}

struct EntryPrinter<'a> {
    m: &'a Module,
    entry: &'a ModuleEntry,
    names: &'a Names,
    wanted: &'a mut Wanted,
    vars: Vec<String>,
    tables: Printer,
    table_count: u32,
}

impl EntryPrinter<'_> {
    /// The function's name: the entry's, and which schedule it is of where there are several.
    fn name(&self) -> String {
        let kind = name(self.entry.kind);
        if self.m.regimes.is_some() { format!("{kind}_{}", self.entry.regime) } else { kind.into() }
    }

    /// A length as a polynomial that cannot overflow: sizes are the caller's.
    fn length(&self, len: &Poly) -> String {
        saturating(len, self.names)
    }

    fn check(&self, p: &mut Printer, name: &str, expr: &str, len: &Poly) {
        p.line(format!("check({name:?}, {expr}.len(), {})?;", self.length(len)));
    }

    fn checks(&mut self, p: &mut Printer) {
        let (m, kind) = (self.m, self.entry.kind);
        if !m.sizes.is_empty() {
            if m.regimes.is_none() {
                p.line("sizes.check()?;");
            }
            let used = self.used_sizes();
            for (s, n) in self.names.sizes.iter().filter(|(s, _)| used.contains(s)) {
                let _ = s;
                p.line(format!("let {n} = sizes.{n};"));
            }
        }
        let flat: Poly = m.param_count.into();
        self.check(p, "params", "params", &flat);
        self.check_families(p, "inputs", &m.inputs, &self.names.inputs);
        let outputs = |p: &mut Printer, owner: &str| {
            for (i, n) in self.names.outputs.iter().enumerate() {
                let len = m.output_len(i as u32);
                self.check(p, &format!("{owner}.{n}"), &format!("{owner}.{n}"), &len);
            }
        };
        match kind {
            EntryKind::Forward => outputs(p, "outputs"),
            EntryKind::ForwardSaving => {
                outputs(p, "outputs");
                self.check(p, "saved", "saved", &self.entry.saved_len);
            }
            EntryKind::Vjp => {
                self.check(p, "saved", "saved", &self.entry.saved_len);
                outputs(p, "cotangents");
                self.check(p, "grad_params", "grad_params", &flat);
                self.check_families(p, "grad_inputs", &m.grads, &self.names.grads);
            }
            EntryKind::Jvp => {
                self.check(p, "tan_params", "tan_params", &flat);
                self.check_families(p, "tan_inputs", &m.inputs, &self.names.inputs);
                outputs(p, "outputs");
                outputs(p, "tan_outputs");
            }
        }
        let len = self.length(&self.entry.workspace_len);
        p.line(format!("check_at_least(\"workspace\", workspace.len(), {len})?;"));
    }

    /// Sizes that the function's text mentions.
    fn used_sizes(&self) -> Vec<tn_ir::size::SymbolId> {
        let mut out: Vec<_> = self.entry.workspace_len.symbols();
        out.extend(self.entry.saved_len.symbols());
        let leaves = self.m.inputs.iter().flat_map(|f| f.leaves.iter());
        leaves.for_each(|&l| out.extend(self.m.leaf_len(l).symbols()));
        (0..self.m.outputs.len()).for_each(|o| out.extend(self.m.output_len(o as u32).symbols()));
        let mut stack: Vec<&CallItem> = self.entry.body.iter().collect();
        while let Some(item) = stack.pop() {
            let mut call = |c: &Call| {
                let k = &self.m.kernels[c.kernel];
                out.extend(k.symbols.iter().copied());
                out.extend(k.operands.iter().flat_map(|p| p.symbols()));
                let terms = c.operands.iter().flat_map(|o| o.offset.iter());
                out.extend(terms.flat_map(|t| t.monomial.iter().map(|&(s, _)| s)));
            };
            match item {
                CallItem::Call(c) => call(c),
                CallItem::Repeat { calls, .. } => calls.iter().for_each(call),
                CallItem::Zero { at, len } => {
                    out.extend(len.symbols());
                    out.extend(at.offset.iter().flat_map(|t| t.monomial.iter().map(|&(s, _)| s)));
                }
                CallItem::Loop { trip, body, .. } => {
                    out.extend(trip.poly().symbols());
                    stack.extend(body);
                }
            }
        }
        out.sort();
        out.dedup();
        out
    }

    fn check_families(&self, p: &mut Printer, owner: &str, families: &[Family], fields: &[String]) {
        for (family, field) in families.iter().zip(fields) {
            let lens: Vec<Poly> = family.leaves.iter().map(|&l| self.m.leaf_len(l)).collect();
            let path = format!("{owner}.{field}");
            if !family.subscripted {
                self.check(p, &path, &path, &lens[0]);
            } else if lens.iter().all(|l| *l == lens[0]) {
                p.open(format!("for part in {path}.iter()"));
                self.check(p, &path, "part", &lens[0]);
                p.close("");
            } else {
                for (i, len) in lens.iter().enumerate() {
                    self.check(p, &path, &format!("{path}[{i}]"), len);
                }
            }
        }
    }

    fn item(&mut self, p: &mut Printer, item: &CallItem) -> Result<(), EmitError> {
        match item {
            CallItem::Call(c) => self.call(p, c, None)?,
            CallItem::Zero { at, len } => {
                let target = self.target(at, len, None);
                let zero = self.wanted.constant(self.names, 0.0, 0.0);
                p.line(format!("{target}.fill({zero});"));
            }
            CallItem::Loop { var, trip, body } => {
                let n = expr::poly(&trip.poly(), &self.names.sizes);
                let mut inside = Printer::default();
                for item in body {
                    self.item(&mut inside, item)?;
                }
                let (inside, var) = (inside.finish(), self.loop_var(*var));
                p.open(format!("for {} in 0..{n}", if mentions(&inside, &var) { &var } else { "_" }));
                p.lines(&inside);
                p.close("");
            }
            CallItem::Repeat { rounds, table, calls } => {
                let name = format!("{}_{}", self.name().to_uppercase(), self.table_count);
                self.table_count += 1;
                if !table.is_empty() {
                    let rows: Vec<String> = (0..*rounds as usize)
                        .map(|r| {
                            let row: Vec<String> = table.iter().map(|c| c[r].to_string()).collect();
                            format!("[{}]", row.join(", "))
                        })
                        .collect();
                    self.tables.line("#[doc = \" Where the operands of each round of a loop begin.\"]");
                    let (columns, rows) = (table.len(), rows.join(", "));
                    self.tables.line("#[allow(dead_code)]");
                    self.tables.line(format!("static {name}: [[usize; {columns}]; {rounds}] = [{rows}];"));
                }
                let uses_round = calls.iter().flat_map(|c| &c.operands).any(|o| {
                    !matches!(o.member, Number::Fixed(_))
                        || o.offset.iter().any(|t| !matches!(t.factor, Number::Fixed(_)))
                });
                p.open(format!("for {} in 0..{rounds}", if uses_round { "round" } else { "_" }));
                let round = Round { var: "round".into(), row: format!("{name}[round]"), convert: "" };
                for c in calls {
                    self.call(p, c, Some(&round))?;
                }
                p.close("");
            }
        }
        Ok(())
    }

    fn loop_var(&self, v: u32) -> String {
        self.vars.get(v as usize).cloned().unwrap_or_else(|| "unknown_variable".into())
    }

    fn offset(&self, o: &Operand, round: Option<&Round>) -> String {
        expr::offset(&o.offset, &self.names.sizes, round, |v| self.loop_var(v))
    }

    /// The array behind an operand.
    fn array(&self, o: &Operand, round: Option<&Round>) -> String {
        let n = self.names;
        let in_family = |owner: &str, f: &Family, field: &str| {
            if f.subscripted {
                format!("{owner}.{field}[{}]", expr::number(&o.member, round))
            } else {
                format!("{owner}.{field}")
            }
        };
        let family =
            |owner: &str, f: u32| in_family(owner, &self.m.inputs[f as usize], &n.inputs[f as usize]);
        match o.slot {
            Slot::Params => "params".into(),
            Slot::ParamTangents => "tan_params".into(),
            Slot::ParamGrads => "grad_params".into(),
            Slot::Constants => "CONSTANTS".into(),
            Slot::Input(f) => family("inputs", f),
            Slot::InputTangent(f) => family("tan_inputs", f),
            Slot::InputGrad(f) => in_family("grad_inputs", &self.m.grads[f as usize], &n.grads[f as usize]),
            Slot::Cotangent(i) => format!("cotangents.{}", n.outputs[i as usize]),
            Slot::Output(i) => format!("outputs.{}", n.outputs[i as usize]),
            Slot::OutputTangent(i) => format!("tan_outputs.{}", n.outputs[i as usize]),
            Slot::Saved => "saved".into(),
            Slot::Workspace => "workspace".into(),
        }
    }

    fn range(&self, o: &Operand, len: &Poly, round: Option<&Round>) -> String {
        let (from, len) = (self.offset(o, round), expr::poly(len, &self.names.sizes));
        if from == "0" { format!("[..{len}]") } else { format!("[{from}..][..{len}]") }
    }

    fn target(&self, o: &Operand, len: &Poly, round: Option<&Round>) -> String {
        format!("{}{}", self.array(o, round), self.range(o, len, round))
    }

    fn call(&mut self, p: &mut Printer, c: &Call, round: Option<&Round>) -> Result<(), EmitError> {
        let k = &self.m.kernels[c.kernel];
        let Some((out, ins)) = c.operands.split_last() else { return Ok(()) };
        let out_len = &k.operands[ins.len()];
        let mut args: Vec<String> = k.symbols.iter().map(|s| self.names.sizes[s].clone()).collect();
        let beside: Vec<bool> = ins.iter().map(|o| o.slot == out.slot).collect();
        let family = match out.slot {
            Slot::InputGrad(f) => self.m.grads[f as usize].subscripted,
            _ => false,
        };
        if !beside.contains(&true) {
            for (o, len) in ins.iter().zip(&k.operands) {
                args.push(format!("&{}", self.target(o, len, round)));
            }
            args.push(format!("&mut {}", self.target(out, out_len, round)));
            p.line(format!("{}({});", kernel::name(c.kernel, k), args.join(", ")));
            return Ok(());
        }
        // Operands in the array that is written: it is cut around the result.
        p.line("{");
        if family {
            let Slot::InputGrad(f) = out.slot else { return Ok(()) };
            let field = &self.names.grads[f as usize];
            let at = expr::number(&out.member, round);
            self.wanted.function("cut_family");
            p.line(format!(
                "let (before, y, after) = cut_family(&mut grad_inputs.{field}[..], {});",
                expr::bare(&at)
            ));
            for ((o, len), beside) in ins.iter().zip(&k.operands).zip(&beside) {
                if !beside {
                    args.push(format!("&{}", self.target(o, len, round)));
                    continue;
                }
                if o.member == out.member {
                    let what = &self.m.uses[c.kernel.0 as usize].0;
                    let text =
                        format!("`{what}` reads the gradient that it writes, which has no form in Rust");
                    return Err(EmitError::Unsupported(text));
                }
                self.wanted.function("of_family");
                let (member, range) = (expr::number(&o.member, round), self.range(o, len, round));
                let member = expr::bare(&member);
                args.push(format!("&of_family(before, after, {member}){range}"));
            }
            args.push(format!("&mut y{}", self.range(out, out_len, round)));
        } else {
            self.wanted.function("cut");
            self.wanted.function("part");
            let (at, len) = (self.offset(out, round), expr::poly(out_len, &self.names.sizes));
            let array = self.array(out, round);
            p.line(format!(
                "let (before, y, after) = cut({array}, {}, {});",
                expr::bare(&at),
                expr::bare(&len)
            ));
            for ((o, len), beside) in ins.iter().zip(&k.operands).zip(&beside) {
                if *beside {
                    let (from, len) = (self.offset(o, round), expr::poly(len, &self.names.sizes));
                    let (from, len) = (expr::bare(&from), expr::bare(&len));
                    args.push(format!("part(before, after, y.len(), {from}, {len})"));
                } else {
                    args.push(format!("&{}", self.target(o, len, round)));
                }
            }
            args.push("y".into());
        }
        p.line(format!("{}({});", kernel::name(c.kernel, k), args.join(", ")));
        p.line("}");
        Ok(())
    }
}

/// A length in arithmetic that saturates: `b.saturating_mul(4).saturating_add(3)`.
pub(super) fn saturating(len: &Poly, names: &Names) -> String {
    if let Some(c) = len.as_constant() {
        return c.to_string();
    }
    let (mut plus, mut minus) = (String::new(), String::new());
    for (m, c) in len.terms() {
        let mut text = format!("{}usize", c.unsigned_abs());
        for &(s, e) in m {
            for _ in 0..e {
                text.push_str(&format!(
                    ".saturating_mul({})",
                    names.sizes.get(&s).map_or("0", |n| n.as_str())
                ));
            }
        }
        if c < 0 {
            minus.push_str(&format!(".saturating_sub({text})"));
        } else if plus.is_empty() {
            plus = text;
        } else {
            plus.push_str(&format!(".saturating_add({text})"));
        }
    }
    if plus.is_empty() { "0".into() } else { format!("{plus}{minus}") }
}
