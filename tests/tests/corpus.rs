//! Every network of the corpus: its value against brute force over its program, its gradients against central differences and
//! forward mode, and all of that by emitted Rust and CUDA.

use std::collections::HashMap;
use tn_driver::Source;
use tn_driver::grad_check::grad_check;
use tn_ir::dtype::DType;
use tn_ir::eval::Dense;
use tn_ir::naive::{self, NaiveOutput};
use tn_ir::program::LeafId;
use tn_plan::ir::{Class, EntryKind};
use tn_tests::emitted::{folder, run_cuda, run_rust};
use tn_tests::network::{Job, agree, all_agree, all_entries, compile_file, corpus_files};

fn files() -> Vec<(String, std::path::PathBuf)> {
    let mut all = corpus_files("features").unwrap();
    all.extend(corpus_files("standard").unwrap());
    assert!(all.len() >= 38);
    all
}

fn job(name: &str, path: &std::path::Path) -> (tn_driver::Compiled, Job) {
    let compiled = compile_file(path.into(), &all_entries()).unwrap_or_else(|e| panic!("{name}: {e}"));
    // Run-time sizes differ from the hints: what was planned for the hint must hold for others.
    let dynamic = Some(5);
    let job = Job::drawn(compiled.plan().unwrap(), &format!("net_{name}"), dynamic, 11).unwrap();
    (compiled, job)
}

#[test]
fn values_are_those_of_the_program_by_brute_force() {
    // Every index of a contraction at once is too much for a chain of 400.
    for (name, path) in files().into_iter().filter(|(n, _)| n != "logs") {
        let (compiled, job) = job(&name, &path);
        let program = &compiled.prepared.source_program;
        let sizes = program.symbols.ids().map(|s| (s, job.size(s))).collect();
        let mut leaves: HashMap<LeafId, Dense> = HashMap::new();
        for (i, leaf) in job.plan.leaves.iter().enumerate() {
            if let Some(data) = job.given.get(&Class::Leaf(i as u32)) {
                let shape = leaf.dims.iter().map(|d| d.eval(|s| job.size(s))).collect();
                leaves.insert(LeafId(i as u32), Dense { shape, data: data.clone() });
            }
        }
        let got = job.execute(2).unwrap();
        for (i, want) in naive::evaluate(program, &leaves, &sizes).iter().enumerate() {
            let NaiveOutput::Plain(want) = want else { panic!("{name}: a log") };
            let got = &got[&(EntryKind::Forward, Class::Output(i as u32))];
            agree(&format!("{name}: output {i}"), got, &want.data, 1e-11).unwrap();
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    for (name, path) in files() {
        let (report, _) = grad_check(&Source::File(path), &all_entries(), vec![], false)
            .unwrap_or_else(|e| panic!("{name}: {}", e.render(false)));
        for leaf in &report {
            assert!(leaf.error < 1e-7, "{name}: {leaf:?}");
            assert!(leaf.dot_error < 1e-12, "{name}: {leaf:?}");
        }
        assert!(!report.is_empty());
    }
}

/// All networks, and some again in the other element types.
fn jobs() -> Vec<Job> {
    let mut out = Vec::new();
    for (name, path) in files() {
        let (compiled, job) = job(&name, &path);
        let single = ["regions", "hyperedge", "complex_maps", "generator_ttn"].contains(&name.as_str());
        if single {
            let mut prepared = compiled.prepared;
            let dtype = if job.plan.dtype.is_complex() { DType::C64 } else { DType::F32 };
            prepared.program.dtype = dtype;
            prepared.source_program.dtype = dtype;
            let now = std::time::Instant::now();
            let compiled = tn_driver::compile_prepared(prepared, &all_entries(), now).unwrap();
            let name = format!("net_{name}_{dtype}");
            out.push(Job::drawn(compiled.plan().unwrap(), &name, Some(4), 3).unwrap());
        }
        out.push(job);
    }
    out
}

fn compare(jobs: &[Job], got: &[tn_tests::network::Values]) {
    for (job, got) in jobs.iter().zip(got) {
        let tolerance = if job.plan.dtype.real() == DType::F32 { 1e-4 } else { 1e-11 };
        all_agree(&job.plan.name, got, &job.execute(1).unwrap(), tolerance).unwrap();
    }
}

#[test]
fn emitted_rust_computes_the_same() {
    let jobs = jobs();
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "corpus_rust").unwrap();
    compare(&jobs, &run_rust(&jobs, &dir).unwrap());
}

#[test]
fn emitted_cuda_computes_the_same() {
    let jobs = jobs();
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "corpus_cuda").unwrap();
    compare(&jobs, &run_cuda(&jobs, &dir).unwrap());
}
