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
use crate::args::{Objective, Preset, Search, What};
use crate::progress::Progress;
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

/// How a command searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Plans are kept and looked up, and Ctrl-C ends the search with the best plan so far.
    Kept,
    /// The plan depends on nothing but source and options: there is no cache, and Ctrl-C ends the command.
    Pure,
}

/// The driver's options for a search in that manner; the search is watched as long as the second value lives.
///
/// # Errors
/// Options that do not go together; a file of paths that cannot be read.
pub fn options(
    what: &What,
    search: &Search,
    manner: Manner,
    talk: Talk,
) -> Result<(Options, Progress), Error> {
    if matches!(what.source(), Source::Plan(_)) {
        of_a_plan_file(what, search)?;
    }
    if manner == Manner::Pure && search.resume {
        return Err(Error::Usage(
            "this command uses no kept plans, help: `tnc plan --resume -o p.ron` writes a plan to give instead of the source".into(),
        ));
    }
    let progress = Progress::start(talk, manner == Manner::Kept, search.max_time);
    let cache = if manner == Manner::Kept { search.cache() } else { None };
    let watch = Some(progress.watch.clone());
    Ok((Options { cache, watch, ..search.apply(what.options())? }, progress))
}

/// Options that decide a plan cannot change one that is made.
fn of_a_plan_file(what: &What, search: &Search) -> Result<(), Error> {
    if search.path.is_some() || search.resume {
        return Err(Error::Usage(
            "a plan file has its paths already, help: give the source, and the plan as `--path FILE --refine` to improve it".into(),
        ));
    }
    let late = [
        ("--network", what.network.is_some()),
        ("--set", !what.set.is_empty()),
        ("--dtype", what.dtype.is_some()),
        ("--wrt", search.wrt.is_some()),
        ("--minimize", search.minimize != Objective::Time),
        ("--max-time", search.max_time.is_some()),
        ("--trials", search.trials.is_some()),
        ("--preset", search.preset != Preset::Auto),
    ];
    match late.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Error::Usage(format!(
            "`{option}` decides a plan, and this one is made, help: leave it out, or give the source instead of the plan file"
        ))),
        None => Ok(()),
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
    manner: Manner,
    talk: Talk,
) -> Result<Planned, Error> {
    let (mut options, progress) = options(what, search, manner, talk)?;
    more(&mut options);
    if options.wrt.is_some() && !options.grad && !options.jvp {
        return Err(Error::Usage(
            "`--wrt` names the leaves that need a gradient, help: ask for one with `--grad` or `--jvp`"
                .into(),
        ));
    }
    match what.source() {
        Source::Plan(path) => {
            let plan = load_plan(&path)?;
            tn_driver::has_entries(&plan, &options)?;
            tn_driver::is_within(&plan, search.memory, search.max_size)?;
            Ok(Planned::File(Box::new(plan)))
        }
        source => {
            let compiled = compile(&source, &options);
            drop(progress);
            let compiled = compiled?;
            warn(&compiled.warnings(talk.color), talk);
            Ok(Planned::Fresh(Box::new(compiled)))
        }
    }
}
