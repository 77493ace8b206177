//! How a plan follows from its source: the rewrites in words, and a record that a checker applies again.

use crate::applied::{Applied, Without, applied};
use crate::compile::{Compiled, compile};
use crate::error::Error;
use crate::hash::StableHash;
use crate::joint;
use crate::options::{Options, Source};
use crate::report::show_seconds;
use serde_json::{Value, json};
use std::fmt::Write;
use tn_ir::dag::Dag;
use tn_opt::Derivation;
use tn_order::Minimize;

/// A gain of less than this part of the whole is rounding, and not told.
const LEAST: f64 = 1e-3;

/// A hash of a dag: of every node, root and array.
pub fn dag_hash(dag: &Dag) -> String {
    let mut hash = StableHash::new();
    for n in dag.ids() {
        hash.part("node", format!("{:?}", dag.node(n)).as_bytes());
    }
    hash.part("fns", format!("{:?}", dag.fns).as_bytes());
    hash.part("loops", format!("{:?} {:?}", dag.nests, dag.vars).as_bytes());
    hash.part("roots", format!("{:?}", dag.roots).as_bytes());
    hash.part("arrays", format!("{:?}", dag.arrays).as_bytes());
    hash.hex()
}

/// The steps from the source to the plan, in words; `applied` is what [`crate::applied::applied`] says of the rules outside the graph.
pub fn chain_text(c: &Compiled, applied: &[Applied], options: &Options) -> String {
    let mut out = String::from("from the source to the plan:\n");
    let amount = |g: f64| match options.minimize {
        Minimize::Time => show_seconds(g),
        Minimize::Macs => format!("{g:.3e} multiply-adds"),
        Minimize::Bytes | Minimize::Size | Minimize::Peak => format!("{g:.3e} bytes"),
    };
    let least = |cost: f64| LEAST * cost;
    let figure = c.built.as_ref().map_or(0.0, |b| joint::figure(&b.plan.summary, options.minimize));
    for a in applied {
        let gain = match &a.without {
            Without::More(x) if *x > least(figure) => format!("; without it {} more", amount(*x)),
            Without::More(x) if -x > least(figure) => format!("; without it {} less", amount(-x)),
            Without::NoPlan(why) => format!("; without it there is no plan: {why}"),
            Without::More(_) | Without::Untold => String::new(),
        };
        let _ = writeln!(out, "  {:<12} {}{gain}", a.rule, a.what);
    }
    let Some(b) = &c.built else { return out };
    if let Some((first, more)) = c.unchecked.split_first() {
        let others = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let _ = writeln!(out, "  not compared with the program: {first}{others}");
    }
    let Some(w) = &b.rewritten else {
        let what = match (b.limit, applied.is_empty()) {
            (Some(_), _) => "no rewrite that pays was found in the graph",
            (None, true) => "no rewrite pays: every region is contracted along its tree",
            (None, false) => "no other rewrite pays",
        };
        let by = b.limit.map_or(String::new(), |l| format!("; {} ended the optimiser", joint::limit_text(l)));
        let _ = writeln!(out, "  {what}{by}");
        return out;
    };
    for r in &w.report.chain {
        let measured = if r.gain > least(w.report.cost.1) {
            format!(", without it {} more", amount(r.gain))
        } else {
            String::new()
        };
        let _ = writeln!(out, "  {:<12} {}{measured}", r.rule, r.from);
        for to in &r.to {
            let _ = writeln!(out, "               -> {to}");
        }
    }
    let _ = writeln!(
        out,
        "  modelled time {} instead of {}; the graph had {} nodes in {} classes{}",
        show_seconds(b.plan.summary.modelled_seconds),
        show_seconds(w.seconds_before),
        w.report.size.0,
        w.report.size.1,
        w.report.limited.map_or(String::new(), |l| format!(", and {} ended it", joint::limit_text(l)))
    );
    out
}

/// The same as a record: trees, applications of rules in order, the choice, and the hashes of the dag before and after.
pub fn chain_json(c: &Compiled, applied: &[Applied]) -> Value {
    let rules: Vec<Value> = applied.iter().map(Applied::json).collect();
    let regions: Vec<Value> = c
        .region_plans
        .iter()
        .zip(&c.prepared.regions)
        .map(|(p, r)| json!({ "name": p.name, "ssa_path": p.ssa_path, "sliced_indices": p.sliced, "cancelled": r.cancelled.len() }))
        .collect();
    let Some(b) = &c.built else {
        return json!({ "source_hash": c.prepared.source_hash, "regions": regions, "rules": rules });
    };
    let mut out = json!({
        "source_hash": c.prepared.source_hash,
        "regions": regions,
        "rules": rules,
        "dag_hash": dag_hash(b.unfolded.as_deref().unwrap_or(&b.dag)),
        "unchecked": c.unchecked,
        "plan_hash": tn_codegen::plan_hash(&b.plan),
        "modelled_seconds": b.plan.summary.modelled_seconds,
    });
    if let (Some(w), Some(out)) = (&b.rewritten, out.as_object_mut()) {
        out.insert("before_hash".into(), json!(dag_hash(&w.before)));
        out.insert("seconds_before".into(), json!(w.seconds_before));
        let d = &w.report.derivation;
        out.insert("egraph_nodes".into(), json!(d.max_nodes));
        out.insert("candidates".into(), json!(d.candidates));
        out.insert("rounds".into(), json!(d.rounds));
        out.insert("chosen".into(), json!(d.chosen));
        let rewrites = w.report.chain.iter();
        let one = |r: &tn_opt::Rewrite| json!({ "rule": r.rule, "from": r.from, "to": r.to, "gain": r.gain });
        out.insert("rewrites".into(), rewrites.map(one).collect());
    }
    out
}

/// The first place in which two records differ by more than the rounding of a number that was written and read.
fn differs(a: &Value, b: &Value, place: &str) -> Option<String> {
    let inner = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            let one = |k: &String| match (x.get(k), y.get(k)) {
                (Some(x), Some(y)) => differs(x, y, &inner(k)),
                _ => Some(inner(k)),
            };
            keys.into_iter().find_map(one)
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(k, (x, y))| differs(x, y, &inner(&k.to_string())))
        }
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64()?, y.as_f64()?);
            ((x - y).abs() > 1e-9 * y.abs()).then(|| place.to_owned())
        }
        (x, y) => (x != y).then(|| place.to_owned()),
    }
}

/// Checks a record: plans the source with the same options, applies every rule of the record again, and compares the dags, and the hash of
/// the plan, which the emitted code names too. Returns the hash of the dag.
///
/// # Errors
/// The record is malformed, belongs to another source, or does not lead to the plan; whatever [`compile`] says.
pub fn check(source: &Source, options: &Options, record: &Value) -> Result<String, Error> {
    let text = |key: &str| record[key].as_str().map(str::to_owned);
    let wrong = |what: &str| Error::Input(format!("the record does not hold: {what}"));
    let compiled = compile(source, &Options { explain: true, ..options.clone() })?;
    if text("source_hash").as_deref() != Some(&compiled.prepared.source_hash) {
        return Err(wrong("it belongs to another source or other options"));
    }
    let built = compiled.built.as_ref().ok_or_else(|| wrong("this network has no plan"))?;
    if compiled.region_plans.iter().any(|r| r.time_limited) {
        let why = "the clock ended the search, and a search that is ended by the clock finds other trees each time, help: make the record, and check it, with `--trials`";
        return Err(Error::Input(format!("the record cannot be checked: {why} instead of `--max-time`")));
    }
    let dag = built.unfolded.as_deref().unwrap_or(&built.dag);
    let before = built.rewritten.as_ref().map_or(dag, |w| &w.before);
    let after = match record.get("rounds") {
        None => before.clone(),
        Some(rounds) => {
            if text("before_hash") != Some(dag_hash(before)) {
                return Err(wrong("the dag that it begins with is another one"));
            }
            let malformed = |e: serde_json::Error| wrong(&e.to_string());
            let outcomes = &compiled.outcomes;
            let candidates = crate::stages::candidates(&compiled.prepared, outcomes, options, before.len())?;
            let derivation = Derivation {
                max_nodes: serde_json::from_value(record["egraph_nodes"].clone()).map_err(malformed)?,
                scalar: options.rules.scalar(),
                candidates: serde_json::from_value(record["candidates"].clone()).map_err(malformed)?,
                rounds: serde_json::from_value(rounds.clone()).map_err(malformed)?,
                chosen: serde_json::from_value(record["chosen"].clone()).map_err(malformed)?,
            };
            tn_opt::replay(before, &candidates, &derivation).map_err(|e| wrong(&e))?
        }
    };
    let hash = dag_hash(&after);
    if text("dag_hash") != Some(hash.clone()) {
        return Err(wrong("its rules do not lead to the dag that it names"));
    }
    // what the record tells beside: trees, rewrites and their gains, costs
    if let Some(field) = differs(record, &chain_json(&compiled, &applied(&compiled, source, options)?), "") {
        return Err(wrong(&format!("its `{field}` is not what the source gives")));
    }
    if hash != dag_hash(dag) || text("plan_hash") != Some(tn_codegen::plan_hash(&built.plan)) {
        return Err(wrong("it leads to another plan than this source has"));
    }
    Ok(hash)
}
