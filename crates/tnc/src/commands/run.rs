//! `tnc run`: a network on arrays from files.

use super::{Manner, Planned, planned};
use crate::args::{Format, Run};
use crate::{Talk, out};
use tn_driver::Error;
use tn_driver::data::{FileKind, encode, write_whole};
use tn_driver::given::read_given;
use tn_driver::run::{Request, run as run_plan, summary_json, summary_text, timings_json, timings_text};

/// Runs.
pub fn run(a: &Run, talk: Talk) -> Result<(), Error> {
    // A name that cannot be written is found before the work is done.
    let kind = a.output.as_deref().map(FileKind::of).transpose()?;
    let given = read_given(&a.data)?;
    let more = |o: &mut tn_driver::Options| (o.grad, o.jvp) = (a.grad, a.jvp);
    let planned = planned(&a.what, &a.search, more, Manner::Kept, talk)?;
    let plan = planned.plan()?;
    let request = Request {
        grad: a.grad,
        jvp: a.jvp,
        cast: a.cast,
        timings: a.timings,
        threads: a.search.threads,
        machine: a.search.machine.clone(),
    };
    let ran = run_plan(plan, given, &request)?;
    if let Planned::Fresh(c) = &planned
        && c.facts.cached
    {
        talk.note("note: the plan came from the cache");
    }
    if let (Some(path), Some(kind)) = (&a.output, kind) {
        let bytes = encode(kind, &ran.arrays).map_err(Error::Usage)?;
        write_whole(path, &bytes)?;
    }
    let text = match (a.timings, a.format) {
        (_, Format::Ron) => {
            return Err(Error::Usage("a run has no ron form, help: use `--format text` or `json`".into()));
        }
        (true, Format::Json) => out::json(&timings_json(plan, &ran)),
        (false, Format::Json) => out::json(&summary_json(plan, &ran)),
        (true, Format::Text) => timings_text(plan, &ran).into_bytes(),
        // Without a file to write to, the result is at least summed up.
        (false, Format::Text) if a.output.is_none() => summary_text(&ran).into_bytes(),
        _ => Vec::new(),
    };
    out::result(&text, None)
}
