//! `--print ast|program|network|plan|kernels`: every intermediate form as text, for people who want to see what a stage did.

use crate::compile::{Prepared, compile, prepare};
use crate::error::Error;
use crate::options::{Options, Source};
use std::fmt::Write;
use tn_dsl::source::SourceMap;
use tn_ir::program::{IndexId, Node, Operand, Program, Role};
use tn_ir::region::Region;
use tn_plan::ir::{Entry, Item, Plan, RegionPlan, SizeRange};

/// An intermediate form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The syntax tree of the file.
    Ast,
    /// L1: the elaborated network.
    Program,
    /// L2: regions, with their trees.
    Network,
    /// L4: loops, steps and buffers.
    Plan,
    /// L5: the kernels, as both printers see them.
    Kernels,
}

/// The form of that name as text.
///
/// # Errors
/// Those of the stages before it; a form that the source does not have.
pub fn print(source: &Source, options: &Options, form: Form) -> Result<String, Error> {
    if let Source::Plan(path) = source {
        let plan = crate::load_plan(path)?;
        return match form {
            Form::Network => Ok(trees_text(&plan)),
            Form::Plan => Ok(plan_text(&plan)),
            Form::Kernels => kernels_text(&plan),
            Form::Ast | Form::Program => Err(Error::Usage(
                "a plan file has neither syntax tree nor program, help: give the `.tn` file".into(),
            )),
        };
    }
    Ok(match form {
        Form::Ast => ast_text(source)?,
        Form::Program => program_text(&prepare(source, options)?.program),
        Form::Network => {
            let compiled = compile(source, options)?;
            let prepared: &Prepared = &compiled.prepared;
            let pairs = prepared.regions.iter().zip(&compiled.region_plans);
            let own: String = pairs.map(|(r, p)| region_text(r) + &tree_text(p)).collect();
            let several = compiled.built.as_ref().filter(|b| b.plan.regimes.is_some());
            own + &several.map_or_else(String::new, |b| trees_text(&b.plan))
        }
        Form::Plan => plan_text(compile(source, options)?.plan()?),
        Form::Kernels => kernels_text(compile(source, options)?.plan()?)?,
    })
}

fn ast_text(source: &Source) -> Result<String, Error> {
    let (name, text) = match source {
        Source::File(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Error::Io(format!("cannot read `{}`: {e}", path.display())))?;
            (path.display().to_string(), text)
        }
        Source::Text { name, text } => (name.clone(), text.clone()),
        _ => return Err(Error::Usage("only a `.tn` file has a syntax tree".into())),
    };
    let id = SourceMap::default().add(name, text.clone());
    Ok(format!("{:#?}\n", tn_dsl::parse::parse(id, &text).0))
}

fn legs(program: &Program, indices: &[IndexId]) -> String {
    indices.iter().map(|&i| program.indices[i].name.as_str()).collect::<Vec<_>>().join(", ")
}

fn operand(program: &Program, o: &Operand) -> String {
    let inner = format!("%{}[{}]", o.node.0, legs(program, &o.indices));
    if o.conj { format!("conj({inner})") } else { inner }
}

/// L1 as text: a line a leaf, a line a node.
pub fn program_text(p: &Program) -> String {
    let mut out = format!("network {} {}\n", p.name, p.dtype);
    for s in p.symbols.iter() {
        let _ = writeln!(out, "symbol {}: {:?}", s.name, s.kind);
    }
    for leaf in p.leaves.iter() {
        let role = match &leaf.role {
            Role::Param => "param".to_owned(),
            Role::Input => "input".to_owned(),
            Role::Const(_) => "const".to_owned(),
        };
        let sizes: Vec<String> = leaf.legs.iter().map(|&i| p.indices[i].size.value.to_string()).collect();
        let _ = writeln!(out, "{role} {}[{}]", leaf.name, sizes.join(", "));
    }
    for (id, data) in p.nodes.enumerate() {
        let value = match &data.node {
            Node::Leaf(l) => format!("leaf {}", p.leaves[*l].name),
            Node::Contract { scale, operands } => {
                let factors: Vec<String> = operands.iter().map(|o| operand(p, o)).collect();
                let scale =
                    if scale.re == 1.0 && scale.im == 0.0 { String::new() } else { format!("{scale} ") };
                format!("contract {scale}{}", factors.join(" * "))
            }
            Node::Map { map, arg, params } => {
                let params: Vec<String> = params.iter().map(|n| format!("%{}", n.0)).collect();
                format!("map {}(%{}; {})", p.maps[*map].name, arg.0, params.join(", "))
            }
            Node::Add { terms } => {
                let terms: Vec<String> =
                    terms.iter().map(|(c, o)| format!("{c} {}", operand(p, o))).collect();
                format!("add {}", terms.join(" + "))
            }
            Node::Select { arg, axis, at } => format!("select %{} axis {axis} at {at}", arg.0),
            Node::Unpad { arg } => format!("unpad %{}", arg.0),
            Node::Stack { parts } => {
                let parts: Vec<String> = parts.iter().map(|n| format!("%{}", n.0)).collect();
                format!("stack {}", parts.join(", "))
            }
            Node::Pin { arg } => format!("pin %{}", arg.0),
        };
        let name = if data.name.is_empty() { String::new() } else { format!("  // {}", data.name) };
        let _ = writeln!(out, "%{}[{}] = {value}{name}", id.0, legs(p, &data.legs));
    }
    for o in &p.outputs {
        let _ =
            writeln!(out, "output {} = %{}{}", o.name, o.node.0, if o.log { " (phase and log)" } else { "" });
    }
    out
}

fn region_text(r: &Region) -> String {
    let names = |list: &[u32]| {
        list.iter()
            .map(|&i| r.index_names.get(i as usize).map_or("?", String::as_str))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut out = format!("region {}[{}] = {} *\n", r.name, names(&r.output), r.scale);
    for (k, input) in r.inputs.iter().enumerate() {
        let conj = if input.conj { " conj" } else { "" };
        let _ = writeln!(out, "  {k}: %{}[{}]{conj}", input.value.0, names(&input.indices));
    }
    out
}

/// The trees of a plan; of several schedules, those of each under its range.
fn trees_text(plan: &Plan) -> String {
    let ranges = plan.ranges();
    let mut out = String::new();
    for (k, schedule) in plan.schedules().iter().enumerate() {
        out.push_str(&heading(plan, ranges.get(k)));
        schedule.regions.iter().for_each(|r| out.push_str(&tree_text(r)));
    }
    out
}

/// `schedule for b in 1..=16`; nothing where there is one schedule.
fn heading(plan: &Plan, range: Option<&SizeRange>) -> String {
    match (&plan.regimes, range) {
        (Some(r), Some(range)) => format!("schedule for {} in {range}\n", plan.symbols[r.symbol].name),
        _ => String::new(),
    }
}

fn tree_text(r: &RegionPlan) -> String {
    let mut out = format!("tree {} over {} tensors\n", r.name, r.inputs.len());
    for &i in &r.sliced {
        let _ = writeln!(out, "  slice {} ({})", r.index_names[i as usize], r.sizes[i as usize]);
    }
    for (k, (a, b)) in r.ssa_path.iter().enumerate() {
        let _ = writeln!(out, "  {} = {a} * {b}", r.inputs.len() + k);
    }
    out
}

/// L4 as text: buffers, then loops and steps as they run.
pub fn plan_text(plan: &Plan) -> String {
    let mut out = format!("plan {} {}\n", plan.name, plan.dtype);
    let ranges = plan.ranges();
    for (k, schedule) in plan.schedules().iter().enumerate() {
        out.push_str(&heading(plan, ranges.get(k)));
        for entry in &schedule.entries {
            entry_text(&mut out, schedule, entry);
        }
    }
    out
}

fn entry_text(out: &mut String, plan: &Plan, entry: &Entry) {
    let name = |s| plan.symbols.get(s).map_or_else(|| "?".to_owned(), |x| x.name.clone());
    let _ = writeln!(
        out,
        "entry {}: workspace {}, saved {}",
        crate::json::entry_name(entry.kind),
        entry.workspace_len.display(name),
        entry.saved_len.display(name)
    );
    for (id, b) in entry.buffers.enumerate() {
        let _ = writeln!(
            out,
            "  buffer {} {:?} {}: {} elements at {}, live {}..={}",
            id.0,
            b.class,
            b.name,
            b.len.display(name),
            b.offset.display(name),
            b.live.0,
            b.live.1
        );
    }
    // A stack of what is left to print, so that nested loops need no recursion.
    let mut stack: Vec<std::slice::Iter<'_, Item>> = vec![entry.body.iter()];
    while let Some(top) = stack.last_mut() {
        let Some(item) = top.next() else {
            stack.pop();
            if !stack.is_empty() {
                let _ = writeln!(out, "{}}}", "  ".repeat(stack.len()));
            }
            continue;
        };
        let indent = "  ".repeat(stack.len());
        match item {
            Item::Loop(l) => {
                let variable = entry.vars.get(l.var as usize).map_or("?", |v| v.name.as_str());
                let _ = writeln!(
                    out,
                    "{indent}for {variable} in 0..{} ({:?}) {{",
                    l.trip.poly().display(name),
                    l.kind
                );
                stack.push(l.body.iter());
            }
            Item::Step(s) => {
                let _ = writeln!(out, "{indent}{} ({:?}, {:?})", s.text, s.fold, s.write);
            }
            Item::Zero { buffer } => {
                let _ = writeln!(out, "{indent}zero buffer {}", buffer.0);
            }
        }
    }
}

fn kernels_text(plan: &Plan) -> Result<String, Error> {
    let module =
        tn_kernel::lower_plan(plan, tn_kernel::Target::Cpu).map_err(|e| Error::Input(e.to_string()))?;
    Ok(format!("{module:#?}\n"))
}
