//! The CUDA of whole networks through the real compiler, where there is one.

use std::process::Command;
use tn_tests::emitted::{folder, run, write_cuda};
use tn_tests::network::{Job, all_entries, compile_file, corpus_files};

#[test]
#[ignore = "needs nvcc: set NVCC to its path"]
fn the_corpus_compiles_with_nvcc_for_sm_80_and_sm_90() {
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "corpus_nvcc").unwrap();
    let mut jobs = Vec::new();
    for (name, path) in corpus_files("features").unwrap().into_iter().chain(corpus_files("standard").unwrap())
    {
        let compiled = compile_file(path, &all_entries()).unwrap_or_else(|e| panic!("{name}: {e}"));
        jobs.push(Job::drawn(compiled.plan().unwrap(), &format!("net_{name}"), None, 1).unwrap());
    }
    write_cuda(&jobs, &dir).unwrap();
    let nvcc = std::env::var_os("NVCC").unwrap_or_else(|| "nvcc".into());
    for arch in ["sm_80", "sm_90"] {
        let mut c = Command::new(&nvcc);
        c.args(["-std=c++17", "-cubin", "-Werror", "all-warnings", "-Xptxas", "-v,-warn-spills,-Werror"]);
        c.arg(format!("-arch={arch}")).arg("-o").arg(dir.join("all.cubin")).arg(dir.join("all.cu"));
        run(&mut c).unwrap();
    }
}
