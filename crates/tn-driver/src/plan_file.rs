//! Plan files, and reports on plans.

use crate::error::{Error, Infeasible, Limit};
use crate::hash::StableHash;
use crate::options::Options;
use std::path::Path;
use tn_plan::cost::peak_bytes_at_max;
use tn_plan::ir::{EntryKind, Plan};
use tn_plan::verify::VerifiedPlan;

/// Reads and verifies a plan file.
///
/// # Errors
/// The file cannot be read, is no plan of this version, or does not pass the verifier.
pub fn load_plan(path: &Path) -> Result<VerifiedPlan, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::Input(format!("`{}` is not text", path.display())),
        _ => Error::Io(format!("cannot read `{}`: {e}", path.display())),
    })?;
    parse_plan(&text).map_err(|why| Error::Input(format!("`{}`: {why}", path.display())))
}

/// Reads and verifies the text of a plan file.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_plan(text: &str) -> Result<VerifiedPlan, String> {
    let plan = tn_plan::from_ron(text)?;
    let (body, sum) = text.trim_end().rsplit_once(CHECKSUM).ok_or_else(|| edited("has no checksum"))?;
    if sum != checksum(body) {
        return Err(edited("was changed after it was written"));
    }
    crate::stages::verified_alone(plan)
}

/// What stands before the checksum of everything above it, in a comment on the last line.
const CHECKSUM: &str = "// checksum: ";

/// A plan alone cannot be compared with what it was made from; that nobody changed it since can be told.
fn checksum(body: &str) -> String {
    // an editor may change how lines end
    StableHash::new().part("plan", body.replace('\r', "").as_bytes()).hex()
}

fn edited(what: &str) -> String {
    format!("the plan {what}, and is not run unchecked\nhelp: make it again with `tnc plan -o`")
}

/// A plan as the text of a file.
///
/// # Errors
/// Never for a plan that was compiled.
pub fn to_ron(plan: &Plan) -> Result<String, Error> {
    let mut text = tn_plan::to_ron(plan).map_err(|e| Error::internal("plan file", e))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let sum = checksum(&text);
    Ok(format!("{text}{CHECKSUM}{sum}\n"))
}

/// Whether a plan file has the entries that the options ask for.
///
/// # Errors
/// It lacks one.
pub fn has_entries(plan: &Plan, options: &Options) -> Result<(), Error> {
    let has = |kind| plan.entries.iter().any(|e| e.kind == kind);
    for (asked, kind, option) in
        [(options.grad, EntryKind::Vjp, "--grad"), (options.jvp, EntryKind::Jvp, "--jvp")]
    {
        if asked && !has(kind) {
            return Err(Error::Input(format!(
                "the plan file has no `{}`, help: make it again with `tnc plan {option}`",
                crate::json::entry_name(kind)
            )));
        }
    }
    Ok(())
}

/// Whether a plan file is within the limits.
///
/// # Errors
/// It is not: what it needs, and how to get one that is.
pub fn is_within(plan: &Plan, memory: Option<u64>, max_size: Option<u64>) -> Result<(), Error> {
    let again = "the plan is made already; plan the source again with this limit".to_owned();
    let fail = |limit, smallest, tensors| {
        Err(Error::Infeasible(Box::new(Infeasible { limit, smallest, tensors, help: vec![again.clone()] })))
    };
    let peak = peak_bytes_at_max(plan);
    if let Some(limit) = memory.filter(|&m| u128::from(m) < peak) {
        let live = crate::live::live_at_max(plan);
        return fail(Limit::Memory(limit), peak, live);
    }
    let schedules = plan.schedules();
    let regions = schedules.iter().flat_map(|p| &p.regions);
    let largest = regions.map(|r| r.log2_max_size).fold(0.0, f64::max);
    match max_size.filter(|&n| (n as f64).log2() < largest - 1e-9) {
        Some(limit) => fail(Limit::MaxSize(limit), largest.min(126.0).exp2().round() as u128, vec![]),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_plan_is_a_sentence() {
        let whole = "(version: 1, entries: [])\n".to_owned();
        let signed = format!("{whole}{CHECKSUM}{}\n", checksum(&whole));
        assert!(
            signed
                .replace('\n', "\r\n")
                .rsplit_once(CHECKSUM)
                .is_some_and(|(body, sum)| checksum(body) == sum.trim_end())
        );
        assert_ne!(checksum(&whole), checksum("(version: 1, entries: [ ])\n"));
        for text in ["", "hello", "(version: 99)", "(version: 1, name: 3)", "(version: 1"] {
            let why = parse_plan(text).unwrap_err();
            assert!(!why.is_empty(), "{text}");
        }
    }
}
