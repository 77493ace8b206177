//! One module a command.

pub mod calibrate;
pub mod check;
pub mod draw;
pub mod emit;
pub mod explain;
pub mod fmt;
pub mod grad_check;
pub mod init;
pub mod plan;
pub mod run;

use crate::Talk;
use crate::args::{Search, What};
use tn_driver::{Compiled, Error, Options, Source, compile, load_plan};
use tn_plan::verify::VerifiedPlan;

/// Warnings go to stderr.
pub fn warn(text: &str, talk: Talk) {
    if !text.trim().is_empty() {
        talk.note(text.trim_end());
    }
}

/// Compiles what the options name, or loads it where it is a plan file.
pub enum Planned {
    /// Compiled now.
    Fresh(Box<Compiled>),
    /// From a file.
    File(Box<VerifiedPlan>),
}

impl Planned {
    /// The verified plan.
    ///
    /// # Errors
    /// A tensor is too large for any memory.
    pub fn plan(&self) -> Result<&VerifiedPlan, Error> {
        match self {
            Planned::Fresh(c) => c.plan(),
            Planned::File(p) => Ok(p),
        }
    }
}

/// A plan of the source with the options, or the plan file itself.
///
/// # Errors
/// Those of the road; a plan file that lacks the entries asked for.
pub fn planned(
    what: &What,
    search: &Search,
    more: impl FnOnce(&mut Options),
    talk: Talk,
) -> Result<Planned, Error> {
    let mut options = search.apply(what.options());
    more(&mut options);
    match what.source() {
        Source::Plan(path) => {
            let plan = load_plan(&path)?;
            tn_driver::has_entries(&plan, &options)?;
            Ok(Planned::File(Box::new(plan)))
        }
        source => {
            let compiled = compile(&source, &options)?;
            warn(&compiled.warnings(talk.color), talk);
            Ok(Planned::Fresh(Box::new(compiled)))
        }
    }
}
