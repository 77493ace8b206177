//! Entries as C functions that launch kernels.
//!
//! Where a plan has several schedules, each entry of each is a static function, and the exported one of the entry's name calls that for the
//! sizes.

use super::{Names, kernel};
use crate::expr::{self, Round};
use crate::namer::Namer;
use crate::printer::{Printer, mentions};
use tn_ir::size::{Poly, SymbolKind};
use tn_kernel::Module;
use tn_kernel::ir::Launch;
use tn_kernel::module::*;
use tn_plan::ir::EntryKind;

fn suffix(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Forward => "forward",
        EntryKind::ForwardSaving => "forward_saving",
        EntryKind::Vjp => "vjp",
        EntryKind::Jvp => "jvp",
    }
}

/// `long long b, long long n`, or `void`.
pub(super) fn size_arguments(m: &Module, names: &Names) -> String {
    let all: Vec<String> = m.sizes.iter().map(|s| format!("long long {}", names.sizes[s])).collect();
    if all.is_empty() { "void".into() } else { all.join(", ") }
}

/// A pointer argument: its name, whether it is written, whether it is an array of pointers (with how many), and
/// whether it may be null because it has no elements.
struct Pointer {
    name: String,
    written: bool,
    members: Option<usize>,
    len: Poly,
}

/// The pointers of an entry; `regime` is the schedule whose arenas they are.
fn pointers(m: &Module, entry_kind: EntryKind, names: &Names, regime: u32) -> Vec<Pointer> {
    let entry = m.entries.iter().find(|e| e.kind == entry_kind && e.regime == regime);
    let one =
        |name: &str, written: bool, len: Poly| Pointer { name: name.into(), written, members: None, len };
    let families = |families: &[Family], fields: &[String], written: bool| -> Vec<Pointer> {
        families
            .iter()
            .zip(fields)
            .map(|(f, n)| Pointer {
                name: n.clone(),
                written,
                members: f.subscripted.then_some(f.leaves.len()),
                len: m.leaf_len(f.leaves[0]),
            })
            .collect()
    };
    let outputs = |fields: &[String], written: bool| -> Vec<Pointer> {
        fields.iter().enumerate().map(|(i, n)| one(n, written, m.output_len(i as u32))).collect()
    };
    let flat: Poly = m.param_count.into();
    let saved = || entry.map_or_else(Poly::zero, |e| e.saved_len.clone());
    let mut out = vec![one("params", false, flat.clone())];
    out.extend(families(&m.inputs, &names.inputs, false));
    match entry_kind {
        EntryKind::Forward => out.extend(outputs(&names.outputs, true)),
        EntryKind::ForwardSaving => {
            out.extend(outputs(&names.outputs, true));
            out.push(one("saved", true, saved()));
        }
        EntryKind::Vjp => {
            out.push(one("saved", false, saved()));
            out.extend(outputs(&names.cotangents, false));
            out.push(one("grad_params", true, flat));
            out.extend(families(&m.grads, &names.grads, true));
        }
        EntryKind::Jvp => {
            out.push(one("tan_params", false, flat));
            out.extend(families(&m.inputs, &names.tangents, false));
            out.extend(outputs(&names.outputs, true));
            out.extend(outputs(&names.out_tangents, true));
        }
    }
    out.push(one("workspace", true, entry.map_or_else(Poly::zero, |e| e.workspace_len.clone())));
    out
}

fn declare(p: &Pointer, elem: &str, raw: &str) -> String {
    let constness = if p.written { "" } else { "const " };
    let stars = if p.members.is_some() { "*const *" } else { "*" };
    format!("{constness}{elem} {stars}{raw}{}", p.name)
}

/// The function's signature; `raw` stands before the pointers' names.
pub(super) fn signature(m: &Module, kind: EntryKind, names: &Names, raw: &str) -> String {
    signature_of(m, kind, names, raw, &format!("{}_{}", names.prefix, suffix(kind)))
}

fn signature_of(m: &Module, kind: EntryKind, names: &Names, raw: &str, name: &str) -> String {
    let mut args: Vec<String> = m.sizes.iter().map(|s| format!("long long {}", names.sizes[s])).collect();
    args.extend(pointers(m, kind, names, 0).iter().map(|p| declare(p, names.real, raw)));
    args.push("void *stream".into());
    format!("int {name}({})", args.join(", "))
}

/// The variable of the size that tells schedules apart.
fn regime_size<'a>(m: &Module, names: &'a Names) -> &'a str {
    m.regimes.as_ref().and_then(|r| names.sizes.get(&r.symbol)).map_or("0", String::as_str)
}

/// Prints the function that calls the schedule for the sizes; nothing where there is one.
pub(super) fn print_choice(p: &mut Printer, m: &Module, kind: EntryKind, names: &Names) {
    let Some(regimes) = &m.regimes else { return };
    p.open(format!("extern \"C\" {}", signature(m, kind, names, "")));
    check_sizes(p, m, names, "1");
    let sizes = m.sizes.iter().map(|s| names.sizes[s].clone());
    let pointers = pointers(m, kind, names, 0).into_iter().map(|a| a.name);
    let args: Vec<String> = sizes.chain(pointers).chain(["stream".to_owned()]).collect();
    let call = |r: usize| format!("return {}_{}_{r}({});", names.prefix, suffix(kind), args.join(", "));
    for (r, top) in regimes.tops.iter().enumerate() {
        p.line(format!("if ({} <= {top}) {}", regime_size(m, names), call(r)));
    }
    p.line(call(regimes.tops.len()));
    p.close("");
}

fn check_sizes(p: &mut Printer, m: &Module, names: &Names, code: &str) {
    for s in &m.sizes {
        let n = &names.sizes[s];
        let bad = match m.symbols[*s].kind {
            SymbolKind::Dyn { max: Some(max), .. } => format!("{n} < 1 || {n} > {max}"),
            _ => format!("{n} < 1"),
        };
        p.line(format!("if ({bad}) return {code};"));
    }
}

/// Prints one entry, with the tables of its repeat loops before it.
pub(super) fn print(p: &mut Printer, m: &Module, entry: &ModuleEntry, names: &Names) {
    let pointers = pointers(m, entry.kind, names, entry.regime);
    let mut locals = Namer::with(&["params", "stream", "constants", "round", "workspace", "saved"]);
    names.sizes.values().chain(pointers.iter().map(|p| &p.name)).for_each(|n| {
        locals.fresh(n);
    });
    let vars = entry.vars.iter().map(|v| locals.fresh(v)).collect();
    let name = match &m.regimes {
        Some(_) => format!("{}_{}", suffix(entry.kind), entry.regime),
        None => suffix(entry.kind).to_owned(),
    };
    let mut e = EntryPrinter { m, names, name, vars, tables: Printer::default(), table_count: 0 };
    let mut body = Printer::default();
    let mut items = Printer::default();
    for item in &entry.body {
        e.item(&mut items, item);
    }
    let items = items.finish();
    let raw = if names.complex { "raw_" } else { "" };
    if m.regimes.is_none() {
        body.open(format!("extern \"C\" {}", signature(m, entry.kind, names, raw)));
        check_sizes(&mut body, m, names, "1");
    } else {
        let full = format!("{}_{}", names.prefix, e.name);
        body.open(format!("static {}", signature_of(m, entry.kind, names, raw, &full)));
        m.sizes.iter().for_each(|s| body.line(format!("(void){};", names.sizes[s])));
    }
    for a in &pointers {
        let n = &a.name;
        if let Some(members) = a.members {
            body.line(format!("if (!{raw}{n}) return 2;"));
            body.line(format!("for (int k = 0; k < {members}; ++k) if (!{raw}{n}[k]) return 2;"));
        } else {
            let empty = a.len.is_zero();
            if !empty {
                body.line(format!("if (!{raw}{n}) return 2;"));
            }
        }
        if names.complex && mentions(&items, n) {
            let constness = if a.written { "" } else { "const " };
            let ty =
                format!("{constness}{} *{}", names.elem, if a.members.is_some() { "const *" } else { "" });
            body.line(format!("{ty}{n} = reinterpret_cast<{ty}>(raw_{n});"));
        }
        // Not every entry reads everything that it is given.
        body.line(format!("(void){raw}{n};"));
    }
    if entry.slots().contains(&Slot::Constants) {
        body.line(format!(
            "const {0} *constants = tn_symbol({1}_kernels::constants_data);",
            names.elem, names.prefix
        ));
        body.line("if (!constants) return 3;");
    }
    body.lines(&items);
    body.line("(void)stream;");
    body.line("return TN_LAUNCH_FAILED() ? 3 : 0;");
    body.close("");
    p.line(e.tables.finish());
    p.line(body.finish());
}

/// Prints the functions that say how much memory is needed.
pub(super) fn print_lengths(p: &mut Printer, m: &Module, names: &Names) {
    let sizes = size_arguments(m, names);
    let regimes = 0..m.regime_count();
    let mut one = |name: &str, lens: Vec<Poly>| {
        p.open(format!("extern \"C\" long long {}_{name}({sizes})", names.prefix));
        let mut used: Vec<_> = lens.iter().flat_map(Poly::symbols).collect();
        used.extend(m.regimes.as_ref().map(|r| r.symbol));
        for s in m.sizes.iter().filter(|s| !used.contains(s)) {
            p.line(format!("(void){};", names.sizes[s]));
        }
        for (top, len) in m.regimes.iter().flat_map(|r| &r.tops).zip(&lens) {
            let len = expr::poly(len, &names.sizes);
            p.line(format!("if ({} <= {top}) return {len};", regime_size(m, names)));
        }
        let last = lens.last().cloned().unwrap_or_default();
        p.line(format!("return {};", expr::poly(&last, &names.sizes)));
        p.close("");
    };
    one("workspace_len", regimes.clone().map(|r| m.workspace_len(r)).collect());
    if m.kinds().iter().any(|k| matches!(k, EntryKind::ForwardSaving | EntryKind::Vjp)) {
        one("saved_len", regimes.map(|r| m.saved_len(r)).collect());
    }
}

struct EntryPrinter<'a> {
    m: &'a Module,
    names: &'a Names,
    /// The entry's, with the schedule's number where there are several.
    name: String,
    vars: Vec<String>,
    tables: Printer,
    table_count: u32,
}

impl EntryPrinter<'_> {
    fn item(&mut self, p: &mut Printer, item: &CallItem) {
        match item {
            CallItem::Call(c) => self.call(p, c, None),
            CallItem::Zero { at, len } => {
                let n = expr::poly(len, &self.names.sizes);
                let target = self.pointer(at, None);
                let elem = self.names.elem;
                p.line(format!(
                    "TN_LAUNCH(tn_zero<{elem}>, tn_grid({n}), TN_BLOCK, stream, (tn_index)({n}), {target});"
                ));
            }
            CallItem::Loop { var, trip, body } => {
                let (v, n) = (self.loop_var(*var), expr::poly(&trip.poly(), &self.names.sizes));
                p.open(format!("for (tn_index {v} = 0; {v} < {n}; ++{v})"));
                for item in body {
                    self.item(p, item);
                }
                p.close("");
            }
            CallItem::Repeat { rounds, table, calls } => {
                let name = format!(
                    "{}_{}_{}",
                    self.names.prefix.to_uppercase(),
                    self.name.to_uppercase(),
                    self.table_count
                );
                self.table_count += 1;
                if !table.is_empty() {
                    let rows: Vec<String> = (0..*rounds as usize)
                        .map(|r| {
                            let row: Vec<String> = table.iter().map(|c| c[r].to_string()).collect();
                            format!("{{{}}}", row.join(", "))
                        })
                        .collect();
                    self.tables.line("// Where the operands of each round of a loop begin.");
                    let (columns, rows) = (table.len(), rows.join(", "));
                    self.tables
                        .line(format!("static const tn_index {name}[{rounds}][{columns}] = {{{rows}}};"));
                }
                p.open(format!("for (tn_index round = 0; round < {rounds}; ++round)"));
                let round = Round { var: "round".into(), row: format!("{name}[round]"), convert: "" };
                for c in calls {
                    self.call(p, c, Some(&round));
                }
                p.close("");
            }
        }
    }

    fn loop_var(&self, v: u32) -> String {
        self.vars.get(v as usize).cloned().unwrap_or_else(|| "unknown_variable".into())
    }

    /// A pointer to an operand's first element.
    fn pointer(&self, o: &Operand, round: Option<&Round>) -> String {
        let n = self.names;
        let in_family = |f: &Family, field: &str| {
            if f.subscripted {
                format!("{field}[{}]", expr::number(&o.member, round))
            } else {
                field.to_string()
            }
        };
        let array = match o.slot {
            Slot::Params => "params".into(),
            Slot::ParamTangents => "tan_params".into(),
            Slot::ParamGrads => "grad_params".into(),
            Slot::Constants => "constants".into(),
            Slot::Input(f) => in_family(&self.m.inputs[f as usize], &n.inputs[f as usize]),
            Slot::InputTangent(f) => in_family(&self.m.inputs[f as usize], &n.tangents[f as usize]),
            Slot::InputGrad(f) => in_family(&self.m.grads[f as usize], &n.grads[f as usize]),
            Slot::Cotangent(i) => n.cotangents[i as usize].clone(),
            Slot::Output(i) => n.outputs[i as usize].clone(),
            Slot::OutputTangent(i) => n.out_tangents[i as usize].clone(),
            Slot::Saved => "saved".into(),
            Slot::Workspace => "workspace".into(),
        };
        match expr::offset(&o.offset, &n.sizes, round, |v| self.loop_var(v)).as_str() {
            "0" => array,
            offset => format!("{array} + ({offset})"),
        }
    }

    fn call(&mut self, p: &mut Printer, c: &Call, round: Option<&Round>) {
        let k = &self.m.kernels[c.kernel];
        let mut args: Vec<String> = k.symbols.iter().map(|s| self.names.sizes[s].clone()).collect();
        args.extend(c.operands.iter().map(|o| self.pointer(o, round)));
        let grid = match &k.launch {
            Launch::Serial => "1u".into(),
            Launch::Threads { work } => format!("tn_grid({})", expr::poly(work, &self.names.sizes)),
            Launch::Blocks { work } => format!("tn_blocks({})", expr::poly(work, &self.names.sizes)),
        };
        let name = kernel::name(c.kernel, k);
        p.line(format!(
            "TN_LAUNCH({}_kernels::{name}, {grid}, TN_BLOCK, stream, {});",
            self.names.prefix,
            args.join(", ")
        ));
    }
}
