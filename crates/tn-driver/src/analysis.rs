//! Contraction-cost analysis: `--sweep` tabulates costs against a parameter, `--scaling` states the leading power.

use crate::compile::compile;
use crate::error::Error;
use crate::options::{Options, Source};
use crate::scaling::{Scaling, scaling};
use crate::table::Table;
use crate::values::{Sweep, show_bytes, show_log10};
use serde_json::{Value, json};

/// One value of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRow {
    /// The parameter's value.
    pub value: i64,
    /// The plan's totals as `tnc plan --format json` gives them (no regions); none where no plan is within the limits.
    pub totals: Option<Value>,
}

/// Plans the network at every value of the sweep.
///
/// # Errors
/// Those of [`compile`], but a value without a plan within the limits is a row without totals.
pub fn run_sweep(source: &Source, options: &Options, sweep: &Sweep) -> Result<Vec<SweepRow>, Error> {
    let mut rows = Vec::with_capacity(sweep.values.len());
    for &value in &sweep.values {
        let totals = match compile(source, &with_param(options, &sweep.param, value)) {
            Ok(c) => {
                let mut object = c.json();
                if let Some(map) = object.as_object_mut() {
                    for long in ["regions", "path", "ssa_path", "entries", "regimes", "name"] {
                        map.remove(long);
                    }
                }
                Some(object)
            }
            Err(Error::Infeasible(_)) => None,
            Err(e) => return Err(e),
        };
        rows.push(SweepRow { value, totals });
    }
    Ok(rows)
}

/// The options with one parameter set.
fn with_param(options: &Options, param: &str, value: i64) -> Options {
    let mut out = options.clone();
    out.set.retain(|(k, _)| k != param);
    out.set.push((param.to_owned(), value.to_string()));
    out
}

/// The sweep as a JSON object: `{"param": "chi", "rows": [{"value": 4, …totals…}]}`.
pub fn sweep_json(param: &str, rows: &[SweepRow]) -> Value {
    let row = |r: &SweepRow| {
        let mut out = json!({ "value": r.value, "feasible": r.totals.is_some() });
        if let (Some(out), Some(totals)) = (out.as_object_mut(), r.totals.as_ref().and_then(Value::as_object))
        {
            out.extend(totals.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        out
    };
    json!({ "param": param, "rows": rows.iter().map(row).collect::<Vec<_>>() })
}

/// The sweep as a table.
pub fn sweep_text(param: &str, rows: &[SweepRow]) -> String {
    let mut table = Table::new([param, "multiply-adds", "largest", "peak", "slices", "modelled s"]);
    for r in rows {
        let Some(t) = &r.totals else {
            table.row([r.value.to_string(), "no plan within the limits".to_owned()]);
            continue;
        };
        let float = |key: &str| t[key].as_f64();
        table.row([
            r.value.to_string(),
            float("log10_macs").map_or("0".into(), show_log10),
            float("log2_max_size").map_or("0".into(), |l| show_log10(l * std::f64::consts::LOG10_2)),
            t["peak_bytes"].as_u64().map_or("-".into(), |b| show_bytes(b as u128)),
            t["slices"].as_u64().map_or(String::new(), |n| n.to_string()),
            float("modelled_seconds").map_or("-".into(), |s| format!("{s:.3e}")),
        ]);
    }
    table.render()
}

/// The leading powers of the plan at the given parameters, in `param`.
///
/// # Errors
/// No size depends on `param`, `param` decides the number of tensors, or what [`prepare`] and the search say.
pub fn run_scaling(source: &Source, options: &Options, param: &str) -> Result<Scaling, Error> {
    let compiled = compile(source, &Options { memory: None, ..options.clone() })?;
    let prepared = &compiled.prepared;
    let found = prepared.program.symbols.enumerate().find(|(_, s)| s.name == param && !s.is_dyn());
    let Some((symbol, data)) = found else {
        let known: Vec<&str> =
            prepared.program.symbols.iter().filter(|s| !s.is_dyn()).map(|s| s.name.as_str()).collect();
        let known = if known.is_empty() {
            "no size of this network depends on a parameter".to_owned()
        } else {
            format!("sizes depend on `{}`", known.join("`, `"))
        };
        return Err(Error::Input(format!("no size depends on a parameter `{param}`, help: {known}")));
    };
    if prepared.structural.contains(&symbol) {
        let from = data.value();
        return Err(Error::Input(format!(
            "the parameter `{param}` decides the number of tensors, so the cost is no power of it, help: tabulate it with `--sweep {param}={from}..{}`",
            from.saturating_add(8)
        )));
    }
    let trees: Vec<_> = compiled.outcomes.iter().map(|o| o.tree.clone()).collect();
    Ok(scaling(&prepared.regions, &trees, &prepared.program.symbols, symbol))
}

/// The scaling as text.
pub fn scaling_text(param: &str, s: &Scaling) -> String {
    let mut table = Table::new(["", "scaling", "leading term"]);
    table.row(["multiply-adds".to_owned(), s.macs.big_o(param), s.macs.term(param)]);
    table.row(["largest intermediate".to_owned(), s.max_size.big_o(param), s.max_size.term(param)]);
    table.render()
}

/// The scaling as JSON.
pub fn scaling_json(param: &str, s: &Scaling) -> Value {
    let one = |l: crate::scaling::Leading| json!({ "big_o": l.big_o(param), "power": l.power, "coefficient": l.coefficient });
    json!({ "param": param, "macs": one(s.macs), "max_size": one(s.max_size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_has_a_row_for_every_value() {
        let rows = vec![
            SweepRow {
                value: 4,
                totals: Some(json!({"log10_macs": 3.0, "log2_max_size": 10.0, "peak_bytes": 2048})),
            },
            SweepRow { value: 5, totals: None },
        ];
        let text = sweep_text("chi", &rows);
        assert!(text.lines().count() == 3 && text.contains("1000") && text.contains("2.00 KiB"), "{text}");
        let value = sweep_json("chi", &rows);
        assert_eq!(value["rows"][0]["value"], 4);
        assert_eq!(value["rows"][1]["feasible"], false);
    }

    #[test]
    fn a_parameter_is_set_once() {
        let base =
            Options { set: vec![("chi".into(), "3".into()), ("n".into(), "4".into())], ..Options::default() };
        let set = with_param(&base, "chi", 9).set;
        assert_eq!(set, [("n".to_owned(), "4".to_owned()), ("chi".to_owned(), "9".to_owned())]);
    }
}
