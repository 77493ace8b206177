//! `tnc explain`: the page of an error code, a rule of the optimiser, or why a plan is as it is.

use super::{Manner, options, planned};
use crate::args::{Explain, Format};
use crate::{Talk, out};
use std::fmt::Write;
use tn_driver::applied::{Applied, applied};
use tn_driver::values::show_bytes;
use tn_driver::{Compiled, Error, Row, Rules, check, derivation, live};
use tn_dsl::diag::{Code, did_you_mean};
use tn_plan::ir::{Plan, RegionPlan};

/// Explains.
pub fn run(a: &Explain, talk: Talk) -> Result<(), Error> {
    if let Some(path) = &a.what.file {
        let subject = path.to_string_lossy();
        if let Some(code) = Code::parse(&subject) {
            return out::result(code.page().as_bytes(), a.output.as_deref());
        }
        if let Some(rule) = Rules::rows().find(|r| r.name == subject).filter(|_| !path.exists()) {
            return out::result(rule_page(&rule).as_bytes(), a.output.as_deref());
        }
        if looks_like_a_code(&subject) && !path.exists() {
            let near = did_you_mean(&subject, Code::ALL.iter().map(|c| c.id()));
            let help = near.map(|n| format!(", help: did you mean `{n}`?")).unwrap_or_default();
            return Err(Error::Usage(format!("there is no code `{subject}`{help}")));
        }
    }
    let more = |o: &mut tn_driver::Options| (o.grad, o.explain) = (a.grad, true);
    if let Some(file) = &a.check {
        let text = std::fs::read_to_string(file)
            .map_err(|e| Error::Io(format!("cannot read `{}`: {e}", file.display())))?;
        let record = serde_json::from_str(&text)
            .map_err(|e| Error::Input(format!("`{}` is no record: {e}", file.display())))?;
        let (mut options, _progress) = options(&a.what, &a.search, Manner::Kept, talk)?;
        more(&mut options);
        let hash = derivation::check(&a.what.source(), &options, &record)?;
        return out::result(format!("the record holds: dag {hash}\n").as_bytes(), a.output.as_deref());
    }
    // the source is planned again without each rule that did something
    let chain = |c: &Compiled| -> Result<(Vec<Applied>, tn_driver::Options), Error> {
        let (mut options, _progress) = options(&a.what, &a.search, Manner::Kept, talk)?;
        more(&mut options);
        Ok((applied(c, &a.what.source(), &options)?, options))
    };
    let planned = planned(&a.what, &a.search, more, Manner::Kept, talk)?;
    if a.format == Some(Format::Json) {
        let super::Planned::Fresh(c) = &planned else {
            return Err(Error::Usage(
                "a plan file has no record of how it came about, help: give the source".into(),
            ));
        };
        let (applied, _) = chain(c)?;
        return out::result(&out::json(&derivation::chain_json(c, &applied)), a.output.as_deref());
    }
    let mut text = String::new();
    let regions: &[RegionPlan] = match &planned {
        super::Planned::Fresh(c) => {
            text.push_str(&check::check_report(&c.prepared.source_program, &c.prepared.regions));
            &c.region_plans
        }
        super::Planned::File(p) => {
            let _ = writeln!(text, "plan of {} from {} ({})", p.name, p.source, p.dtype);
            &p.regions
        }
    };
    for r in regions {
        region(&mut text, r);
    }
    if let super::Planned::Fresh(c) = &planned {
        let (applied, options) = chain(c)?;
        text.push_str(&derivation::chain_text(c, &applied, &options));
    }
    if let Ok(plan) = planned.plan() {
        text.push_str(&tn_driver::report::regimes_text(plan));
        worst_moment(&mut text, plan);
    }
    out::result(text.as_bytes(), a.output.as_deref())
}

fn rule_page(rule: &Row) -> String {
    let Row { name, group, pattern, condition, why } = rule;
    format!(
        "rule {name} (group {group})\n  {pattern}\n  where: {condition}\n  why:   {why}\n  off with `--without {name}`, or with its group\n"
    )
}

fn looks_like_a_code(text: &str) -> bool {
    text.len() <= 8
        && text.to_ascii_uppercase().strip_prefix("TN").is_some_and(|d| d.chars().all(|c| c.is_ascii_digit()))
}

fn region(out: &mut String, r: &RegionPlan) {
    if r.inputs.len() < 2 {
        let _ = writeln!(out, "region {}: one tensor, nothing to contract", r.name);
        return;
    }
    let proof = if r.optimal { "proven to be the best order" } else { "the best order found" };
    let cut = if r.time_limited { "; the clock cut the search" } else { "" };
    let _ = writeln!(
        out,
        "region {}: {} tensors, {proof}{cut}: 10^{:.2} multiply-adds where left to right takes 10^{:.2}",
        r.name,
        r.inputs.len(),
        r.log10_macs,
        r.log10_macs_naive
    );
    if !r.sliced.is_empty() {
        let names: Vec<String> = r
            .sliced
            .iter()
            .map(|&i| format!("{} ({})", r.index_names[i as usize], r.sizes[i as usize]))
            .collect();
        let _ = writeln!(
            out,
            "  sliced over {}: work that no slice changes is done once, 10^{:.2} in all",
            names.join(", "),
            r.log10_macs_hoisted
        );
    }
}

fn worst_moment(out: &mut String, plan: &Plan) {
    let _ = writeln!(
        out,
        "memory: peak {}, workspace {}, saved {}; live at the worst moment:",
        show_bytes(plan.summary.peak_bytes),
        show_bytes(plan.summary.workspace_bytes),
        show_bytes(plan.summary.saved_bytes)
    );
    for (name, bytes) in live::live_at_max(plan) {
        let _ = writeln!(out, "  {:>12}  {name}", show_bytes(bytes));
    }
}
