//! Emitted kernels by the clock. All plans become modules of one crate, because compiling is what costs; the crate compares values and times.

use crate::case::{Case, Settings};
use crate::harness::{MAIN, emitted, files};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// What a plan took, in seconds: medians.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// `forward`.
    pub forward: f64,
    /// `forward_saving` and `vjp`; NaN without a gradient.
    pub pair: f64,
    /// With `--profile`: each kernel's name, its calls in one `forward` and their seconds together.
    pub kernels: Vec<(String, u64, f64)>,
    /// The same program as this earlier variant, which was timed once for both.
    pub same_as: Option<usize>,
}

impl Timing {
    /// The gradient's time where there is one, `forward` otherwise.
    pub fn whole(&self) -> f64 {
        if self.pair.is_nan() { self.forward } else { self.pair }
    }
}

/// Builds all cases as one crate in `DIR/name`, checks that variants of a case agree, and times them.
pub fn measure(cases: &[Case], name: &str, settings: &Settings) -> Result<Vec<Vec<Timing>>, String> {
    let dir = settings.work.join(name);
    let io = |e: std::io::Error| format!("{}: {e}", dir.display());
    let src = dir.join("src");
    let _ = std::fs::remove_dir_all(&src);
    std::fs::create_dir_all(&src).map_err(io)?;
    let (mut mods, mut calls, mut number) = (String::new(), String::new(), 0);
    // for each case, the variants that were written
    let mut written: Vec<Vec<usize>> = vec![];
    for (c, case) in cases.iter().enumerate() {
        let mut known: HashMap<String, usize> = HashMap::new();
        let (mut of, mut makers) = (vec![], vec![]);
        for v in &case.variants {
            let text = emitted(&v.plan)?;
            if let Some(&k) = known.get(&text) {
                of.push(k);
                continue;
            }
            let k = makers.len();
            known.insert(text.clone(), k);
            of.push(k);
            let module = format!("v{number}");
            let f = files((&v.plan, v.at), text, &module, &dir, settings.profile)
                .map_err(|e| format!("{}, {}: {e}", case.name, v.label))?;
            std::fs::write(src.join(format!("{module}.rs")), f.module).map_err(io)?;
            std::fs::write(src.join(format!("h{number}.rs")), f.harness).map_err(io)?;
            let _ = writeln!(mods, "mod {module};\nmod h{number};");
            makers.push(format!("h{number}::new"));
            number += 1;
        }
        let _ = writeln!(calls, "    case({c}, &[{}]);", makers.join(", "));
        written.push(of);
    }
    let main = format!("#![allow(warnings)]\n{mods}\n{MAIN}\nfn main() {{\n{calls}}}\n");
    std::fs::write(src.join("main.rs"), main).map_err(io)?;
    let manifest = format!(
        "[package]\nname = \"measured-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[profile.release]\ndebug = false\n"
    );
    std::fs::write(dir.join("Cargo.toml"), manifest).map_err(io)?;
    let printed = build_and_run(&dir, name, settings)?;
    let timings = parse(&printed, &written)?;
    for (c, case) in cases.iter().enumerate() {
        for (k, v) in case.variants.iter().enumerate() {
            let wrong = format!("wrong {c} {} ", written[c][k]);
            if let Some(why) = printed.lines().find_map(|l| l.strip_prefix(&wrong)) {
                return Err(format!(
                    "{}: `{}` does not agree with `{}`: {why}",
                    case.name, v.label, case.variants[0].label
                ));
            }
        }
    }
    Ok(timings)
}

fn build_and_run(dir: &Path, name: &str, settings: &Settings) -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let target = settings.work.join("target");
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--offline", "--quiet"]).current_dir(dir);
    build.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", "-C target-cpu=native");
    let out = build.output().map_err(|e| format!("cargo: {e}"))?;
    if !out.status.success() {
        return Err(format!(
            "the generated crate does not compile\n{}",
            String::from_utf8_lossy(&out.stderr)
        ));
    }
    let (rounds, sample) = if settings.quick { ("5", "0.002") } else { ("15", "0.02") };
    let mut run = Command::new(target.join("release").join(format!("measured-{name}")));
    run.args([rounds, sample]);
    if settings.profile {
        run.arg("profile");
    }
    let out = run.output().map_err(|e| format!("the generated program: {e}"))?;
    if !out.status.success() {
        return Err(format!("the generated program failed\n{}", String::from_utf8_lossy(&out.stderr)));
    }
    String::from_utf8(out.stdout).map_err(|e| e.to_string())
}

/// The lines of the generated program, for each variant of each case.
fn parse(printed: &str, written: &[Vec<usize>]) -> Result<Vec<Vec<Timing>>, String> {
    let mut found: HashMap<(usize, usize), Timing> = HashMap::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let bad = || format!("the generated program printed `{line}`");
        let number = |w: &str| w.parse::<f64>().map_err(|_| bad());
        let place = |a: &str, b: &str| {
            Ok::<_, String>((a.parse().map_err(|_| bad())?, b.parse().map_err(|_| bad())?))
        };
        match words.as_slice() {
            ["time", c, k, forward, pair] => {
                let t = found.entry(place(c, k)?).or_default();
                (t.forward, t.pair) = (number(forward)?, number(pair)?);
            }
            ["kernel", c, k, name, calls, seconds] => {
                let kernel = ((*name).to_owned(), number(calls)? as u64, number(seconds)?);
                found.entry(place(c, k)?).or_default().kernels.push(kernel);
            }
            ["wrong", ..] => {}
            _ => return Err(bad()),
        }
    }
    let mut out = vec![];
    for (c, of) in written.iter().enumerate() {
        let mut row: Vec<Timing> = vec![];
        for (v, &k) in of.iter().enumerate() {
            let t =
                found.get(&(c, k)).cloned().ok_or_else(|| format!("case {c}, variant {v} was not timed"))?;
            let same_as = of[..v].iter().position(|&o| o == k);
            row.push(Timing { same_as, ..t });
        }
        out.push(row);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_timings_and_equal_programs_are_told() {
        let text = "time 0 0 1e-3 NaN\nkernel 0 0 contract_1 2 5e-4\ntime 0 1 2e-3 4e-3\n";
        let t = parse(text, &[vec![0, 1, 1]]).unwrap();
        assert_eq!((t[0][0].whole(), t[0][1].whole()), (1e-3, 4e-3));
        assert_eq!(t[0][0].kernels, [("contract_1".to_owned(), 2, 5e-4)]);
        assert_eq!((t[0][1].same_as, t[0][2].same_as), (None, Some(1)));
        assert!(parse("time 0 0 1e-3 NaN\n", &[vec![0, 1]]).is_err());
        assert!(parse("Segmentation fault\n", &[vec![0]]).is_err());
    }
}
