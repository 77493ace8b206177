//! Identifiers for things with names of their own.
//!
//! A name is made of letters, digits and `_`; a name that is reserved or taken gets the first free suffix `_2`, `_3`, …
//! So names depend on the order of requests only.

use std::collections::BTreeSet;

/// Words that no identifier may be, in Rust, C or C++.
const RESERVED: &[&str] = &[
    "NULL",
    "Self",
    "_Bool",
    "abstract",
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "as",
    "asm",
    "async",
    "auto",
    "await",
    "become",
    "bitand",
    "bitor",
    "bool",
    "box",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "crate",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dyn",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "final",
    "float",
    "fn",
    "for",
    "friend",
    "gen",
    "goto",
    "if",
    "impl",
    "in",
    "inline",
    "int",
    "let",
    "long",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "override",
    "priv",
    "private",
    "protected",
    "pub",
    "public",
    "ref",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "self",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "super",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "trait",
    "true",
    "try",
    "type",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "union",
    "unsafe",
    "unsigned",
    "unsized",
    "use",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "where",
    "while",
    "xor",
    "xor_eq",
    "yield",
];

/// Gives out identifiers, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namer {
    taken: BTreeSet<String>,
}

impl Namer {
    /// A namer in which some names are taken already.
    pub(crate) fn with(taken: &[&str]) -> Namer {
        Namer { taken: taken.iter().map(|s| s.to_string()).collect() }
    }
    /// A new identifier that looks like `wish`.
    pub(crate) fn fresh(&mut self, wish: &str) -> String {
        let base = identifier(wish);
        let mut name = base.clone();
        let mut n = 1;
        while RESERVED.contains(&name.as_str()) || self.taken.contains(&name) {
            n += 1;
            name = format!("{base}_{n}");
        }
        self.taken.insert(name.clone());
        name
    }
}

/// Letters, digits and `_`, not beginning with a digit: `psi.core` → `psi_core`.
pub(crate) fn identifier(wish: &str) -> String {
    let mut out = String::new();
    for c in wish.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !out.ends_with('_') {
            out.push(c);
        }
    }
    let out = out.trim_end_matches('_');
    match out.chars().next() {
        None => "unnamed".into(),
        Some(c) if c.is_ascii_digit() => format!("n{out}"),
        _ => out.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_and_never_reserved() {
        let mut n = Namer::with(&["params"]);
        assert_eq!(n.fresh("psi.core"), "psi_core");
        assert_eq!(n.fresh("psi.core"), "psi_core_2");
        assert_eq!(n.fresh("fn"), "fn_2");
        assert_eq!(n.fresh("params"), "params_2");
        assert_eq!(n.fresh("3x"), "n3x");
        assert_eq!(n.fresh("é"), "unnamed");
    }
}
