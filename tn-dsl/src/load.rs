//! Files, imports, and what each file's top level means.

use crate::ast::{Callable, Expr, File, ItemKind, MapItem, Use};
use crate::diag::{Code, Diagnostic, did_you_mean, nearest};
use crate::parse::parse;
use crate::source::{MAX_SOURCE_BYTES, SourceMap};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tn_ir::span::{SourceId, Span};

/// The standard library: path of the module and its text.
const STD: [(&str, &str); 4] = [
    ("std", include_str!("../std/std.tn")),
    ("std::circuits", include_str!("../std/circuits.tn")),
    ("std::lattices", include_str!("../std/lattices.tn")),
    ("std::generators", include_str!("../std/generators.tn")),
];

/// How many names a help lists.
const SHOWN_NAMES: usize = 6;

/// Modules whose items `std::NAME` also finds.
const STD_ROOTS: [&str; 3] = ["std", "std::circuits", "std::lattices"];

/// Why nothing could be loaded at all.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Io(PathBuf, std::io::Error),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Io(path, e) => write!(f, "cannot read `{}`: {e}", path.display()),
        }
    }
}
impl std::error::Error for LoadError {}

/// A top-level item.
#[derive(Clone)]
pub enum Global {
    /// `const`
    Const(Arc<Expr>),
    /// `fn`
    Fn(Arc<Callable>),
    /// `map`
    Map(Arc<MapItem>),
    /// `topology`
    Topology(Arc<Callable>),
    /// `network`
    Network(Arc<Callable>),
}

/// An item and the module it stands in.
#[derive(Clone)]
pub struct GlobalRef {
    /// What.
    pub global: Global,
    /// Where its own names are looked up.
    pub module: usize,
    /// Its name's place.
    pub span: Span,
    /// Its documentation.
    pub doc: Arc<str>,
}

/// A file's top level.
#[derive(Default)]
pub struct Module {
    /// For library modules their path, for files their name.
    pub name: String,
    /// Names to items, imports included.
    pub names: HashMap<String, GlobalRef>,
    /// Own networks in source order.
    pub networks: Vec<String>,
    /// Part of the standard library.
    pub library: bool,
}

/// Everything that was read.
#[derive(Default)]
pub struct Loaded {
    /// Texts.
    pub sources: SourceMap,
    /// Modules; 0 is the file asked for.
    pub modules: Vec<Module>,
    /// Files read, the main one first.
    pub files: Vec<PathBuf>,
    /// What was wrong with them.
    pub diagnostics: Vec<Diagnostic>,
    /// The folder that data files are relative to.
    pub folder: PathBuf,
}

/// Loads a file and what it imports.
pub fn load_path(path: &Path) -> Result<Loaded, LoadError> {
    let bytes = read(path).map_err(|e| LoadError::Io(path.to_path_buf(), e))?;
    let mut loader = Loader::default();
    loader.out.folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    loader.file(path.to_path_buf(), bytes, None);
    Ok(loader.out)
}

/// Loads a text that stands in no file; file imports are relative to the current folder.
pub fn load_text(name: &str, text: &str) -> Loaded {
    let mut loader = Loader::default();
    loader.text(name.to_string(), text.to_string(), PathBuf::new(), vec![]);
    loader.out
}

#[derive(Default)]
struct Loader {
    out: Loaded,
    known: HashMap<String, usize>,
    /// Files being read, innermost last.
    open: Vec<PathBuf>,
    /// Where each module defines or imports its names.
    places: HashMap<(usize, String), Span>,
}

impl Loader {
    fn file(&mut self, path: PathBuf, bytes: Vec<u8>, importer: Option<Span>) -> usize {
        self.out.files.push(path.clone());
        let name = path.to_string_lossy().into_owned();
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut problems = vec![];
        let text = if bytes.len() > MAX_SOURCE_BYTES {
            problems.push((Code::SourceTooLong, format!("`{name}` is longer than 16 MiB")));
            String::new()
        } else {
            String::from_utf8(bytes).unwrap_or_else(|e| {
                let at = e.utf8_error().valid_up_to();
                problems.push((
                    Code::NotUtf8,
                    format!("`{name}` is not UTF-8: the byte at {at} is not part of a character"),
                ));
                // what can be read is shown
                String::from_utf8_lossy(&e.as_bytes()[..at]).into_owned()
            })
        };
        let broken = !problems.is_empty();
        let problems = problems
            .into_iter()
            .map(|(code, message)| {
                let here = SourceId(self.out.sources.iter().count() as u32);
                let end = text.len() as u32;
                let span = importer.unwrap_or(Span { source: here, start: end, end });
                Diagnostic::error(code, span, message).with_help("save it as UTF-8 text of at most 16 MiB")
            })
            .collect::<Vec<_>>();
        self.open.push(canonical(&path));
        let module = if broken {
            self.out.sources.add(name.clone(), text);
            self.out.diagnostics.extend(problems);
            self.add_module(name)
        } else {
            self.text(name, text, folder, vec![])
        };
        self.open.pop();
        module
    }

    fn add_module(&mut self, name: String) -> usize {
        self.out.modules.push(Module { name, ..Module::default() });
        self.out.modules.len() - 1
    }

    fn text(&mut self, name: String, text: String, folder: PathBuf, diagnostics: Vec<Diagnostic>) -> usize {
        let source = self.out.sources.add(name.clone(), text.clone());
        let (file, found) = parse(source, &text);
        self.out.diagnostics.extend(diagnostics.into_iter().chain(found));
        let module = self.add_module(name);
        self.own_items(module, &file);
        self.imports(module, &file, &folder);
        module
    }

    fn own_items(&mut self, module: usize, file: &File) {
        for item in &file.items {
            let (name, global) = match &item.kind {
                ItemKind::Use(_) => continue,
                ItemKind::Const { name, value } => (name, Global::Const(Arc::new(value.clone()))),
                ItemKind::Fn(c) => (&c.name, Global::Fn(Arc::new(c.clone()))),
                ItemKind::Map(m) => (&m.name, Global::Map(Arc::new(m.clone()))),
                ItemKind::Topology(c) => (&c.name, Global::Topology(Arc::new(c.clone()))),
                ItemKind::Network(c) => (&c.name, Global::Network(Arc::new(c.clone()))),
            };
            if matches!(global, Global::Network(_)) {
                self.out.modules[module].networks.push(name.name.clone());
            }
            let doc = item.doc.join("\n").trim().into();
            self.declare(module, &name.name, GlobalRef { global, module, span: name.span, doc }, name.span);
        }
    }

    /// Makes an item known by a name; `at` is where the user's file defines or imports it.
    fn declare(&mut self, module: usize, name: &str, item: GlobalRef, at: Span) {
        if let Some(old) = self.out.modules[module].names.get(name) {
            if old.span == item.span {
                return;
            }
            let imported = at != item.span;
            let what = if imported { "imported, but it is defined already" } else { "defined twice" };
            let d = Diagnostic::error(Code::DuplicateName, at, format!("`{name}` is {what}"));
            let first = self.places.get(&(module, name.to_string())).copied().unwrap_or(old.span);
            let d = d.with_related(first, "first here").with_help("rename one of them, or import with `as`");
            self.out.diagnostics.push(d);
            return;
        }
        self.out.modules[module].names.insert(name.to_string(), item);
        self.places.insert((module, name.to_string()), at);
    }

    fn imports(&mut self, module: usize, file: &File, folder: &Path) {
        for item in &file.items {
            let ItemKind::Use(u) = &item.kind else { continue };
            match u {
                Use::Path { prefix, names } => {
                    let path = prefix.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join("::");
                    for (name, rename) in names {
                        self.library_item(module, &path, name, rename.as_ref().unwrap_or(name));
                    }
                }
                Use::File { path, span } => self.file_import(module, folder, path, *span),
            }
        }
    }

    fn library_item(
        &mut self,
        module: usize,
        path: &str,
        name: &crate::ast::Ident,
        alias: &crate::ast::Ident,
    ) {
        let (alias, at) = (alias.name.as_str(), alias.span);
        let mut homes: Vec<&str> = if path == "std" { STD_ROOTS.to_vec() } else { vec![path] };
        homes.retain(|h| STD.iter().any(|(n, _)| n == h));
        if homes.is_empty() {
            let d = Diagnostic::error(
                Code::MissingImport,
                name.span,
                format!("there is no library module `{path}`"),
            );
            let near = did_you_mean(path, STD.iter().map(|s| s.0));
            let help = near.map_or("the modules are `std` and `std::generators`".to_string(), |n| {
                format!("did you mean `{n}`?")
            });
            self.out.diagnostics.push(d.with_help(help));
            return;
        }
        let mut all = vec![];
        for home in &homes {
            let lib = self.library(home);
            let own = self.out.modules[lib].names.iter().filter(|(_, g)| g.module == lib);
            if let Some((_, item)) = own.clone().find(|(n, _)| **n == name.name) {
                let item = item.clone();
                self.declare(module, alias, item, at);
                return;
            }
            // what is documented is meant for users; the rest are the library's own helpers
            all.extend(own.filter(|(_, g)| !g.doc.is_empty()).map(|(n, g)| {
                let topology = matches!(g.global, Global::Topology(_));
                (topology, n.clone())
            }));
        }
        all.sort_by(|a, b| a.1.cmp(&b.1));
        let d = Diagnostic::error(Code::MissingImport, name.span, format!("`{path}` has no `{}`", name.name));
        let near = did_you_mean(&name.name, all.iter().map(|(_, n)| n.as_str()));
        let topologies = all.iter().filter(|(topology, _)| *topology).map(|(_, n)| n.as_str());
        let help = near.map_or_else(
            || {
                let some: Vec<String> =
                    nearest(&name.name, topologies).into_iter().map(String::from).collect();
                let few = &some[..some.len().min(SHOWN_NAMES)];
                let dots = if some.len() > few.len() { ", …" } else { "" };
                format!("it has {}{dots}", list(few))
            },
            |n| format!("did you mean `{n}`?"),
        );
        self.out.diagnostics.push(d.with_help(help));
    }

    fn library(&mut self, path: &str) -> usize {
        if let Some(&m) = self.known.get(path) {
            return m;
        }
        let text = STD.iter().find(|(n, _)| *n == path).map_or("", |s| s.1);
        let file = format!("<{}>.tn", path.replace("::", "/"));
        let module = self.text(file, text.to_string(), PathBuf::new(), vec![]);
        self.out.modules[module].library = true;
        self.known.insert(path.to_string(), module);
        module
    }

    fn file_import(&mut self, module: usize, folder: &Path, path: &str, span: Span) {
        let full = folder.join(path);
        let key = canonical(&full);
        if self.open.contains(&key) {
            let d = Diagnostic::error(
                Code::ImportCycle,
                span,
                format!("`{path}` is imported while it is being read"),
            );
            self.out.diagnostics.push(d.with_help("move what both files need into a third one"));
            return;
        }
        let id = key.to_string_lossy().into_owned();
        let other = match self.known.get(&id) {
            Some(&m) => m,
            None => match read(&full) {
                Ok(bytes) => {
                    let m = self.file(full, bytes, Some(span));
                    self.known.insert(id, m);
                    m
                }
                Err(e) => {
                    let d =
                        Diagnostic::error(Code::MissingImport, span, format!("cannot read `{path}`: {e}"));
                    self.out.diagnostics.push(d.with_help("file imports are relative to the importing file"));
                    return;
                }
            },
        };
        // its own items, but not its networks and not what it imported
        let mut items: Vec<(String, GlobalRef)> = self.out.modules[other]
            .names
            .iter()
            .filter(|(_, g)| g.module == other && !matches!(g.global, Global::Network(_)))
            .map(|(n, g)| (n.clone(), g.clone()))
            .collect();
        items.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, item) in items {
            self.declare(module, &name, item, span);
        }
    }
}

/// The bytes of a file, as far as one of too many is known for it: it may have no end.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Backticked names with commas.
pub(crate) fn list(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}
