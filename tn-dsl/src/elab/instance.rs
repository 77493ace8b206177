//! Einsum strings and JSON instances: the same programs without the language.

use crate::diag::{Code, Diagnostic};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use tn_ir::Complex64;
use tn_ir::dtype::DType;
use tn_ir::program::*;
use tn_ir::size::Size;
use tn_ir::span::Span;

/// Where a fault of an instance is.
enum At<'a> {
    /// Of an input, the leg.
    Input(usize, usize),
    /// Of the output.
    Output(usize),
    /// The size of an index, first met as this leg of this input.
    Size(&'a str, usize, usize),
}

/// Some bytes of the only text.
fn span(from: usize, len: usize) -> Span {
    let byte = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { start: byte(from), end: byte(from + len), ..Span::default() }
}

/// `ab,bc->ac`; without `->`, the indices that occur once, in alphabetical order. Every letter is an index.
///
/// # Errors
/// What is wrong; spans are of the equation, as the first source.
pub fn einsum(equation: &str, sizes: &[(String, u64)], dtype: DType) -> Result<Program, Diagnostic> {
    let bad = |at: Span, message: String, help: &str| {
        Diagnostic::error(Code::BadInstance, at, message).with_help(help)
    };
    if let Some(at) = equation.find("...") {
        return Err(bad(span(at, 3), "`...` in an einsum".into(), "write the indices out"));
    }
    let arrow = equation.find("->");
    let (left, right) = match arrow {
        Some(at) => (&equation[..at], Some(&equation[at + 2..])),
        None => (equation, None),
    };
    // letters with the byte where they stand
    let letters = |t: &str, from: usize| -> Vec<(usize, char)> {
        t.char_indices().filter(|(_, c)| !c.is_whitespace()).map(|(at, c)| (from + at, c)).collect()
    };
    let mut begin = 0;
    let mut inputs = vec![];
    for term in left.split(',') {
        inputs.push(letters(term, begin));
        begin += term.len() + 1;
    }
    let stated = right.map(|r| letters(r, equation.len() - r.len()));
    let strange = inputs.iter().chain(&stated).flatten().find(|(_, c)| !c.is_alphanumeric() && *c != '_');
    if let Some(&(at, c)) = strange {
        return Err(bad(span(at, c.len_utf8()), format!("`{c}` is no index"), "as in `ab,bc->ac`"));
    }
    let names = |l: &Vec<(usize, char)>| l.iter().map(|(_, c)| c.to_string()).collect::<Vec<_>>();
    let words: Vec<Vec<String>> = inputs.iter().map(names).collect();
    let output = match &stated {
        Some(r) => names(r),
        None => {
            let mut counts: BTreeMap<&String, u32> = BTreeMap::new();
            words.iter().flatten().for_each(|i| *counts.entry(i).or_default() += 1);
            counts.into_iter().filter(|(_, n)| *n == 1).map(|(i, _)| i.clone()).collect()
        }
    };
    let sizes: HashMap<&str, u64> = sizes.iter().map(|(i, n)| (i.as_str(), *n)).collect();
    let place = |at: At<'_>| {
        let letter = match at {
            At::Input(k, j) | At::Size(_, k, j) => inputs.get(k).and_then(|t| t.get(j)),
            At::Output(j) => stated.as_ref().and_then(|t| t.get(j)),
        };
        letter.map_or_else(Span::default, |&(at, c)| span(at, c.len_utf8()))
    };
    build("einsum", &words, &output, &sizes, dtype, place)
}

/// The name of an index: a string, or a number as it is written.
#[derive(PartialEq, Eq, Hash)]
struct Word<'a>(Cow<'a, str>);

impl AsRef<str> for Word<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Word<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of an index")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(v.to_owned())))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(v.to_string())))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(v.to_string())))
            }
        }
        d.deserialize_any(Name)
    }
}

/// An instance as its file states it; whatever else the file has is not looked at.
#[derive(serde::Deserialize)]
struct Instance<'a> {
    #[serde(borrow)]
    inputs: Vec<Vec<Word<'a>>>,
    #[serde(borrow)]
    output: Vec<Word<'a>>,
    #[serde(borrow)]
    sizes: Sizes<'a>,
}

/// The lengths of the indices by name. A name with two lengths is an error.
struct Sizes<'a>(HashMap<Word<'a>, u64>);

impl<'de: 'a, 'a> Deserialize<'de> for Sizes<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Sizes<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with the size of every index")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sizes<'de>, A::Error> {
                let mut sizes = HashMap::new();
                while let Some((name, size)) = map.next_entry::<Word<'de>, u64>()? {
                    match sizes.entry(name) {
                        Entry::Occupied(other) if *other.get() != size => {
                            let (name, other) = (other.key().as_ref(), other.get());
                            let message = format!("index `{name}` has the sizes `{other}` and `{size}`");
                            return Err(A::Error::custom(message));
                        }
                        Entry::Occupied(_) => {}
                        Entry::Vacant(free) => {
                            free.insert(size);
                        }
                    }
                }
                Ok(Sizes(sizes))
            }
        }
        d.deserialize_map(Object)
    }
}

/// An instance with the texts of its names and sizes, to find where they stand.
#[derive(serde::Deserialize)]
struct Texts<'a> {
    #[serde(borrow)]
    inputs: Vec<Vec<&'a RawValue>>,
    #[serde(borrow)]
    output: Vec<&'a RawValue>,
    #[serde(borrow)]
    sizes: HashMap<String, &'a RawValue>,
}

/// Where something stands in the text of an instance that can be read.
fn place_in(text: &str, at: At<'_>) -> Span {
    let Ok(texts) = serde_json::from_str::<Texts<'_>>(text) else { return Span::default() };
    let input = |k: usize, j: usize| texts.inputs.get(k).and_then(|t| t.get(j));
    let found = match at {
        At::Input(k, j) => input(k, j),
        At::Output(j) => texts.output.get(j),
        At::Size(name, k, j) => texts.sizes.get(name).or_else(|| input(k, j)),
    };
    // a raw value is a part of the text
    let from = |raw: &RawValue| raw.get().as_ptr() as usize - text.as_ptr() as usize;
    found.map_or_else(Span::default, |raw| span(from(raw), raw.get().len()))
}

/// The byte of a line and column as the JSON reader counts them: from 1, columns in bytes.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let begin: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (begin + column.saturating_sub(1)).min(text.len().saturating_sub(1))
}

/// `{"inputs": [["i","j"],…], "output": […], "sizes": {"i": 2,…}}`
///
/// # Errors
/// What is wrong; spans are of the text, as the first source.
pub fn instance_json(name: &str, text: &str, dtype: DType) -> Result<Program, Diagnostic> {
    let bad = |e: serde_json::Error| {
        let place = format!(" at line {} column {}", e.line(), e.column());
        let why = e.to_string().replace(&place, "");
        let message = match e.classify() {
            Category::Data => format!("`{name}` is no instance: {why}"),
            _ => format!("`{name}` is not JSON: {why}"),
        };
        let at = span(byte_of(text, e.line(), e.column()), 1);
        Diagnostic::error(Code::BadInstance, at, message)
            .with_help(r#"an instance is `{"inputs": [["i","j"],…], "output": […], "sizes": {"i": 2,…}}`"#)
    };
    let instance: Instance<'_> = serde_json::from_str(text).map_err(bad)?;
    let sizes = instance.sizes.0.iter().map(|(i, &n)| (i.as_ref(), n)).collect();
    build(name, &instance.inputs, &instance.output, &sizes, dtype, |at| place_in(text, at))
}

fn build<N: AsRef<str>>(
    name: &str,
    inputs: &[Vec<N>],
    output: &[N],
    sizes: &HashMap<&str, u64>,
    dtype: DType,
    place: impl Fn(At<'_>) -> Span,
) -> Result<Program, Diagnostic> {
    let bad = |at: At<'_>, message: String| Diagnostic::error(Code::BadInstance, place(at), message);
    let mut p = Program { name: name.to_string(), dtype, ..Program::default() };
    let mut ids: HashMap<&str, IndexId> = HashMap::with_capacity(sizes.len());
    let span = Span::default();
    let mut operands = vec![];
    for (k, input) in inputs.iter().enumerate() {
        let mut legs = vec![];
        for (j, i) in input.iter().map(AsRef::as_ref).enumerate() {
            let id = match ids.get(i) {
                Some(&id) => id,
                None => {
                    let size = match sizes.get(i) {
                        Some(&n) if n > 0 => n,
                        Some(_) => {
                            let message = format!("index `{i}` has size 0");
                            return Err(bad(At::Size(i, k, j), message).with_help("sizes are 1 or more"));
                        }
                        None => {
                            return Err(bad(At::Input(k, j), format!("index `{i}` has no size"))
                                .with_help(format!("add `{i}=2` to the sizes")));
                        }
                    };
                    let id = p.indices.push(IndexDef { name: i.to_owned(), size: Size::fixed(size) });
                    ids.insert(i, id);
                    id
                }
            };
            legs.push(id);
        }
        let axes = input.iter().map(|i| FoldAxis { label: i.as_ref().to_owned(), legs: 1 }).collect();
        let leaf = p.leaves.push(Leaf {
            name: format!("t[{k}]"),
            role: Role::Input,
            legs: legs.clone(),
            axes,
            init: None,
            structure: None,
            span,
        });
        let mut own: Vec<IndexId> = vec![];
        for &i in &legs {
            let leg = if own.contains(&i) { p.indices.push(p.indices[i].clone()) } else { i };
            own.push(leg);
        }
        let node =
            p.nodes.push(NodeData { node: Node::Leaf(leaf), legs: own, name: format!("t[{k}]"), span });
        operands.push(Operand { node, indices: legs, conj: false });
    }
    let (mut legs, mut seen) = (vec![], HashSet::new());
    for (j, i) in output.iter().map(AsRef::as_ref).enumerate() {
        let Some(&id) = ids.get(i) else {
            let message = format!("output index `{i}` is on no input");
            return Err(bad(At::Output(j), message).with_help("remove it from the output"));
        };
        if !seen.insert(id) {
            let message = format!("output index `{i}` stands twice");
            return Err(bad(At::Output(j), message).with_help("an output index stands once"));
        }
        legs.push(id);
    }
    let scale = Complex64::new(1.0, 0.0);
    let axes = output.iter().map(|i| FoldAxis { label: i.as_ref().to_owned(), legs: 1 }).collect();
    let node =
        p.nodes.push(NodeData { node: Node::Contract { scale, operands }, legs, name: "out".into(), span });
    p.outputs.push(Output { name: "out".into(), node, axes, log: false, span });
    Ok(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceMap;

    #[test]
    fn indices_are_named_by_strings_or_numbers() {
        let text = r#"{"inputs": [["i", 7], [7, "\u006b"]], "output": ["k", "i"], "sizes": {"i": 2, "7": 3, "k": 4}, "seed": 1}"#;
        let p = instance_json("x.json", text, DType::F64).unwrap();
        let of = |name: &str| p.indices.iter().find(|i| i.name == name).map(|i| i.size.value);
        assert_eq!((of("i"), of("7"), of("k")), (Some(2), Some(3), Some(4)));
        assert_eq!((p.leaves.len(), p.outputs[0].axes.len()), (2, 2));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        // the message, and what is underlined from which line and column on
        let fault = |text: &str| {
            let d = instance_json("x.json", text, DType::F64).unwrap_err();
            let mut sources = SourceMap::default();
            let source = sources.add("x.json", text);
            let at = sources.position(source, d.span.start);
            format!("{}:{} `{}` {}", at.line, at.column, sources.text(d.span), d.message)
        };
        assert_eq!(
            fault("{\"inputs\": [],\n \"sizes\": {}}"),
            "2:13 `}` `x.json` is no instance: missing field `output`"
        );
        let half = fault(r#"{"inputs": [["i"]], "output": [], "sizes": {"i": -2}}"#);
        assert!(half.contains("no instance") && half.contains("`-2`") && half.starts_with("1:51"), "{half}");
        assert_eq!(
            fault("{\"inputs\": [[\"i\"]], \"output\": [],\n \"sizes\": {\"i\": 2, \"j\": 1, \"i\": 3}}"),
            "2:34 `}` `x.json` is no instance: index `i` has the sizes `2` and `3`"
        );
        let twice = r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 2, "i": 2}}"#;
        assert!(instance_json("x.json", twice, DType::F64).is_ok());
        for (text, want) in [
            (
                r#"{"inputs": [["i"], [7, "é"]], "output": [], "sizes": {"i": 2, "7": 2}}"#,
                "1:24 `\"é\"` index `é` has no size",
            ),
            (
                "{\"inputs\": [[\"i\"]],\n\"output\": [], \"sizes\": {\"i\": 0}}",
                "2:30 `0` index `i` has size 0",
            ),
            (
                r#"{"inputs": [["i"]], "output": ["i", "z"], "sizes": {"i": 2}}"#,
                "1:37 `\"z\"` output index `z` is on no input",
            ),
            (
                r#"{"inputs": [["i"]], "output": ["i", "i"], "sizes": {"i": 2}}"#,
                "1:37 `\"i\"` output index `i` stands twice",
            ),
        ] {
            assert_eq!(fault(text), want);
        }
        assert!(fault("{\"inputs\"").contains("is not JSON"));
        assert!(fault(r#"{"inputs": [["i"]], "output": [], "sizes": {}}"#).contains("`i` has no size"));
    }

    #[test]
    fn what_is_wrong_with_an_einsum_is_underlined() {
        let sizes = ["a", "b", "ü"].map(|i| (i.to_owned(), 2)).to_vec();
        for (equation, want) in [
            ("a b , bc -> ac", "c"),
            ("ab,bü -> d", "d"),
            ("ab->ab a", "a"),
            ("aü,b*->a", "*"),
            ("a...,b->a", "..."),
            ("a>b", ">"),
        ] {
            let d = einsum(equation, &sizes, DType::F64).unwrap_err();
            let text = &equation[d.span.start as usize..d.span.end as usize];
            assert_eq!(text, want, "{equation}: {}", d.message);
        }
        let d = einsum("ab->ab a", &sizes, DType::F64).unwrap_err();
        assert_eq!(d.span.start, 7, "the second of two");
        let p = einsum(" a b, bü ", &sizes, DType::F64).unwrap();
        assert_eq!((p.leaves.len(), p.outputs[0].axes.len()), (2, 2));
    }
}
