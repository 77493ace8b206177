//! `tnc check`: diagnostics, and what each network builds.

use crate::args::{Check, Format};
use crate::{Talk, out};
use tn_driver::check::{Checked, check_files, check_report};
use tn_driver::{Error, Options, Source};

/// Checks.
pub fn run(a: &Check, talk: Talk) -> Result<(), Error> {
    let options = Options { network: a.network.clone(), set: a.set.clone(), ..Options::default() };
    if let Some(form) = a.print {
        let mut text = String::new();
        for path in &a.files {
            text.push_str(&tn_driver::print::print(&Source::of_path(path), &options, form.into())?);
        }
        return out::result(text.as_bytes(), a.output.as_deref());
    }
    let Checked { errors, networks } = check_files(&a.files, &options)?;
    let failed = errors.diagnostics.iter().any(|d| d.is_error());
    match a.format {
        Format::Ron => return Err(Error::Usage("a check has no ron form, help: use `--format text` or `json`".into())),
        Format::Json => {
            // The diagnostics are the result: they go to stdout, and stderr stays empty.
            out::result(errors.json().as_bytes(), a.output.as_deref())?;
            return if failed { Err(Error::Reported) } else { Ok(()) };
        }
        Format::Text => {}
    }
    if failed {
        return Err(Error::Source(Box::new(errors)));
    }
    super::warn(&tn_driver::render(&errors, talk.color), talk);
    let reports: Vec<String> = networks.iter().map(|n| check_report(&n.source_program, &n.regions)).collect();
    out::result(reports.join("\n").as_bytes(), a.output.as_deref())
}
