//! `tnc plan`: a report, the JSON surface, a plan file, a sweep or a scaling.

use super::{Planned, planned};
use crate::args::{Format, Plan};
use crate::{Talk, out};
use tn_driver::analysis::{run_scaling, run_sweep, scaling_json, scaling_text, sweep_json, sweep_text};
use tn_driver::json::{SearchFacts, plan_json};
use tn_driver::{Error, Options, Source};

/// Plans.
pub fn run(a: &Plan, talk: Talk) -> Result<(), Error> {
    let format = a.format.unwrap_or_else(|| by_ending(a));
    let options = options(a);
    if let Some(form) = a.search.print {
        let text = tn_driver::print::print(&a.what.source(), &options, form.into())?;
        return out::result(text.as_bytes(), a.output.as_deref());
    }
    let analysis = a.sweep.is_some() || a.scaling.is_some();
    if analysis && format == Format::Ron {
        return Err(Error::Usage(
            "a sweep or scaling is no plan file, help: use `--format text` or `json`".into(),
        ));
    }
    if analysis && matches!(a.what.source(), Source::Plan(_)) {
        return Err(Error::Usage("a plan file has no parameters left, help: give the `.tn` file".into()));
    }
    let bytes = if let Some(sweep) = &a.sweep {
        let rows = run_sweep(&a.what.source(), &options, sweep)?;
        match format {
            Format::Json => out::json(&sweep_json(&sweep.param, &rows)),
            _ => sweep_text(&sweep.param, &rows).into_bytes(),
        }
    } else if let Some(param) = &a.scaling {
        let scaling = run_scaling(&a.what.source(), &options, param)?;
        match format {
            Format::Json => out::json(&scaling_json(param, &scaling)),
            _ => scaling_text(param, &scaling).into_bytes(),
        }
    } else {
        report(a, format, talk)?
    };
    out::result(&bytes, a.output.as_deref())
}

fn by_ending(a: &Plan) -> Format {
    match a.output.as_ref().and_then(|p| p.extension()).and_then(|e| e.to_str()) {
        Some("ron") => Format::Ron,
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

fn options(a: &Plan) -> Options {
    Options { grad: a.grad, jvp: a.jvp, ..a.search.apply(a.what.options()) }
}

fn report(a: &Plan, format: Format, talk: Talk) -> Result<Vec<u8>, Error> {
    let cache = !a.search.no_cache;
    let more = |o: &mut Options| (o.grad, o.jvp, o.cache) = (a.grad, a.jvp, cache);
    let planned = planned(&a.what, &a.search, more, talk)?;
    Ok(match (&planned, format) {
        (_, Format::Ron) => tn_driver::to_ron(planned.plan()?)?.into_bytes(),
        (Planned::Fresh(c), Format::Json) => out::json(&c.json()),
        (Planned::Fresh(c), Format::Text) => c.report().into_bytes(),
        (Planned::File(p), Format::Json) => {
            let facts = SearchFacts { seed: p.summary.seed, ..SearchFacts::default() };
            out::json(&plan_json(&p.name, &p.regions, Some(&p.summary), facts))
        }
        (Planned::File(p), Format::Text) => {
            tn_driver::report::report(p, &tn_driver::machine::load(a.search.machine.as_deref())?).into_bytes()
        }
    })
}
