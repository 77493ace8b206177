//! The same module for callers in C, and in whatever calls C: a header, a crate that exports the entries, and its manifest.
//!
//! C has no slices, so lengths are not given but follow from the run-time sizes; only the workspace, of which a caller may have more than is needed, comes with its
//! length. Families of inputs are arrays of pointers. A status is returned; nothing is written unless it is 0.

use super::entry::{self, saturating};
use super::{Names, Runtime, api, init};
use crate::EmittedFile;
use crate::printer::Printer;
use tn_ir::size::{Poly, SymbolKind};
use tn_kernel::Module;
use tn_kernel::module::Family;
use tn_plan::ir::EntryKind;

/// What a function returns, with its text in the header.
const STATUS: [(&str, &str); 4] = [
    ("OK", "Done."),
    ("NULL", "A pointer to something that is not empty is null, or no memory holds what it should point to."),
    ("SIZE", "A run-time size is out of range."),
    ("LENGTH", "The workspace is too short."),
];

/// A field of a structure of pointers.
struct Field {
    name: String,
    /// Lengths, one for each member; a single array has one.
    lens: Vec<Poly>,
    /// Whether it is an array of pointers.
    is_family: bool,
    shape: String,
}

/// A structure of pointers of the header.
struct Structure {
    /// `Inputs`, as in the module.
    rust: &'static str,
    /// `inputs`, as in the header.
    c: &'static str,
    is_written: bool,
    fields: Vec<Field>,
}

struct CAbi<'a> {
    m: &'a Module,
    names: &'a Names,
    /// Of the module and before every exported name.
    stem: &'a str,
    /// The C type of an element.
    elem: String,
    structures: Vec<Structure>,
}

/// The header, the crate and its manifest around the module `stem`; `header` is the comment that begins the first.
pub(super) fn files(
    m: &Module,
    names: &Names,
    stem: &str,
    runtime: Runtime,
    header: &str,
) -> Vec<EmittedFile> {
    let elem = if names.elem == names.real { c_real(names).to_owned() } else { format!("{stem}_complex") };
    let abi = CAbi { m, names, stem, elem, structures: structures(m, names) };
    let file = |name: String, text: String| EmittedFile { name, text };
    let has_init = init::is_possible(m);
    vec![
        file(format!("{stem}.h"), format!("{}{}", in_c(header), abi.header(has_init))),
        file(format!("{stem}_c.rs"), abi.exports(has_init)),
        file("Cargo.toml".into(), manifest(stem, runtime)),
    ]
}

fn c_real(names: &Names) -> &'static str {
    if names.real == "f32" { "float" } else { "double" }
}

fn manifest(stem: &str, runtime: Runtime) -> String {
    let needs = match runtime {
        Runtime::Embedded => String::new(),
        Runtime::Crate => format!(
            "\n[dependencies]\n# add `path = \"…\"` where the crate is not in your registry\ntn-runtime = {{ version = \"{}\", features = [\"std\"] }}\n",
            env!("CARGO_PKG_VERSION")
        ),
    };
    format!(
        "# `cargo build --release` makes a shared and a static library; `{stem}.h` declares what they export.\n\
         [package]\nname = \"{stem}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [lib]\npath = \"{stem}_c.rs\"\ncrate-type = [\"cdylib\", \"staticlib\"]\n\n[profile.release]\npanic = \"abort\"\n{needs}"
    )
}

fn structures(m: &Module, names: &Names) -> Vec<Structure> {
    let legs = |axes: &[tn_ir::program::FoldAxis]| axes.iter().map(|a| a.legs).collect::<Vec<u32>>();
    let families = |all: &[Family], fields: &[String]| {
        let one = |(f, name): (&Family, &String)| {
            let leaf = &m.leaves[f.leaves[0] as usize];
            Field {
                name: name.clone(),
                lens: f.leaves.iter().map(|&l| m.leaf_len(l)).collect(),
                is_family: f.subscripted,
                shape: api::shape_doc(m, &leaf.name, &leaf.dims, &legs(&leaf.axes)),
            }
        };
        all.iter().zip(fields).map(one).collect::<Vec<_>>()
    };
    let outputs = || {
        let one = |(i, name): (usize, &String)| {
            let o = &m.outputs[i];
            let (lens, shape) =
                (vec![m.output_len(i as u32)], api::shape_doc(m, &o.name, &o.dims, &legs(&o.axes)));
            Field { name: name.clone(), lens, is_family: false, shape }
        };
        names.outputs.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    let kinds = m.kinds();
    let has = |k: EntryKind| kinds.contains(&k);
    let mut all = Vec::new();
    let mut add = |wanted: bool, rust, c, is_written, fields: Vec<Field>| {
        if wanted && !fields.is_empty() {
            all.push(Structure { rust, c, is_written, fields });
        }
    };
    add(true, "Inputs", "inputs", false, families(&m.inputs, &names.inputs));
    add(kinds.iter().any(|k| *k != EntryKind::Vjp), "Outputs", "outputs", true, outputs());
    add(has(EntryKind::Vjp), "Cotangents", "cotangents", false, outputs());
    add(has(EntryKind::Vjp), "InputGrads", "input_grads", true, families(&m.grads, &names.grads));
    all
}

/// An argument of an entry.
enum Argument<'a> {
    Sizes,
    /// A flat array: its name, whether it is written, its length.
    Flat(&'static str, bool, Length),
    Structure(&'static str, &'a Structure),
    Workspace,
}

enum Length {
    Params,
    Saved,
}

impl CAbi<'_> {
    fn arguments(&self, kind: EntryKind) -> Vec<Argument<'_>> {
        let find = |name: &str| self.structures.iter().find(|s| s.rust == name);
        let all = entry::arguments(self.m, kind, self.names.elem);
        let one = |(name, ty): (&'static str, String)| match name {
            "sizes" => Some(Argument::Sizes),
            "workspace" => Some(Argument::Workspace),
            "params" | "tan_params" | "grad_params" => {
                Some(Argument::Flat(name, ty.starts_with("&mut"), Length::Params))
            }
            "saved" => Some(Argument::Flat(name, ty.starts_with("&mut"), Length::Saved)),
            _ => {
                let of = ty.trim_start_matches("&mut ").trim_start_matches('&').trim_end_matches("<'_>");
                find(of).map(|s| Argument::Structure(name, s))
            }
        };
        all.into_iter().filter_map(one).collect()
    }

    fn header(&self, has_init: bool) -> String {
        let (m, stem, upper) = (self.m, self.stem, self.stem.to_uppercase());
        let mut p = Printer::default();
        p.line(format!("#ifndef {upper}_H\n#define {upper}_H\n\n#include <stddef.h>\n#include <stdint.h>\n"));
        p.line("#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
        p.line("/* What every function returns. Nothing is written unless it is 0. */");
        let status = STATUS.iter().enumerate();
        let rows: Vec<String> =
            status.map(|(k, (name, text))| format!("    /* {text} */\n    {upper}_{name} = {k}")).collect();
        p.line(format!("enum {{\n{}\n}};\n", rows.join(",\n")));
        if self.names.elem != self.names.real {
            let real = c_real(self.names);
            p.line(format!(
                "/* A complex number, as `{real} _Complex` and `std::complex<{real}>` lie in memory. */"
            ));
            p.line(format!("typedef struct {{ {real} re, im; }} {};\n", self.elem));
        }
        if !m.sizes.is_empty() {
            p.line("/* The run-time sizes. */");
            p.open(format!("typedef struct {stem}_sizes"));
            for s in &m.sizes {
                let most = match m.symbols[*s].kind {
                    SymbolKind::Dyn { max: Some(max), .. } => format!(", at most {max}"),
                    _ => String::new(),
                };
                p.line(format!("/* At least 1{most}. */"));
                p.line(format!("size_t {};", self.names.sizes[s]));
            }
            p.close(&format!(" {stem}_sizes;\n"));
        }
        p.line("/* Elements of the flat parameters; each has a place of its own: */");
        for (i, leaf) in m.leaves.iter().enumerate() {
            if let (Some(at), tn_ir::dag::ArrayRole::Param) = (m.flat_offsets[i], &leaf.role) {
                let legs: Vec<u32> = leaf.axes.iter().map(|a| a.legs).collect();
                p.line(format!(
                    "/*   from {at}: {} */",
                    comment(&api::shape_doc(m, &leaf.name, &leaf.dims, &legs))
                ));
            }
        }
        p.line(format!("#define {upper}_PARAM_COUNT {}\n", m.param_count));
        for (name, text) in self.lengths() {
            p.line(format!("/* {text} */"));
            match m.sizes.is_empty() {
                true => p.line(format!("size_t {stem}_{name}(void);\n")),
                false => p.line(format!("size_t {stem}_{name}({stem}_sizes sizes);\n")),
            }
        }
        for s in &self.structures {
            let constant = if s.is_written { "" } else { "const " };
            p.open(format!("typedef struct {stem}_{}", s.c));
            for f in &s.fields {
                let members = if f.is_family { format!("[{}]", f.lens.len()) } else { String::new() };
                p.line(format!("/* {} */", comment(&f.shape)));
                p.line(format!("{constant}{} *{}{members};", self.elem, f.name));
            }
            p.close(&format!(" {stem}_{};\n", s.c));
        }
        if has_init {
            p.line("/* Fills the flat parameters with initial values by the network's rules. */");
            p.line(format!("int {stem}_init(uint64_t seed, {} *params);\n", self.elem));
        }
        for kind in m.kinds() {
            for line in entry::summary(kind).split(". ") {
                p.line(format!("/* {}. */", comment(line.trim_end_matches('.'))));
            }
            p.line("/* Arrays are row-major; none that is written overlaps another one. */");
            let args: Vec<String> = self.arguments(kind).iter().map(|a| self.c_argument(a)).collect();
            p.line(format!("int {stem}_{}({});\n", entry::name(kind), args.join(", ")));
        }
        p.line("#ifdef __cplusplus\n}\n#endif\n\n#endif");
        p.finish()
    }

    fn lengths(&self) -> Vec<(&'static str, &'static str)> {
        let mut out = vec![("workspace_len", "Elements of workspace that every entry is content with.")];
        if self.m.kinds().iter().any(|k| matches!(k, EntryKind::ForwardSaving | EntryKind::Vjp)) {
            out.push(("saved_len", "Elements that `forward_saving` leaves for `vjp`."));
        }
        out
    }

    fn c_argument(&self, a: &Argument<'_>) -> String {
        let (stem, elem) = (self.stem, &self.elem);
        match a {
            Argument::Sizes => format!("{stem}_sizes sizes"),
            Argument::Flat(name, true, _) => format!("{elem} *{name}"),
            Argument::Flat(name, false, _) => format!("const {elem} *{name}"),
            Argument::Structure(name, s) => format!("const {stem}_{} *{name}", s.c),
            Argument::Workspace => format!("{elem} *workspace, size_t workspace_len"),
        }
    }

    fn exports(&self, has_init: bool) -> String {
        let (m, stem) = (self.m, self.stem);
        let mut p = Printer::default();
        let elem = match self.names.elem == self.names.real {
            true => self.names.elem.to_owned(),
            false => format!("module::{}", self.names.elem),
        };
        p.line(
            "//! What the header declares. Pointers become slices of the lengths that the header states.\n",
        );
        p.line("#![allow(non_camel_case_types, non_snake_case, clippy::all)]\n");
        p.line(format!("#[path = \"{stem}.rs\"]\nmod module;\n"));
        let status = STATUS.iter().enumerate().map(|(k, (name, _))| format!("const {name}: i32 = {k};"));
        p.line(status.collect::<Vec<_>>().join("\n"));
        p.line("\nfn status(done: Result<(), module::Error>) -> i32 {\n    match done {\n        Ok(()) => OK,\n        Err(module::Error::Size { .. }) => SIZE,\n        Err(module::Error::Length { .. }) => LENGTH,\n    }\n}\n");
        p.line("unsafe fn read<'a, T>(from: *const T, len: usize) -> Option<&'a [T]> {\n    if len == 0 {\n        return Some(&[]);\n    }\n    if from.is_null() || len > isize::MAX as usize / size_of::<T>() { None } else { Some(unsafe { core::slice::from_raw_parts(from, len) }) }\n}\n");
        p.line("unsafe fn write<'a, T>(to: *mut T, len: usize) -> Option<&'a mut [T]> {\n    if len == 0 {\n        return Some(&mut []);\n    }\n    if to.is_null() || len > isize::MAX as usize / size_of::<T>() { None } else { Some(unsafe { core::slice::from_raw_parts_mut(to, len) }) }\n}\n");
        if !m.sizes.is_empty() {
            p.line("#[repr(C)]\n#[derive(Clone, Copy)]");
            p.open("pub struct Sizes");
            m.sizes.iter().for_each(|s| p.line(format!("{}: usize,", self.names.sizes[s])));
            p.close("\n");
            p.open("impl Sizes");
            p.open("fn checked(self) -> Option<module::Sizes>");
            let fields: Vec<String> =
                m.sizes.iter().map(|s| format!("{0}: self.{0}", self.names.sizes[s])).collect();
            p.line(format!("let sizes = module::Sizes {{ {} }};", fields.join(", ")));
            p.line("sizes.check().ok().map(|()| sizes)");
            p.close("");
            p.close("\n");
        }
        for s in &self.structures {
            let pointer = if s.is_written { "*mut" } else { "*const" };
            p.line("#[repr(C)]");
            p.open(format!("pub struct {}", s.rust));
            for f in &s.fields {
                match f.is_family {
                    true => p.line(format!("{}: [{pointer} {elem}; {}],", f.name, f.lens.len())),
                    false => p.line(format!("{}: {pointer} {elem},", f.name)),
                }
            }
            p.close("\n");
        }
        for (name, _) in self.lengths() {
            p.line("#[unsafe(no_mangle)]");
            match m.sizes.is_empty() {
                true => p.line(format!("pub extern \"C\" fn {stem}_{name}() -> usize {{\n    module::{}\n}}\n", name.to_uppercase())),
                false => p.line(format!("pub extern \"C\" fn {stem}_{name}(sizes: Sizes) -> usize {{\n    sizes.checked().map_or(0, module::{name})\n}}\n")),
            }
        }
        if has_init {
            p.line("#[unsafe(no_mangle)]");
            p.open(format!("pub unsafe extern \"C\" fn {stem}_init(seed: u64, params: *mut {elem}) -> i32"));
            p.line(
                "let Some(params) = (unsafe { write(params, module::PARAM_COUNT) }) else { return NULL };",
            );
            p.line("status(module::init(seed, params))");
            p.close("\n");
        }
        for kind in m.kinds() {
            self.export(&mut p, kind, &elem);
        }
        p.finish()
    }

    fn export(&self, p: &mut Printer, kind: EntryKind, elem: &str) {
        let (m, stem, name) = (self.m, self.stem, entry::name(kind));
        let args = self.arguments(kind);
        let typed: Vec<String> = args
            .iter()
            .map(|a| match a {
                Argument::Sizes => "sizes: Sizes".into(),
                Argument::Flat(name, true, _) => format!("{name}: *mut {elem}"),
                Argument::Flat(name, false, _) => format!("{name}: *const {elem}"),
                Argument::Structure(name, s) => format!("{name}: *const {}", s.rust),
                Argument::Workspace => format!("workspace: *mut {elem}, workspace_len: usize"),
            })
            .collect();
        p.line("#[unsafe(no_mangle)]");
        p.open(format!("pub unsafe extern \"C\" fn {stem}_{name}({}) -> i32", typed.join(", ")));
        if !m.sizes.is_empty() {
            p.line("let Some(sizes) = sizes.checked() else { return SIZE };");
            for s in &m.sizes {
                let n = &self.names.sizes[s];
                p.line(format!("#[allow(unused_variables)]\nlet {n} = sizes.{n};"));
            }
        }
        p.open("let called = ||");
        let mut passed: Vec<String> = Vec::new();
        for a in &args {
            match a {
                Argument::Sizes => passed.push("sizes".into()),
                Argument::Flat(name, is_written, len) => {
                    let len = match (len, m.sizes.is_empty()) {
                        (Length::Params, _) => "module::PARAM_COUNT",
                        (Length::Saved, true) => "module::SAVED_LEN",
                        (Length::Saved, false) => "module::saved_len(sizes)",
                    };
                    let how = if *is_written { "write" } else { "read" };
                    p.line(format!("let {name} = unsafe {{ {how}({name}, {len}) }}?;"));
                    passed.push((*name).into());
                }
                Argument::Structure(name, s) => {
                    let how = if s.is_written { "write" } else { "read" };
                    p.line(format!("let {name} = unsafe {{ {name}.as_ref() }}?;"));
                    let one = |at: String, len: &Poly| {
                        format!("unsafe {{ {how}({name}.{at}, {}) }}?", saturating(len, self.names))
                    };
                    let fields: Vec<String> = s
                        .fields
                        .iter()
                        .map(|f| match f.is_family {
                            false => format!("{}: {}", f.name, one(f.name.clone(), &f.lens[0])),
                            true => {
                                let parts = f
                                    .lens
                                    .iter()
                                    .enumerate()
                                    .map(|(i, l)| one(format!("{}[{i}]", f.name), l));
                                format!("{}: [{}]", f.name, parts.collect::<Vec<_>>().join(", "))
                            }
                        })
                        .collect();
                    let mutable = if s.is_written { "mut " } else { "" };
                    p.line(format!("let {mutable}{name} = module::{} {{ {} }};", s.rust, fields.join(", ")));
                    passed.push(format!("&{mutable}{name}"));
                }
                Argument::Workspace => {
                    p.line("let workspace = unsafe { write(workspace, workspace_len) }?;");
                    passed.push("workspace".into());
                }
            }
        }
        p.line(format!("Some(module::{name}({}))", passed.join(", ")));
        p.close(";");
        p.line("called().map_or(NULL, status)");
        p.close("\n");
    }
}

/// Comments to the end of a line as comments of C89.
fn in_c(comments: &str) -> String {
    let one = |line: &str| match line.strip_prefix("//") {
        Some(text) => format!("/*{} */\n", comment(text)),
        None => format!("{line}\n"),
    };
    comments.lines().map(one).collect()
}

/// A text within a comment of C.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace("[`", "`").replace("`]", "`").replace('\n', " ")
}
