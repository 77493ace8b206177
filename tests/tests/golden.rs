//! Every golden case to 1e-10 of its largest entry, value, gradient and tangent: by the executor, by emitted Rust, by emitted CUDA.

use num_complex::Complex64;
use std::collections::BTreeMap;
use tn_driver::data::{DataArray, read_arrays};
use tn_plan::ir::{Class, EntryKind};
use tn_tests::emitted::{folder, measured, run_cuda, run_rust, run_rust_with_the_crate};
use tn_tests::golden::{Case, cases_in};
use tn_tests::network::{Job, Values, agree, all_entries, compile_text};

const TOLERANCE: f64 = 1e-10;

/// A case as a job, with the reference's arrays.
struct Golden {
    case: Case,
    job: Job,
    arrays: BTreeMap<String, DataArray>,
}

impl Golden {
    fn new(case: Case) -> Golden {
        let arrays: BTreeMap<String, DataArray> = read_arrays(&case.npz).unwrap().into_iter().collect();
        let text = case.source(|k| arrays[&format!("param/{k}")].shape.clone());
        let compiled =
            compile_text(&text, &all_entries()).unwrap_or_else(|e| panic!("{}: {e}\n{text}", case.name));
        let plan = compiled.plan().unwrap();
        let dynamic = arrays.get("param/X").map(|x| x.shape[0]);
        let mut job = Job::drawn(plan, &format!("case_{}", case.name), dynamic, 1).unwrap();
        for reference in case.reference_names() {
            let name = case.leaf_name(&reference);
            let at = job.leaf(&name).unwrap_or_else(|| panic!("{}: no leaf {name}", case.name));
            let values = |kind: &str| arrays[&format!("{kind}/{reference}")].elements.to_complex();
            job.given.insert(Class::Leaf(at), values("param"));
            job.given.insert(Class::Tangent(at), values("tangent"));
        }
        let ct = match arrays.get("cotangent") {
            Some(ct) => ct.elements.to_complex(),
            None => {
                let n = job.given[&Class::Cotangent(0)].len();
                (0..n).map(|i| Complex64::new((0.001 * (i % 4099) as f64 + 0.3).sin(), 0.0)).collect()
            }
        };
        job.given.insert(Class::Cotangent(0), ct);
        Golden { case, job, arrays }
    }

    fn check(&self, by: &str, got: &Values) -> Result<(), String> {
        let name = format!("{} by {by}", self.case.name);
        let value = |k: &str| self.arrays.get(k).map(|a| a.elements.to_complex());
        for (kind, class, full, sample) in [
            (EntryKind::Forward, Class::Output(0), "output", "output_sample"),
            (EntryKind::ForwardSaving, Class::Output(0), "output", "output_sample"),
            (EntryKind::Jvp, Class::Output(0), "output", "output_sample"),
            (EntryKind::Jvp, Class::Jvp(0), "jvp", "jvp_sample"),
        ] {
            let got = &got[&(kind, class)];
            match (value(full), value(sample)) {
                (Some(want), _) => agree(&format!("{name}: {full} of {kind:?}"), got, &want, TOLERANCE)?,
                (None, Some(want)) => {
                    let at = sample_positions(&self.case);
                    let some: Vec<Complex64> = at.iter().map(|&i| got[i]).collect();
                    agree(&format!("{name}: {sample}"), &some, &want, TOLERANCE)?;
                }
                _ => return Err(format!("{name}: the reference has no {full}")),
            }
            let sum: Complex64 = got.iter().sum();
            let want = value(&format!("{full}_sum")).ok_or("no sum")?[0];
            let scale: f64 = got.iter().map(|z| z.norm()).sum();
            if (sum - want).norm() > TOLERANCE * scale {
                return Err(format!("{name}: {full}_sum is {sum}, not {want}"));
            }
        }
        for reference in self.case.reference_names() {
            let leaf = self.job.leaf(&self.case.leaf_name(&reference)).ok_or("no leaf")?;
            let want = value(&format!("grad/{reference}")).ok_or("no gradient")?;
            let got = &got[&(EntryKind::Vjp, Class::Grad(leaf))];
            agree(&format!("{name}: grad/{reference}"), got, &want, TOLERANCE)?;
        }
        Ok(())
    }
}

/// The flat positions of samples: an integer array, which networks' readers do not keep.
fn sample_positions(case: &Case) -> Vec<usize> {
    tn_tests::golden::read_int64(&case.npz, "sample_idx").unwrap().into_iter().map(|i| i as usize).collect()
}

fn goldens(keep: impl Fn(&Case) -> bool) -> Vec<Golden> {
    let all = cases_in(&tn_tests::golden::folder()).unwrap();
    assert_eq!(all.len(), 14);
    all.into_iter().filter(keep).map(Golden::new).collect()
}

fn jobs(goldens: &[Golden]) -> Vec<Job> {
    goldens.iter().map(|g| g.job.clone()).collect()
}

fn check_all(goldens: &[Golden], by: &str, got: &[Values]) {
    for (g, got) in goldens.iter().zip(got) {
        g.check(by, got).unwrap();
    }
}

#[test]
fn by_the_executor() {
    for g in goldens(|_| true) {
        let got = g.job.execute(2).unwrap_or_else(|e| panic!("{}: {e}", g.case.name));
        g.check("the executor", &got).unwrap();
    }
}

#[test]
fn by_emitted_rust() {
    let goldens = goldens(|_| true);
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "golden_rust").unwrap();
    check_all(&goldens, "Rust", &run_rust(&jobs(&goldens), &dir).unwrap());
}

#[test]
fn by_emitted_rust_with_the_runtime_crate() {
    let goldens = goldens(|_| true);
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "golden_crate").unwrap();
    check_all(&goldens, "Rust with the crate", &run_rust_with_the_crate(&jobs(&goldens), &dir).unwrap());
    // choosing a version of a kernel takes no memory either
    for job in jobs(&goldens) {
        for entry in &job.plan.entries {
            let (_, own) = measured(&job, entry.kind, &dir).unwrap();
            assert_eq!(own, 0, "{} {:?} allocates", job.plan.name, entry.kind);
        }
    }
}

#[test]
fn by_emitted_cuda() {
    let goldens = goldens(|_| true);
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "golden_cuda").unwrap();
    check_all(&goldens, "CUDA", &run_cuda(&jobs(&goldens), &dir).unwrap());
}
