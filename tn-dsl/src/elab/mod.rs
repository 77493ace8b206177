//! Elaboration: a network's syntax tree to an L1 program.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`value`], [`scope`] | compile-time values; what names mean |
//! | `eval` | compile-time expressions and functions |
//! | `builtins` | the functions of the language over values |
//! | `maps` | elementwise maps, built-in and user's |
//! | `legs` | brackets: subscripts, splats, folds |
//! | `tensor`, `emit` | tensor expressions: first their meaning with scopes of summation, then L1 nodes |
//! | `body`, `leaf`, `call` | statements; parameters, inputs, constants; topologies |
//! | `instance` | einsum strings and JSON instances |
//!
//! A mistake becomes a diagnostic and the name it would have declared is poisoned, so that what depends on it stays silent and independent mistakes are
//! all reported.

mod arith;
mod body;
mod builtins;
mod call;
mod emit;
mod eval;
mod function;
mod init;
mod instance;
mod leaf;
mod legs;
mod maps;
mod rounds;
mod scalars;
pub mod scope;
mod tensor;
pub mod value;

pub use instance::{einsum, instance_json};

use crate::ast::{Block, Callable, TypeKind};
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::load::{Global, Loaded, list};
use crate::parse::parse_expr;
use crate::source::SourceMap;
use scope::Scope;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tn_ir::Complex64;
use tn_ir::definitions::{Definitions, MAX_FACTORS};
use tn_ir::dtype::DType;
use tn_ir::program::{LeafId, MapId, Node, Output, Program};
use tn_ir::size::{Poly, Symbol, SymbolId, SymbolKind};
use tn_ir::span::Span;
use value::{Value, type_text};

/// The most entries of a constant: constants are kept as dense arrays.
pub const MAX_CONST: u64 = 1 << 28;

/// The most items (tensors, indices, list entries, loop rounds) that one elaboration makes.
pub const MAX_ITEMS: u64 = 10_000_000;
/// Diagnostics that one elaboration gives.
const MAX_DIAGNOSTICS: usize = 100;
/// The deepest recursion of functions and topologies.
pub const MAX_RECURSION: u32 = 256;
/// Elaboration recurses over the nesting of the source (at most 256 levels of 256), not over the network.
const STACK_BYTES: usize = 1 << 30;

/// Where constants get their data: `npy("f.npy")` asks with no name, `npz` with an array's name. Shape and row-major entries, or what is wrong.
pub type ReadData<'a> =
    &'a (dyn Fn(&Path, Option<&str>) -> Result<(Vec<u64>, Vec<Complex64>), String> + Sync);

/// Choices for one elaboration.
#[derive(Default)]
pub struct Options<'a> {
    /// Which network; the first if none.
    pub network: Option<String>,
    /// `--set name=value`, values as written.
    pub set: Vec<(String, String)>,
    /// Reads data files of constants.
    pub read_data: Option<ReadData<'a>>,
}

/// What elaboration gives.
#[derive(Clone, Debug)]
pub struct Elaborated {
    /// The program.
    pub program: Program,
    /// Network parameters that decide how many tensors there are, or that entered sizes in a way no polynomial follows.
    pub structural: Vec<SymbolId>,
    /// Data files that constants were read from.
    pub data_files: Vec<std::path::PathBuf>,
}

/// A network as its header says.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSig {
    /// Its name.
    pub name: String,
    /// Name, type and default of its parameters.
    pub params: Vec<(String, String, Option<String>)>,
    /// Documentation.
    pub doc: String,
}

/// The networks of the main file, in source order.
pub fn networks(loaded: &Loaded) -> Vec<NetworkSig> {
    let Some(module) = loaded.modules.first() else { return vec![] };
    let find = |name: &String| match module.names.get(name) {
        Some(g) => match &g.global {
            Global::Network(c) => Some((c.clone(), g.doc.to_string())),
            _ => None,
        },
        None => None,
    };
    let sig = |name: &String| {
        let (c, doc) = find(name)?;
        let params = c
            .params
            .iter()
            .map(|p| {
                let default = p.default.as_ref().map(|d| loaded.sources.text(d.span).to_string());
                (p.name.name.clone(), type_text(&p.ty.kind), default)
            })
            .collect();
        Some(NetworkSig { name: name.clone(), params, doc })
    };
    module.networks.iter().filter_map(sig).collect()
}

/// Elaborates one network. Without errors there is a program; there may be warnings either way.
pub fn elaborate(loaded: &Loaded, options: &Options) -> (Option<Elaborated>, Vec<Diagnostic>) {
    if loaded.diagnostics.iter().any(Diagnostic::is_error) {
        return (None, loaded.diagnostics.clone());
    }
    on_large_stack(|| {
        let mut sources = loaded.sources.clone();
        let mut e = Elab::new(loaded, options);
        e.run(&mut sources);
        let failed = e.diagnostics.iter().any(Diagnostic::is_error);
        let structural = e.structural.iter().copied().collect();
        let done = Elaborated { program: e.program, structural, data_files: e.data_files };
        ((!failed).then_some(done), e.diagnostics)
    })
}

/// What `tnc check` reports: everything wrong with any network of the file, each elaborated with its defaults where it has them.
pub fn check_all(loaded: &Loaded, read_data: Option<ReadData<'_>>) -> Vec<Diagnostic> {
    let mut all = loaded.diagnostics.clone();
    if all.iter().any(Diagnostic::is_error) {
        return all;
    }
    for n in networks(loaded).iter().filter(|n| n.params.iter().all(|p| p.2.is_some())) {
        let options = Options { network: Some(n.name.clone()), read_data, ..Options::default() };
        for d in elaborate(loaded, &options).1 {
            if !all.contains(&d) {
                all.push(d);
            }
        }
    }
    for d in check_consts(loaded) {
        if !all.iter().any(|o| (o.span, o.code) == (d.span, d.code)) {
            all.push(d);
        }
    }
    all
}

/// What is wrong with the constants of the user's files, whether a network uses them or not.
fn check_consts(loaded: &Loaded) -> Vec<Diagnostic> {
    let options = Options::default();
    on_large_stack(|| {
        let mut e = Elab::new(loaded, &options);
        e.diagnostics.clear();
        // a complex constant is wrong only where a real network uses it
        e.program.dtype = DType::C128;
        for (id, module) in loaded.modules.iter().enumerate().filter(|(_, m)| !m.library) {
            let own = module.names.iter().filter(|(_, g)| g.module == id);
            let mut consts: Vec<_> = own.filter(|(_, g)| matches!(g.global, Global::Const(_))).collect();
            consts.sort_by_key(|(_, g)| g.span.start);
            for (_, g) in consts {
                if let Global::Const(value) = &g.global {
                    // each has the whole budget, as in a network that uses nothing else; what is wrong is in the diagnostics
                    e.items = 0;
                    let _ = e.const_value(value, g);
                }
            }
        }
        e.diagnostics
    })
}

fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|s| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(s, work);
        match thread.map(|t| t.join()) {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // no thread to be had: the machine is out of memory
            Err(e) => std::panic::panic_any(format!("cannot start a thread: {e}")),
        }
    })
}

/// Something failed and has been reported.
pub(crate) struct Failed;
pub(crate) type Res<T> = Result<T, Failed>;

/// What the leaves of a topology are made as.
#[derive(Clone)]
pub(crate) enum LeafMode {
    /// As declared.
    Param,
    /// `input H = T(…)`
    Input,
    /// `const H = T(…) from npz("…")`: the file, and the length of the path prefix that its names lack.
    Const { file: Rc<str>, prefix: usize, span: Span },
}

/// A body being elaborated.
pub(crate) struct Frame {
    pub scope: Scope,
    pub module: usize,
    /// `g.` or `g[3].` or empty.
    pub path: String,
    pub mode: LeafMode,
    pub kind: BodyKind,
    /// A topology's result.
    pub result: Option<tn_ir::program::NodeId>,
    /// A statement of it has failed, and that has been reported.
    pub failed: bool,
    /// The network or topology whose body it is.
    pub body: Option<Arc<Callable>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Network,
    Topology,
}

pub(crate) struct Elab<'a> {
    pub loaded: &'a Loaded,
    pub options: &'a Options<'a>,
    pub program: Program,
    pub diagnostics: Vec<Diagnostic>,
    pub structural: BTreeSet<SymbolId>,
    pub data_files: Vec<std::path::PathBuf>,
    pub frames: Vec<Frame>,
    pub items: u64,
    pub depth: u32,
    pub dtype_set: bool,
    /// Maps of modules already compiled: (module, name) → id.
    pub compiled: HashMap<(usize, String), MapId>,
    /// Leaves whose `he` or `xavier` waits for their first use.
    pub pending_init: HashMap<LeafId, init::PendingInit>,
    pub leaf_names: HashMap<String, Span>,
    /// Values of global constants, by their place.
    pub consts: HashMap<Span, Value>,
}

impl<'a> Elab<'a> {
    fn new(loaded: &'a Loaded, options: &'a Options) -> Elab<'a> {
        Elab {
            loaded,
            options,
            program: Program::default(),
            diagnostics: loaded.diagnostics.clone(),
            structural: BTreeSet::new(),
            data_files: vec![],
            frames: vec![],
            items: 0,
            depth: 0,
            dtype_set: false,
            compiled: HashMap::new(),
            pending_init: HashMap::new(),
            leaf_names: HashMap::new(),
            consts: HashMap::new(),
        }
    }

    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> Failed {
        let d = Diagnostic::error(code, span, message);
        // of these codes the general fix is one for every single case
        let general = matches!(
            code,
            Code::BadSubscript
                | Code::SizeMismatch
                | Code::BadInit
                | Code::BadFold
                | Code::BadDyn
                | Code::BadStructure
                | Code::ComplexInReal
        );
        self.report(if general { d.with_help(code.fix()) } else { d })
    }
    pub fn report(&mut self, d: Diagnostic) -> Failed {
        // the same mistake in a hundred rounds of a loop is one mistake
        let known = self.diagnostics.iter().any(|o| o.span == d.span && o.code == d.code);
        if !known && !self.full() {
            self.diagnostics.push(d);
        }
        Failed
    }
    /// Whether no more diagnostics are taken.
    pub fn full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }
    /// Counts work; past the limit everything fails with one diagnostic.
    pub fn spend(&mut self, items: u64, span: Span) -> Res<()> {
        self.items = self.items.saturating_add(items);
        self.room(0, span)
    }
    /// Whether so many more items may follow: asked before a loop runs or a list is made, so that nothing is built only to be thrown away.
    pub fn room(&mut self, items: u64, span: Span) -> Res<()> {
        if self.items.saturating_add(items) <= MAX_ITEMS {
            return Ok(());
        }
        // what follows is not elaborated
        self.items = MAX_ITEMS + 1;
        let message = format!("more than {MAX_ITEMS} items are elaborated");
        let d = Diagnostic::error(Code::TooManyItems, span, message);
        Err(self.report(d.with_help("use smaller ranges, or split the network")))
    }
    pub fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }
    pub fn scope(&mut self) -> &mut Scope {
        &mut self.frame().scope
    }
    pub fn module(&self) -> usize {
        self.frames.last().map_or(0, |f| f.module)
    }

    fn run(&mut self, sources: &mut SourceMap) {
        let Some((network, doc, span)) = self.choose() else { return };
        self.program.name = network.name.name.clone();
        self.program.doc = doc;
        let Ok(scope) = self.network_parameters(&network, sources, span) else { return };
        self.frames.push(Frame {
            scope,
            module: 0,
            path: String::new(),
            mode: LeafMode::Param,
            kind: BodyKind::Network,
            result: None,
            failed: false,
            body: Some(network.clone()),
        });
        self.choose_dtype(&network.body);
        self.scope().push();
        self.statements(&network.body);
        self.finish(&network);
    }

    fn choose(&mut self) -> Option<(Arc<Callable>, String, Span)> {
        let module = &self.loaded.modules[0];
        let start = Span::default();
        let name = match &self.options.network {
            Some(n) => n.clone(),
            None => match module.networks.first() {
                Some(n) => n.clone(),
                None => {
                    let d = Diagnostic::error(Code::NoNetwork, start, "the file has no network");
                    self.report(d.with_help("add `network name { … }`"));
                    return None;
                }
            },
        };
        match module.names.get(&name).map(|g| (&g.global, g)) {
            Some((Global::Network(c), g)) => {
                if let (None, [_, others @ ..]) = (&self.options.network, &module.networks[..])
                    && !others.is_empty()
                {
                    let first = format!("the file has {} networks, and this one is taken", others.len() + 1);
                    let d = Diagnostic::warning(Code::NoNetwork, c.name.span, first);
                    self.report(d.with_help(format!("`--network` takes another: {}", list(others))));
                }
                Some((c.clone(), g.doc.to_string(), c.name.span))
            }
            _ => {
                let d =
                    Diagnostic::error(Code::NoNetwork, start, format!("the file has no network `{name}`"));
                let near = did_you_mean(&name, module.networks.iter().map(String::as_str));
                let help = match near {
                    Some(n) => format!("did you mean `{n}`?"),
                    None => format!("it has {}", list(&module.networks)),
                };
                self.report(d.with_help(help));
                None
            }
        }
    }

    fn network_parameters(&mut self, network: &Callable, sources: &mut SourceMap, span: Span) -> Res<Scope> {
        for (name, _) in &self.options.set {
            if !network.params.iter().any(|p| p.name.name == *name) {
                let d = Diagnostic::error(
                    Code::BadParameter,
                    span,
                    format!("`{}` has no parameter `{name}`", network.name.name),
                );
                let near = did_you_mean(name, network.params.iter().map(|p| p.name.name.as_str()));
                let all: Vec<String> = network.params.iter().map(|p| p.name.name.clone()).collect();
                let help = match near {
                    Some(n) => format!("did you mean `{n}`?"),
                    None if all.is_empty() => "it takes no parameters".into(),
                    None => format!("its parameters are {}", list(&all)),
                };
                self.report(d.with_help(help));
            }
        }
        let mut scope = Scope::default();
        scope.push();
        let mut failed = false;
        for p in &network.params {
            let given = self.options.set.iter().rev().find(|(n, _)| *n == p.name.name);
            let value = match given {
                Some((name, text)) => self.set_value(name, text, &p.ty.kind, sources, p.name.span),
                None => match &p.default {
                    Some(d) => {
                        self.frames.push(Frame::values(0, std::mem::take(&mut scope)));
                        let v = self.eval(d);
                        if let Some(f) = self.frames.pop() {
                            scope = f.scope;
                        }
                        v.and_then(|v| self.check_type(v, &p.ty.kind, d.span, &p.name.name))
                    }
                    None => {
                        let message = format!("parameter `{}` has no default and was not set", p.name.name);
                        let d = Diagnostic::error(Code::BadParameter, p.name.span, message);
                        Err(self.report(d.with_help(format!("give it with `--set {}=…`", p.name.name))))
                    }
                },
            };
            let Ok(mut value) = value else {
                failed = true;
                continue;
            };
            if let (Value::Int(v, _), TypeKind::Int | TypeKind::PerPlace) = (&value, &p.ty.kind) {
                let kind = SymbolKind::Param { value: *v };
                let s = self.program.symbols.push(Symbol { name: p.name.name.clone(), kind });
                value = Value::Int(*v, Some(Rc::new(Poly::symbol(s))));
            }
            if scope.get(&p.name.name).is_some() {
                self.error(
                    Code::DuplicateName,
                    p.name.span,
                    format!("two parameters are called `{}`", p.name.name),
                );
            }
            let _ = scope.declare(&p.name, scope::Entity::Value(value));
        }
        if failed { Err(Failed) } else { Ok(scope) }
    }

    fn set_value(
        &mut self,
        name: &str,
        text: &str,
        ty: &TypeKind,
        sources: &mut SourceMap,
        span: Span,
    ) -> Res<Value> {
        if *ty == TypeKind::String && !text.starts_with('"') {
            return Ok(Value::Str(text.into()));
        }
        let id = sources.add(format!("--set {name}"), text);
        let (expr, problems) = parse_expr(id, text);
        let bad = |e: &mut Self, why: String| {
            let d = Diagnostic::error(Code::BadParameter, span, format!("`--set {name}={text}`: {why}"));
            Err(e.report(d.with_help(format!("`{name}` is of type `{}`", type_text(ty)))))
        };
        let Some(expr) = expr else {
            return bad(self, problems.first().map_or(String::new(), |d| d.message.clone()));
        };
        self.frames.push(Frame::values(0, Scope::default()));
        self.scope().push();
        let before = self.diagnostics.len();
        let value = self.eval(&expr);
        let why = self.diagnostics.drain(before..).next().map(|d| d.message);
        self.frames.pop();
        match value {
            Ok(v) if v.fits(ty) => Ok(v),
            Ok(v) => bad(self, format!("expected `{}`, found {}", type_text(ty), v.type_name())),
            Err(Failed) => bad(self, why.unwrap_or_else(|| "not a value".into())),
        }
    }

    pub fn check_type(&mut self, v: Value, ty: &TypeKind, span: Span, name: &str) -> Res<Value> {
        if v.fits(ty) {
            return Ok(match (ty, v) {
                (TypeKind::Float, Value::Int(i, _)) => Value::Float(i as f64),
                (_, v) => v,
            });
        }
        let message = format!("`{name}` is of type `{}`, but this is {}", type_text(ty), v.type_name());
        Err(self.error(Code::TypeMismatch, span, message))
    }

    /// The element type is needed before the first literal, wherever `dtype` stands.
    fn choose_dtype(&mut self, body: &Block) {
        for s in &body.statements {
            if let crate::ast::StmtKind::DType(word) = &s.kind
                && let Some(d) = DType::parse(&word.name)
            {
                self.program.dtype = d;
                return;
            }
        }
    }

    fn finish(&mut self, network: &Callable) {
        if self.program.outputs.is_empty() && !self.diagnostics.iter().any(Diagnostic::is_error) {
            let d = Diagnostic::error(
                Code::NoOutput,
                network.name.span,
                format!("`{}` has no output", network.name.name),
            );
            self.report(d.with_help("add `output y[…] = …`"));
        }
        self.resolve_pending();
        self.check_logs();
        self.check_products();
        self.warn_unused();
    }

    /// Definitions are seen through, and what they stand for together has its limit.
    fn check_products(&mut self) {
        if self.diagnostics.iter().any(Diagnostic::is_error) {
            return;
        }
        let Some(node) = Definitions::of(&self.program).excess() else { return };
        let data = &self.program.nodes[node];
        let message = format!("the product `{}` has more than {MAX_FACTORS} factors", data.name);
        let d = Diagnostic::error(Code::TooManyItems, data.span, message);
        self.report(d.with_help(
            "its definitions are seen through: sum their legs first, or store parts by `let materialize`",
        ));
    }

    /// The logarithm of a constant zero is no number.
    fn check_logs(&mut self) {
        let numbers = tn_ir::definitions::numbers(&self.program);
        let zero = |o: &&Output| {
            let scaled = match &self.program.nodes[o.node].node {
                Node::Contract { scale, .. } => Some(*scale),
                _ => None,
            };
            let all = [numbers[o.node.0 as usize], scaled];
            o.log && all.contains(&Some(Complex64::new(0.0, 0.0)))
        };
        let found: Vec<_> =
            self.program.outputs.iter().filter(zero).map(|o| (o.name.clone(), o.span)).collect();
        for (name, span) in found {
            let d = Diagnostic::error(
                Code::BadConst,
                span,
                format!("`{name}` is always zero, which has no phase and no logarithm"),
            );
            self.report(d.with_help(format!("write `output {name}[] = …` without `: log`")));
        }
    }

    fn warn_unused(&mut self) {
        if self.diagnostics.iter().any(Diagnostic::is_error) {
            return;
        }
        let p = &self.program;
        let mut used = vec![false; p.nodes.len()];
        for o in &p.outputs {
            used[o.node.0 as usize] = true;
        }
        let mut leaf_used = vec![false; p.leaves.len()];
        for (id, data) in p.nodes.enumerate().rev() {
            if used[id.0 as usize] {
                p.uses(id).iter().for_each(|u| used[u.0 as usize] = true);
                if let tn_ir::program::Node::Leaf(l) = data.node {
                    leaf_used[l.0 as usize] = true;
                }
            }
        }
        let idle: Vec<_> = p
            .leaves
            .enumerate()
            .filter(|(id, l)| !leaf_used[id.0 as usize] && !matches!(l.role, tn_ir::program::Role::Const(_)))
            .map(|(_, l)| (l.name.clone(), l.span, matches!(l.role, tn_ir::program::Role::Param)))
            .collect();
        for (name, span, param) in idle {
            let what = if param { "parameter" } else { "input" };
            let d =
                Diagnostic::warning(Code::Unused, span, format!("{what} `{name}` does not reach any output"));
            self.report(d.with_help("use it or remove it"));
        }
    }
}

impl Frame {
    /// A frame for compile-time values only.
    pub fn values(module: usize, scope: Scope) -> Frame {
        Frame {
            scope,
            module,
            path: String::new(),
            mode: LeafMode::Param,
            kind: BodyKind::Topology,
            result: None,
            failed: false,
            body: None,
        }
    }
}
