//! Measures the joint optimiser: what each of its groups gains, what joint planning gains over planning the forward pass alone, how well the cost
//! model ranks plans by the clock, and how long optimising takes.
//!
//! ```text
//! networks ─ tn-driver ─▶ plans ─ tn-codegen ─▶ one generated crate ─ cargo, run ─▶ medians ─▶ tables
//! ```

mod case;
mod clock;
mod corpus;
mod groups;
mod harness;
mod joint;
mod model;
mod optimising;
mod report;
mod stats;
mod trees;

use case::Settings;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: tn-bench-egraph [OPTIONS] [SECTION]...

Sections: groups, joint, corpus, model, optimising; all of them if none is named.

Options:
  --quick          fewer rounds, workloads and plans: a check that everything works
  --machine FILE   model with this machine instead of the built-in one
  --filter TEXT    only cases whose name contains TEXT
  --profile        also print what each kernel takes by the clock and by the model (section `model`)
  --update-docs    put the tables into docs/egraph.md
  --work DIR       where the generated crate is built (default: target/bench-egraph)";

fn main() -> ExitCode {
    let settings = match Settings::of(std::env::args().skip(1)) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("error: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match all(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn all(mut settings: Settings) -> Result<(), String> {
    settings.prepare()?;
    for section in settings.sections.clone() {
        let began = std::time::Instant::now();
        let table = match section.as_str() {
            "groups" => groups::table(&settings)?,
            "joint" => joint::table(&settings)?,
            "corpus" => corpus::table(&settings)?,
            "model" => model::table(&settings)?,
            _ => optimising::table(&settings)?,
        };
        let text = format!("{table}\n{}\n", report::provenance(&settings));
        println!("## {section}\n\n{text}");
        eprintln!("{section}: {:.0} s", began.elapsed().as_secs_f64());
        if settings.update_docs {
            report::put(&section, &text)?;
        }
    }
    Ok(())
}
