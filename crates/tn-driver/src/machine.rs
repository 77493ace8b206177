//! Machine descriptions: the built-in one, or a file that `tnc calibrate` wrote.

use crate::bind::Given;
use crate::data::{DataArray, Elements};
use crate::error::Error;
use crate::options::{Options, Source};
use crate::run::{Request, run};
use num_complex::Complex64;
use std::time::Instant;
use tn_ir::dtype::DType;
use tn_plan::cost::{Machine, Rates};

/// The machine of that name, or of that file; the built-in one without a name.
///
/// # Errors
/// The file cannot be read or is no machine description.
pub fn load(name: Option<&str>) -> Result<Machine, Error> {
    let builtin = Machine::default();
    match name {
        None => Ok(builtin),
        Some(n) if n == builtin.name => Ok(builtin),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| {
                Error::Io(format!(
                    "cannot read the machine file `{path}`: {e}, help: the built-in machine is `{}`, and `tnc calibrate -o FILE` writes another",
                    builtin.name
                ))
            })?;
            Machine::from_ron(&text).map_err(|why| Error::Input(format!("`{path}`: {why}")))
        }
    }
}

/// Measures this machine and returns its description: matrix products of each element type by the executor, a copy of 64 MiB, and a chain of
/// small steps.
///
/// # Errors
/// Only if a step of the road fails.
pub fn calibrate(name: &str, threads: usize) -> Result<String, Error> {
    let rate = |dtype| -> Result<f64, Error> {
        const N: u64 = 384;
        let seconds = best_run("ab,bc->ac", &[("a", N), ("b", N), ("c", N)], dtype, threads)?;
        Ok((N * N * N) as f64 / seconds)
    };
    let macs_per_second = Rates {
        f32: rate(DType::F32)?,
        f64: rate(DType::F64)?,
        c64: rate(DType::C64)?,
        c128: rate(DType::C128)?,
    };
    // Small enough that arithmetic does not matter: what is left is what a step costs.
    const STEPS: usize = 24;
    let letters: Vec<char> = ('a'..='z').take(STEPS + 1).collect();
    let inputs: Vec<String> = letters.windows(2).map(|w| w.iter().collect()).collect();
    let sizes: Vec<(String, u64)> = letters.iter().map(|c| (c.to_string(), 1)).collect();
    let sizes: Vec<(&str, u64)> = sizes.iter().map(|(n, s)| (n.as_str(), *s)).collect();
    let chain = format!("{}->{}{}", inputs.join(","), letters[0], letters[STEPS]);
    let step_seconds = best_run(&chain, &sizes, DType::F64, threads)? / STEPS as f64;
    let machine =
        Machine { name: name.into(), macs_per_second, bytes_per_second: bytes_per_second(), step_seconds };
    machine.check().map_err(|e| Error::internal("calibrate", e))?;
    machine.to_ron().map(|t| t + "\n").map_err(|e| Error::internal("calibrate", e))
}

/// The shortest of some runs of an einsum.
fn best_run(expression: &str, sizes: &[(&str, u64)], dtype: DType, threads: usize) -> Result<f64, Error> {
    let sizes = sizes.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect();
    let source = Source::Einsum { expression: expression.into(), sizes };
    let compiled = crate::compile(&source, &Options { dtype: Some(dtype), ..Options::default() })?;
    let plan = compiled.plan()?;
    let given = |_| -> Vec<Given> {
        let leaf = |l: &tn_plan::ir::LeafInfo| {
            let shape: Vec<u64> = l.dims.iter().map(|d| d.eval(|_| 1)).collect();
            let n = shape.iter().product::<u64>();
            let values: Vec<Complex64> = (0..n).map(|i| Complex64::new((i % 7) as f64 - 3.0, 0.0)).collect();
            let elements = Elements::from_complex(dtype, &values);
            Given {
                name: l.name.clone(),
                array: DataArray { shape, elements },
                pairs: false,
                file: String::new(),
            }
        };
        plan.leaves.iter().map(leaf).collect()
    };
    let request = Request { threads, ..Request::default() };
    let mut best = f64::INFINITY;
    for round in 0..5 {
        best = best.min(run(plan, given(round), &request)?.seconds);
    }
    Ok(best)
}

fn bytes_per_second() -> f64 {
    const BYTES: usize = 64 << 20;
    let source = vec![1u8; BYTES];
    let mut target = vec![0u8; BYTES];
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let began = Instant::now();
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
        best = best.min(began.elapsed().as_secs_f64());
    }
    2.0 * BYTES as f64 / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_by_name_and_files() {
        assert_eq!(load(None).unwrap(), load(Some("default")).unwrap());
        assert!(matches!(load(Some("/nowhere/m.ron")), Err(Error::Io(_))));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.ron");
        let fast = Machine { name: "fast".into(), ..Machine::default() };
        std::fs::write(&path, fast.to_ron().unwrap()).unwrap();
        assert_eq!(load(path.to_str()).unwrap(), fast);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(load(path.to_str()), Err(Error::Input(_))));
    }
}
