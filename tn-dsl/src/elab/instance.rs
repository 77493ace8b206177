//! Einsum strings and JSON instances: the same programs without the language.

use crate::diag::{Code, Diagnostic};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::error::Category;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use tn_ir::Complex64;
use tn_ir::dtype::DType;
use tn_ir::program::*;
use tn_ir::size::Size;
use tn_ir::span::Span;

/// `ab,bc->ac`; without `->`, the indices that occur once, in alphabetical order. Every letter is an index.
pub fn einsum(equation: &str, sizes: &[(String, u64)], dtype: DType) -> Result<Program, Diagnostic> {
    let bad = |message: String, help: &str| {
        Diagnostic::error(Code::BadInstance, Span::default(), message).with_help(help)
    };
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    if text.contains("...") {
        return Err(bad("`...` in an einsum".into(), "write the indices out"));
    }
    let (left, right) = match text.split_once("->") {
        Some((l, r)) => (l, Some(r)),
        None => (text.as_str(), None),
    };
    let letters = |t: &str| t.chars().map(|c| c.to_string()).collect::<Vec<_>>();
    let inputs: Vec<Vec<String>> = left.split(',').map(letters).collect();
    let strange = left
        .chars()
        .chain(right.unwrap_or("").chars())
        .find(|c| !c.is_alphanumeric() && *c != ',' && *c != '_');
    if let Some(c) = strange {
        return Err(bad(format!("`{c}` is no index"), "as in `ab,bc->ac`"));
    }
    let output = match right {
        Some(r) => letters(r),
        None => {
            let mut counts: BTreeMap<&String, u32> = BTreeMap::new();
            inputs.iter().flatten().for_each(|i| *counts.entry(i).or_default() += 1);
            counts.into_iter().filter(|(_, n)| *n == 1).map(|(i, _)| i.clone()).collect()
        }
    };
    let sizes: HashMap<&str, u64> = sizes.iter().map(|(i, n)| (i.as_str(), *n)).collect();
    build("einsum", &inputs, &output, &sizes, dtype)
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

/// `{"inputs": [["i","j"],…], "output": […], "sizes": {"i": 2,…}}`
pub fn instance_json(name: &str, text: &str, dtype: DType) -> Result<Program, Diagnostic> {
    let bad = |e: serde_json::Error| {
        let message = match e.classify() {
            Category::Data => format!("`{name}` is no instance: {e}"),
            _ => format!("`{name}` is not JSON: {e}"),
        };
        Diagnostic::error(Code::BadInstance, Span::default(), message)
            .with_help(r#"an instance is `{"inputs": [["i","j"],…], "output": […], "sizes": {"i": 2,…}}`"#)
    };
    let instance: Instance<'_> = serde_json::from_str(text).map_err(bad)?;
    let sizes = instance.sizes.0.iter().map(|(i, &n)| (i.as_ref(), n)).collect();
    build(name, &instance.inputs, &instance.output, &sizes, dtype)
}

fn build<N: AsRef<str>>(
    name: &str,
    inputs: &[Vec<N>],
    output: &[N],
    sizes: &HashMap<&str, u64>,
    dtype: DType,
) -> Result<Program, Diagnostic> {
    let bad = |message: String| Diagnostic::error(Code::BadInstance, Span::default(), message);
    let mut p = Program { name: name.to_string(), dtype, ..Program::default() };
    let mut ids: HashMap<&str, IndexId> = HashMap::with_capacity(sizes.len());
    let span = Span::default();
    let mut operands = vec![];
    for (k, input) in inputs.iter().enumerate() {
        let mut legs = vec![];
        for i in input.iter().map(AsRef::as_ref) {
            let id = match ids.get(i) {
                Some(&id) => id,
                None => {
                    let size = match sizes.get(i) {
                        Some(&n) if n > 0 => n,
                        Some(_) => {
                            return Err(
                                bad(format!("index `{i}` has size 0")).with_help("sizes are 1 or more")
                            );
                        }
                        None => {
                            return Err(bad(format!("index `{i}` has no size"))
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
    let mut legs = vec![];
    for i in output.iter().map(AsRef::as_ref) {
        let Some(&id) = ids.get(i) else {
            return Err(
                bad(format!("output index `{i}` is on no input")).with_help("remove it from the output")
            );
        };
        if legs.contains(&id) {
            return Err(
                bad(format!("output index `{i}` stands twice")).with_help("an output index stands once")
            );
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
        let fault = |text: &str| instance_json("x.json", text, DType::F64).unwrap_err().message;
        assert_eq!(
            fault("{\"inputs\": [],\n \"sizes\": {}}"),
            "`x.json` is no instance: missing field `output` at line 2 column 13"
        );
        let half = fault(r#"{"inputs": [["i"]], "output": [], "sizes": {"i": -2}}"#);
        assert!(
            half.contains("no instance") && half.contains("`-2`") && half.contains("column 51"),
            "{half}"
        );
        assert_eq!(
            fault("{\"inputs\": [[\"i\"]], \"output\": [],\n \"sizes\": {\"i\": 2, \"j\": 1, \"i\": 3}}"),
            "`x.json` is no instance: index `i` has the sizes `2` and `3` at line 2 column 34"
        );
        let twice = r#"{"inputs": [["i"]], "output": [], "sizes": {"i": 2, "i": 2}}"#;
        assert!(instance_json("x.json", twice, DType::F64).is_ok());
        assert!(fault("{\"inputs\"").contains("is not JSON"));
        assert!(fault(r#"{"inputs": [["i"]], "output": [], "sizes": {}}"#).contains("`i` has no size"));
    }
}
