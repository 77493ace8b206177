//! `tnc init`: initial parameters.

use crate::Talk;
use crate::args::Init;
use tn_driver::data::{FileKind, encode, write_whole};
use tn_driver::init::initial_parameters;
use tn_driver::{Error, Source, load_plan, prepare};

/// Writes initial parameters.
pub fn run(a: &Init, talk: Talk) -> Result<(), Error> {
    let kind = FileKind::of(&a.output)?;
    let arrays = match a.what.source() {
        Source::Plan(path) => {
            let plan = load_plan(&path)?;
            initial_parameters(&plan.leaves, plan.dtype, a.seed)?
        }
        source => {
            let prepared = prepare(&source, &a.what.options())?;
            super::warn(&prepared.warnings(talk.color), talk);
            let program = &prepared.source_program;
            initial_parameters(&tn_driver::leaf_infos(program, &prepared.needs_grad)?, program.dtype, a.seed)?
        }
    };
    let bytes = encode(kind, &arrays).map_err(Error::Usage)?;
    write_whole(&a.output, &bytes)?;
    let entries: u64 = arrays.iter().map(|(_, a)| a.shape.iter().product::<u64>()).sum();
    let count = if arrays.len() == 1 { "1 array".to_owned() } else { format!("{} arrays", arrays.len()) };
    talk.note(format!("wrote {entries} parameters in {count} to {}", a.output.display()));
    Ok(())
}
