//! `tnc fmt`: rewrites files in the canonical form, or says which are not in it.

use crate::Talk;
use crate::args::Fmt;
use crate::out;
use tn_driver::Error;
use tn_driver::data::write_whole;
use tn_driver::format::{Formatted, format_file};

/// Formats.
pub fn run(a: &Fmt, talk: Talk) -> Result<(), Error> {
    let mut first: Option<Error> = None;
    let mut unformatted = 0usize;
    for path in &a.files {
        // One bad file does not keep the others from being formatted; the first error decides the exit status.
        let result = format_file(path).and_then(|formatted| match formatted {
            Formatted::Same => Ok(()),
            Formatted::Changed(_) if a.check => {
                unformatted += 1;
                out::say(format_args!("not formatted: {}", path.display()));
                Ok(())
            }
            Formatted::Changed(text) => Ok(write_whole(path, text.as_bytes())?),
        });
        if let Err(error) = result {
            match first {
                None => first = Some(error),
                Some(_) => out::say(error.render(talk.color).trim_end()),
            }
        }
    }
    match first {
        Some(error) => Err(error),
        None if unformatted > 0 => Err(Error::Input(format!(
            "`{unformatted}` of `{}` files are not formatted, help: run `tnc fmt`",
            a.files.len()
        ))),
        None => Ok(()),
    }
}
