//! `tnc check`: diagnostics, and what each network builds.

use crate::args::{Check, Format};
use crate::{Talk, out};
use tn_driver::check::{check_files, check_report};
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
    let checked = check_files(&a.files, &options)?;
    match a.format {
        Format::Ron => {
            return Err(Error::Usage("a check has no ron form, help: use `--format text` or `json`".into()));
        }
        Format::Json => {
            // The diagnostics are the result: they go to stdout, and stderr stays empty.
            out::result(&out::json(&checked.json()), a.output.as_deref())?;
            return if checked.failed() { Err(Error::Reported) } else { Ok(()) };
        }
        Format::Text => {}
    }
    if checked.failed() {
        out::say(checked.render(talk.color).trim_end());
        return Err(Error::Reported);
    }
    super::warn(&checked.render(talk.color), talk);
    let mut reports: Vec<String> =
        checked.networks.iter().map(|n| check_report(&n.source_program, &n.regions)).collect();
    reports.extend(checked.unset.iter().map(|(name, params)| {
        let names: Vec<String> = params.iter().map(|p| format!("`{p}`")).collect();
        let set: Vec<String> = params.iter().map(|p| format!("--set {p}=…")).collect();
        format!(
            "network {name}: not built, no default for {}, help: give values with `{}`\n",
            names.join(", "),
            set.join(" ")
        )
    }));
    out::result(reports.join("\n").as_bytes(), a.output.as_deref())
}
