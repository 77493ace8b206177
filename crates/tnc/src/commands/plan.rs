//! `tnc plan`: a report, the JSON surface, a plan file, a sweep or a scaling.

use super::{Manner, Planned, options, planned};
use crate::args::{Format, Plan, WrittenPath};
use crate::{Talk, out};
use std::collections::BTreeSet;
use tn_driver::analysis::{run_scaling, run_sweep, scaling_json, scaling_text, sweep_json, sweep_text};
use tn_driver::data::write_whole;
use tn_driver::draw::{RegionNet, TreeDrawing, plot_svg};
use tn_driver::json::{SearchFacts, plan_json};
use tn_driver::pareto::{pareto_json, pareto_svg, pareto_text, run_pareto};
use tn_driver::paths::path_text;
use tn_driver::region_plan::drawing_of;
use tn_driver::{Error, Options, Source};
use tn_plan::ir::RegionPlan;

/// Plans.
pub fn run(a: &Plan, talk: Talk) -> Result<(), Error> {
    let format = a.format.unwrap_or_else(|| by_ending(a));
    let analysis = a.sweep.is_some() || a.scaling.is_some() || a.pareto;
    if analysis && format == Format::Ron {
        return Err(Error::Usage(
            "a sweep, scaling or frontier is no plan file, help: use `--format text` or `json`".into(),
        ));
    }
    if analysis && matches!(a.what.source(), Source::Plan(_)) {
        return Err(Error::Usage("a plan file has no parameters left, help: give the `.tn` file".into()));
    }
    let bytes = match analysis || a.search.print.is_some() {
        true => analysed(a, format, talk)?,
        false => report(a, format, talk)?,
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

/// An intermediate form, a sweep or a scaling.
fn analysed(a: &Plan, format: Format, talk: Talk) -> Result<Vec<u8>, Error> {
    let (options, progress) = options(&a.what, &a.search, Manner::Kept, talk)?;
    let options = Options { grad: a.grad, jvp: a.jvp, ..options };
    let source = a.what.source();
    let text = if let Some(form) = a.search.print {
        tn_driver::print::print(&source, &options, form.into()).map(String::into_bytes)
    } else if let Some(sweep) = &a.sweep {
        run_sweep(&source, &options, sweep).map(|rows| match format {
            Format::Json => out::json(&sweep_json(&sweep.param, &rows)),
            _ => sweep_text(&sweep.param, &rows).into_bytes(),
        })
    } else if a.pareto {
        run_pareto(&source, &options).and_then(|points| {
            if let Some(file) = &a.plot {
                write_whole(file, pareto_svg(&source.name(), &points).as_bytes())?;
            }
            Ok(match format {
                Format::Json => out::json(&pareto_json(&points)),
                _ => pareto_text(&points).into_bytes(),
            })
        })
    } else {
        let param = a.scaling.as_deref().unwrap_or_default();
        run_scaling(&source, &options, param).map(|scaling| match format {
            Format::Json => out::json(&scaling_json(param, &scaling)),
            _ => scaling_text(param, &scaling).into_bytes(),
        })
    };
    drop(progress);
    text
}

fn report(a: &Plan, format: Format, talk: Talk) -> Result<Vec<u8>, Error> {
    let more = |o: &mut Options| (o.grad, o.jvp) = (a.grad, a.jvp);
    let planned = planned(&a.what, &a.search, more, Manner::Kept, talk)?;
    let bytes = match (&planned, format) {
        (_, Format::Ron) => tn_driver::to_ron(planned.plan()?)?.into_bytes(),
        (Planned::Fresh(c), Format::Json) => out::json(&c.json()),
        (Planned::Fresh(c), Format::Text) => c.report().into_bytes(),
        (Planned::File(p), Format::Json) => {
            let facts = SearchFacts { seed: p.summary.seed, ..SearchFacts::default() };
            out::json(&plan_json(p, facts))
        }
        (Planned::File(p), Format::Text) => {
            tn_driver::report::report(p, &tn_driver::machine::load(a.search.machine.as_deref())?).into_bytes()
        }
    };
    beside(a, &planned, talk)?;
    // The process ends soon: giving back the memory of a large plan piece by piece would take longer than making its report.
    std::mem::forget(planned);
    Ok(bytes)
}

/// The files that are written beside the result: paths and a picture.
fn beside(a: &Plan, planned: &Planned, talk: Talk) -> Result<(), Error> {
    let regions = match planned {
        Planned::Fresh(c) => &c.region_plans,
        Planned::File(p) => &p.regions,
    };
    if let Some(file) = &a.write_path {
        let text = path_text(regions, a.write_path_format == WrittenPath::Ssa);
        write_whole(file, text.as_bytes())?;
        if regions.iter().any(|r| !r.sliced.is_empty()) {
            talk.note(format!(
                "note: `{}` has the order alone, not the slices; `--format json` has both",
                file.display()
            ));
        }
    }
    if let Some(file) = &a.plot {
        write_whole(file, plot(a, planned)?.as_bytes())?;
    }
    Ok(())
}

fn plot(a: &Plan, planned: &Planned) -> Result<String, Error> {
    let machine = tn_driver::machine::load(a.search.machine.as_deref())?;
    let (name, regions, plan, leaves): (&str, &[RegionPlan], _, BTreeSet<&str>) = match planned {
        Planned::Fresh(c) => {
            let program = &c.prepared.program;
            let leaves = program.leaves.iter().map(|l| l.name.as_str()).collect();
            (&program.name, &c.region_plans, c.built.as_ref().map(|b| &b.plan), leaves)
        }
        Planned::File(p) => {
            (&p.name, &p.regions, Some(&**p), p.leaves.iter().map(|l| l.name.as_str()).collect())
        }
    };
    let nets: Vec<RegionNet> = regions.iter().map(|r| drawing_of(r, &leaves)).collect();
    let trees: Vec<TreeDrawing<'_>> =
        nets.iter().zip(regions).map(|(n, r)| (n, r.ssa_path.as_slice(), r.sliced.as_slice())).collect();
    let plan = plan.map(|p| (&**p, &machine));
    Ok(plot_svg(&format!("plan of {name}"), regions, &trees, plan, a.search.memory))
}
