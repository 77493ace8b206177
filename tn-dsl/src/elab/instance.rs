//! Einsum strings and JSON instances: the same programs without the language.

use crate::diag::{Code, Diagnostic};
use serde_json::Value;
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
    let sizes: HashMap<String, u64> = sizes.iter().cloned().collect();
    build("einsum", &inputs, &output, &sizes, dtype)
}

/// `{"inputs": [["i","j"],…], "output": […], "sizes": {"i": 2,…}}`
pub fn instance_json(name: &str, text: &str, dtype: DType) -> Result<Program, Diagnostic> {
    let bad = |message: String| {
        Diagnostic::error(Code::BadInstance, Span::default(), message)
            .with_help(r#"an instance is `{"inputs": [["i","j"],…], "output": […], "sizes": {"i": 2,…}}`"#)
    };
    let v: Value = serde_json::from_str(text).map_err(|e| bad(format!("`{name}` is not JSON: {e}")))?;
    let word = |v: &Value| match v {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    };
    let list = |v: &Value| v.as_array().and_then(|a| a.iter().map(word).collect::<Option<Vec<String>>>());
    let inputs = v
        .get("inputs")
        .and_then(Value::as_array)
        .and_then(|a| a.iter().map(list).collect::<Option<Vec<_>>>());
    let Some(inputs) = inputs else { return Err(bad(format!("`{name}` has no list of lists `inputs`"))) };
    let Some(output) = v.get("output").and_then(list) else {
        return Err(bad(format!("`{name}` has no list `output`")));
    };
    let Some(map) = v.get("sizes").and_then(Value::as_object) else {
        return Err(bad(format!("`{name}` has no object `sizes`")));
    };
    let mut sizes = HashMap::new();
    for (k, n) in map {
        let Some(n) = n.as_u64() else {
            return Err(bad(format!("the size of `{k}` is no positive integer")));
        };
        sizes.insert(k.clone(), n);
    }
    build(name, &inputs, &output, &sizes, dtype)
}

fn build(
    name: &str,
    inputs: &[Vec<String>],
    output: &[String],
    sizes: &HashMap<String, u64>,
    dtype: DType,
) -> Result<Program, Diagnostic> {
    let bad = |message: String| Diagnostic::error(Code::BadInstance, Span::default(), message);
    let mut p = Program { name: name.to_string(), dtype, ..Program::default() };
    let mut ids: HashMap<String, IndexId> = HashMap::new();
    let span = Span::default();
    let mut operands = vec![];
    for (k, input) in inputs.iter().enumerate() {
        let mut legs = vec![];
        for i in input {
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
                    let id = p.indices.push(IndexDef { name: i.clone(), size: Size::fixed(size) });
                    ids.insert(i.clone(), id);
                    id
                }
            };
            legs.push(id);
        }
        let axes = input.iter().map(|i| FoldAxis { label: i.clone(), legs: 1 }).collect();
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
    for i in output {
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
    let axes = output.iter().map(|i| FoldAxis { label: i.clone(), legs: 1 }).collect();
    let node =
        p.nodes.push(NodeData { node: Node::Contract { scale, operands }, legs, name: "out".into(), span });
    p.outputs.push(Output { name: "out".into(), node, axes, log: false, span });
    Ok(p)
}
