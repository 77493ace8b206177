//! The JSON surface of `tnc plan`. Other people's scripts rely on its keys.

use crate::region_plan::{log10_sum, tree_of};
use serde_json::{Map, Value, json};
use tn_order::linear_path;
use tn_plan::ir::{EntryKind, Plan, RegionPlan, SizeRange, Summary};

/// What the search itself says of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SearchFacts {
    /// Wall seconds of the whole compilation.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// Whether the plan came from the cache.
    pub cached: bool,
    /// Whether sharing made the plan a dag, so that it does less than the paths say.
    pub shared: bool,
}

/// The object of `tnc plan --format json` for a plan.
pub fn plan_json(plan: &Plan, facts: SearchFacts) -> Value {
    let kinds: Vec<EntryKind> = plan.entries.iter().map(|e| e.kind).collect();
    let mut out = totals_json(&plan.name, &plan.regions, Some(&plan.summary), &kinds, facts);
    if let (Some(map), Some(regimes)) = (out.as_object_mut(), regimes_json(plan)) {
        map.insert("regimes".into(), regimes);
    }
    out
}

/// The same; `summary` is absent for a plan that is too large to allocate.
pub(crate) fn totals_json(
    name: &str,
    regions: &[RegionPlan],
    summary: Option<&Summary>,
    kinds: &[EntryKind],
    facts: SearchFacts,
) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("name", json!(name));
    put("regions", regions.iter().map(region_json).collect());
    let maximum = |f: fn(&RegionPlan) -> f64| regions.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
    put("log10_macs", number(log10_sum(regions.iter().map(|r| r.log10_macs))));
    put("log10_macs_hoisted", number(log10_sum(regions.iter().map(|r| r.log10_macs_hoisted))));
    put("log10_macs_naive", number(log10_sum(regions.iter().map(|r| r.log10_macs_naive))));
    put("log2_max_size", number(maximum(|r| r.log2_max_size)));
    put("log2_peak", number(maximum(|r| r.log2_peak)));
    put("peak_bytes", summary.map_or(Value::Null, |s| bytes(s.peak_bytes)));
    put("workspace_bytes", summary.map_or(Value::Null, |s| bytes(s.workspace_bytes)));
    put("saved_bytes", summary.map_or(Value::Null, |s| bytes(s.saved_bytes)));
    put("modelled_seconds", summary.map_or(Value::Null, |s| number(s.modelled_seconds)));
    put("machine", summary.map_or(Value::Null, |s| json!(s.machine)));
    put("optimal", json!(regions.iter().all(|r| r.optimal)));
    put("time_limited", json!(regions.iter().any(|r| r.time_limited)));
    put("path_is_plan", json!(!facts.shared));
    put("seconds", number(facts.seconds));
    put("seed", json!(facts.seed));
    put("cached", json!(facts.cached));
    if let Some(s) = summary {
        put("entries", s.entries.iter().zip(kinds).map(|(e, &k)| entry_json(k, e)).collect());
    }
    if let [one] = regions {
        put("path", path(one));
        put("ssa_path", json!(one.ssa_path));
        put("sliced", sliced(one));
        put("slices", slices(one));
    }
    Value::Object(out)
}

/// The schedules of a plan that has several, smallest sizes first: the array `regimes` of [`plan_json`], whose other keys are of the one for the
/// hints.
fn regimes_json(plan: &Plan) -> Option<Value> {
    let regimes = plan.regimes.as_ref()?;
    let one = |(range, schedule): (SizeRange, std::borrow::Cow<'_, Plan>)| {
        let s = &schedule.summary;
        let entries = s.entries.iter().zip(&schedule.entries);
        json!({
            "size": plan.symbols.get(regimes.symbol).map(|s| &s.name),
            "low": range.low,
            "high": range.high,
            "at": tn_plan::cost::hint(&schedule, regimes.symbol),
            "log10_macs": number(log10_sum(schedule.regions.iter().map(|r| r.log10_macs))),
            "peak_bytes": bytes(s.peak_bytes),
            "workspace_bytes": bytes(s.workspace_bytes),
            "saved_bytes": bytes(s.saved_bytes),
            "modelled_seconds": number(s.modelled_seconds),
            "entries": entries.map(|(s, e)| entry_json(e.kind, s)).collect::<Vec<_>>(),
            "regions": schedule.regions.iter().map(region_json).collect::<Vec<_>>(),
        })
    };
    Some(plan.ranges().into_iter().zip(plan.schedules()).map(one).collect())
}

fn entry_json(kind: EntryKind, e: &tn_plan::ir::EntrySummary) -> Value {
    json!({
        "name": entry_name(kind),
        "macs": number(e.macs),
        "bytes_moved": bytes(e.bytes_moved as u128),
        "workspace_bytes": bytes(e.workspace_bytes),
        "peak_bytes": bytes(e.peak_bytes),
        "modelled_seconds": number(e.seconds),
        "steps": e.steps,
    })
}

/// The name of an entry in reports and generated code.
pub fn entry_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Forward => "forward",
        EntryKind::ForwardSaving => "forward_saving",
        EntryKind::Vjp => "vjp",
        EntryKind::Jvp => "jvp",
    }
}

fn region_json(r: &RegionPlan) -> Value {
    json!({
        "name": r.name,
        "path": path(r),
        "ssa_path": r.ssa_path,
        "sliced": sliced(r),
        // Names need not be unique; positions among the region's indices are.
        "sliced_indices": r.sliced,
        "slices": slices(r),
        "log10_macs": number(r.log10_macs),
        "log10_macs_hoisted": number(r.log10_macs_hoisted),
        "log10_macs_naive": number(r.log10_macs_naive),
        "log2_max_size": number(r.log2_max_size),
        "log2_peak": number(r.log2_peak),
        "optimal": r.optimal,
        "time_limited": r.time_limited,
    })
}

fn path(r: &RegionPlan) -> Value {
    json!(linear_path(&tree_of(r), r.inputs.len()))
}

fn sliced(r: &RegionPlan) -> Value {
    r.sliced.iter().map(|&i| json!(r.index_names.get(i as usize))).collect()
}

fn slices(r: &RegionPlan) -> Value {
    let exact = r.sliced.iter().try_fold(1u64, |p, &i| p.checked_mul(*r.sizes.get(i as usize)?));
    exact.map_or(Value::Null, |n| bytes(n.into()))
}

/// A count: an integer, `null` above 2^63.
pub fn bytes(n: u128) -> Value {
    if n <= 1 << 63 { json!(n as u64) } else { Value::Null }
}

/// A float; JSON has no infinities, they become `null`.
pub fn number(x: f64) -> Value {
    serde_json::Number::from_f64(x).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> RegionPlan {
        RegionPlan {
            name: "out".into(),
            inputs: vec!["t[0]".into(), "t[1]".into(), "t[2]".into()],
            input_indices: vec![vec![0, 1], vec![1, 2], vec![2, 3]],
            output: vec![0, 3],
            sizes: vec![2, 3, 4, 5],
            index_names: ["a", "b", "c", "d"].map(String::from).to_vec(),
            ssa_path: vec![(1, 2), (0, 3)],
            sliced: vec![1, 2],
            log10_macs: 2.0,
            log10_macs_hoisted: 2.0,
            log2_max_size: 4.0,
            log2_peak: 5.0,
            log10_macs_naive: 3.0,
            optimal: true,
            time_limited: false,
        }
    }

    #[test]
    fn all_keys_of_the_surface_are_there() {
        let value = totals_json("n", &[region()], Some(&Summary::default()), &[], SearchFacts::default());
        for key in [
            "regions",
            "log10_macs",
            "log10_macs_hoisted",
            "log2_max_size",
            "log2_peak",
            "peak_bytes",
            "workspace_bytes",
            "modelled_seconds",
            "optimal",
            "seconds",
            "seed",
            "cached",
            "time_limited",
            "path",
            "sliced",
            "path_is_plan",
        ] {
            assert!(value.get(key).is_some(), "{key}");
        }
        for key in [
            "name",
            "path",
            "ssa_path",
            "sliced",
            "slices",
            "log10_macs",
            "log2_max_size",
            "log2_peak",
            "optimal",
        ] {
            assert!(value["regions"][0].get(key).is_some(), "{key}");
        }
        assert_eq!(value["path"], json!([[1, 2], [0, 1]]));
        assert_eq!(value["sliced"], json!(["b", "c"]));
        assert_eq!(value["slices"], json!(12));
    }

    #[test]
    fn several_regions_have_no_path_at_the_top() {
        let value = totals_json("n", &[region(), region()], None, &[], SearchFacts::default());
        assert!(value.get("path").is_none());
        assert_eq!(value["peak_bytes"], Value::Null);
        assert!((value["log10_macs"].as_f64().unwrap() - 200f64.log10()).abs() < 1e-12);
    }

    #[test]
    fn byte_counts_past_the_limit_are_null() {
        assert_eq!(bytes(1 << 63), json!(1u64 << 63));
        assert_eq!(bytes((1 << 63) + 1), Value::Null);
    }
}
