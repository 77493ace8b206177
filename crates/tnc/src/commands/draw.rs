//! `tnc draw`: the network or the tree of its plan as DOT or SVG.

use super::{Manner, planned};
use crate::args::{Draw, Drawing};
use crate::{Talk, out};
use std::collections::BTreeSet;
use tn_driver::draw::{RegionNet, TreeDrawing, dot, picture, svg, tree_svg};
use tn_driver::region_plan::drawing_of;
use tn_driver::{Error, Source, prepare, prepared_drawing};
use tn_plan::ir::RegionPlan;

/// Draws.
pub fn run(a: &Draw, talk: Talk) -> Result<(), Error> {
    let by_name = a.output.as_ref().and_then(|p| p.extension()?.to_str().map(str::to_owned));
    let format = a.format.unwrap_or(match by_name.as_deref() {
        Some("dot" | "gv") => Drawing::Dot,
        Some(other) if other != "svg" && a.format.is_none() => {
            return Err(Error::Usage(format!(
                "a drawing is no `.{other}` file, help: name it `.svg` or `.dot`, or give `--format`"
            )));
        }
        _ => Drawing::Svg,
    });
    if a.tree && format == Drawing::Dot {
        return Err(Error::Usage("a tree is drawn as svg only, help: leave out `--format dot`".into()));
    }
    let text = match (a.tree, a.what.source()) {
        (
            false,
            source @ (Source::File(_) | Source::Instance(_) | Source::Einsum { .. } | Source::Text { .. }),
        ) => {
            let prepared = prepare(&source, &a.what.options())?;
            super::warn(&prepared.warnings(talk.color), talk);
            network(&prepared.program.name, &prepared_drawing(&prepared), format)
        }
        _ => {
            let planned = planned(&a.what, &a.search, |_| {}, Manner::Kept, talk)?;
            let (name, regions, leaves) = match &planned {
                super::Planned::Fresh(c) => {
                    let leaves = c.prepared.program.leaves.iter().map(|l| l.name.as_str()).collect();
                    (c.prepared.program.name.as_str(), &c.region_plans, leaves)
                }
                super::Planned::File(p) => {
                    (p.name.as_str(), &p.regions, p.leaves.iter().map(|l| l.name.as_str()).collect())
                }
            };
            drawing(name, regions, &leaves, a.tree, format)
        }
    };
    out::result(text.as_bytes(), a.output.as_deref())
}

fn network(name: &str, regions: &[RegionNet], format: Drawing) -> String {
    let picture = picture(name, regions);
    match format {
        Drawing::Dot => dot(&picture),
        Drawing::Svg => svg(&picture),
    }
}

fn drawing(
    name: &str,
    regions: &[RegionPlan],
    leaves: &BTreeSet<&str>,
    tree: bool,
    format: Drawing,
) -> String {
    let nets: Vec<RegionNet> = regions.iter().map(|r| drawing_of(r, leaves)).collect();
    if !tree {
        return network(name, &nets, format);
    }
    let trees: Vec<TreeDrawing<'_>> =
        nets.iter().zip(regions).map(|(n, r)| (n, r.ssa_path.as_slice(), r.sliced.as_slice())).collect();
    tree_svg(name, &trees)
}
