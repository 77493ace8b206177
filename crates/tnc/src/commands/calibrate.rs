//! `tnc calibrate`: this machine's rates.

use crate::args::Calibrate;
use crate::{Talk, out};
use tn_driver::Error;

/// Measures and writes the machine file.
pub fn run(a: &Calibrate, talk: Talk) -> Result<(), Error> {
    talk.note("measuring; this takes a few seconds");
    let text = tn_driver::machine::calibrate(&a.name, a.threads)?;
    out::result(text.as_bytes(), a.output.as_deref())
}
