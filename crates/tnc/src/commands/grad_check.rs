//! `tnc grad-check`: gradients against central differences.

use super::Manner;
use crate::args::{Format, GradCheck};
use crate::{Talk, out};
use tn_driver::given::read_given;
use tn_driver::grad_check::{grad_check, report_json, report_text, worst};
use tn_driver::{Error, Source};

/// Checks gradients; exit 1 where one is worse than the tolerance.
pub fn run(a: &GradCheck, talk: Talk) -> Result<(), Error> {
    let source = a.what.source();
    if matches!(source, Source::Plan(_)) {
        return Err(Error::Usage(
            "gradients are checked in f64 from the source, help: give the `.tn` file".into(),
        ));
    }
    let given = read_given(&a.data)?;
    let (options, progress) = super::options(&a.what, &a.search, Manner::Pure, talk)?;
    let options = tn_driver::Options { grad: true, jvp: true, ..options };
    let checked = grad_check(&source, &options, given, talk.color);
    drop(progress);
    let (report, warnings) = checked?;
    super::warn(&warnings, talk);
    let bytes = match a.format {
        Format::Json => out::json(&report_json(&report)),
        Format::Text => report_text(&report).into_bytes(),
        Format::Ron => {
            return Err(Error::Usage(
                "this report has no ron form, help: use `--format text` or `json`".into(),
            ));
        }
    };
    out::result(&bytes, a.output.as_deref())?;
    let worst = worst(&report);
    if worst.is_nan() || worst > a.tolerance {
        return Err(Error::Input(format!(
            "the worst relative error `{worst:.3e}` is above the tolerance `{:.1e}`",
            a.tolerance
        )));
    }
    Ok(())
}
