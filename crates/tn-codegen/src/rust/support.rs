//! What a generated module needs besides its kernels: the element type, functions, checks, cuts of arrays.

use super::{Names, Runtime};
use crate::EmitError;
use std::collections::BTreeSet;
use tn_kernel::Module;

/// What the printed text refers to.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    functions: BTreeSet<&'static str>,
}

impl Wanted {
    /// Notes the use of a function.
    pub(super) fn function(&mut self, name: &'static str) {
        self.functions.insert(name);
    }
    /// A constant of the element type.
    pub(super) fn constant(&self, names: &Names, re: f64, im: f64) -> String {
        if names.elem == names.real {
            real(names.real, re)
        } else {
            format!("{}::new({}, {})", names.elem, real(names.real, re), real(names.real, im))
        }
    }
    /// A real expression as an element of a complex network.
    pub(super) fn lifted(&self, names: &Names, text: &str) -> String {
        format!("{}::new({text}, 0.0)", names.elem)
    }
}

/// A literal of a real type.
pub(super) fn real(ty: &str, x: f64) -> String {
    let x = if ty == "f32" { f64::from(x as f32) } else { x };
    if x.is_nan() {
        format!("{ty}::NAN")
    } else if x.is_infinite() {
        format!("{ty}::{}", if x > 0.0 { "INFINITY" } else { "NEG_INFINITY" })
    } else if ty == "f32" {
        format!("{:?}", x as f32)
    } else {
        format!("{x:?}")
    }
}

const CHECKS: &str = r#"
fn check(name: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { name, expected, found }) }
}
fn check_at_least(name: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found >= expected { Ok(()) } else { Err(Error::Length { name, expected, found }) }
}
"#;

/// An item of the runtime's texts.
struct Item {
    name: String,
    /// The complex type or one of its operators.
    complex: bool,
    text: String,
}

/// The items of the runtime, each with its text: functions become private and lose their documentation.
fn library() -> Result<Vec<Item>, EmitError> {
    let mut all = Vec::new();
    // Callers before what they call.
    for source in tn_runtime::SOURCES.iter().rev() {
        let file = syn::parse_file(source).map_err(|e| EmitError::Syntax(e.to_string()))?;
        for mut item in file.items {
            let (name, complex) = match &mut item {
                syn::Item::Fn(f) => {
                    f.vis = syn::Visibility::Inherited;
                    f.attrs.retain(|a| !a.path().is_ident("doc"));
                    (f.sig.ident.to_string(), false)
                }
                _ => (String::new(), true),
            };
            let text = prettyplease::unparse(&syn::File { shebang: None, attrs: vec![], items: vec![item] });
            all.push(Item { name, complex, text });
        }
    }
    Ok(all)
}

/// The names of `all` that are wanted, and of what they call.
fn closure(wanted: &BTreeSet<&'static str>, all: &[Item]) -> BTreeSet<String> {
    let mut need: BTreeSet<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
    let mut todo: Vec<String> = need.iter().cloned().collect();
    while let Some(name) = todo.pop() {
        let texts = all.iter().filter(|i| i.name == name).map(|i| &i.text);
        for word in texts.flat_map(|t| words(t)) {
            if all.iter().any(|i| i.name == word) && need.insert(word.to_owned()) {
                todo.push(word.to_owned());
            }
        }
    }
    need
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| !w.is_empty())
}

/// Replaces whole words.
fn replace_words(text: &str, words: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let found = words.iter().find(|(w, _)| *w == word);
        out.push_str(found.map_or(word.as_str(), |(_, to)| to));
        word.clear();
        out.push(c);
    }
    out
}

/// The text of everything that is wanted: definitions, or imports of `tn-runtime`.
pub(super) fn text(
    wanted: &Wanted,
    m: &Module,
    names: &Names,
    runtime: Runtime,
) -> Result<String, EmitError> {
    let mut out = String::new();
    if !m.entries.is_empty() {
        out.push_str(CHECKS);
    }
    let complex = names.elem != names.real;
    if runtime == Runtime::Crate {
        let own = ["cut", "part", "cut_family", "of_family"];
        let (slices, functions): (Vec<&str>, Vec<&str>) =
            wanted.functions.iter().partition(|f| own.contains(f));
        let (fused, functions): (Vec<&str>, Vec<&str>) =
            functions.into_iter().partition(|f| *f == "times_plus");
        let (streams, functions): (Vec<&str>, Vec<&str>) =
            functions.into_iter().partition(|f| ["stream", "settle"].contains(f));
        let draws = ["drawn_normal", "drawn_normals", "drawn_uniform", "orthonormalise"];
        let (drawn, functions): (Vec<&str>, Vec<&str>) =
            functions.into_iter().partition(|f| draws.contains(f));
        if !m.kernels.is_empty() {
            out.push_str("use tn_runtime::multiversion;\n");
        }
        let mut functions: Vec<String> = functions.into_iter().map(str::to_owned).collect();
        let module = if names.real == "f32" { "single" } else { "double" };
        if complex {
            out.push_str(&format!("pub use tn_runtime::{module}::Cx as {};\n", names.elem));
        }
        functions.sort();
        for (from, what) in [
            (module, functions.join(", ")),
            ("slices", slices.join(", ")),
            ("fused", fused.join(", ")),
            ("stream", streams.join(", ")),
            ("random", drawn.join(", ")),
        ] {
            if !what.is_empty() {
                out.push_str(&format!("use tn_runtime::{from}::{{{what}}};\n"));
            }
        }
        return Ok(out);
    }
    let all = library()?;
    let need = closure(&wanted.functions, &all);
    let named = [("Cx", names.elem), ("Real", names.real)];
    for item in &all {
        if item.complex && complex || need.contains(&item.name) {
            out.push_str(&replace_words(&item.text, &named));
        }
    }
    Ok(out)
}
