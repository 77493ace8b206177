//! What emitted code looks like: uniform networks emit little, however many tensors they have; large results are written past the caches.

use tn_driver::emit::{Emission, emit};
use tn_driver::{Options, Source, compile};
use tn_ir::dtype::DType;
use tn_tests::network::compile_text;

/// Lines of Rust for the norm of a uniform open state. At this bond a sweep from the ends costs less than squaring its transfer matrix.
fn lines(sites: u32, bond: u32) -> usize {
    let text = format!(
        "network norm {{ dtype f64 index a[0..{sites} - 1]: {bond}, s[0..{sites}]: 2
         param A[a[0], s[0], a[0]] param L[s[0], a[0]] param R[a[0], s[0]]
         let psi[s[..]] = L[s[0], a[0]] * R[a[{sites} - 2], s[{sites} - 1]] * prod k in 1..{sites} - 1 {{ A[a[k - 1], s[k], a[k]] }}
         output z[] = psi[s[..]] * conj(psi[s[..]]) }}"
    );
    let compiled = compile_text(&text, &Options::default()).unwrap();
    let files =
        emit(compiled.plan().unwrap(), Emission::Rust { runtime_crate: false, c_abi: false }).unwrap();
    files.iter().map(|f| f.1.lines().count()).sum()
}

#[test]
fn the_norm_of_a_uniform_open_state_is_a_loop() {
    let (few, many) = (lines(200, 32), lines(8000, 32));
    assert!(many <= few + few / 4 && many < 2500, "{few} lines for 200 sites, {many} for 8000");
}

#[test]
fn results_far_larger_than_the_caches_are_written_past_them() {
    let emitted = |rows: u64, runtime_crate| {
        let sizes = vec![("k".into(), 8), ("a".into(), rows), ("b".into(), 64)];
        let source = Source::Einsum { expression: "ak,bk->ab".into(), sizes };
        let options = Options { dtype: Some(DType::F32), ..Options::default() };
        let compiled = compile(&source, &options).unwrap();
        let how = Emission::Rust { runtime_crate, c_abi: false };
        emit(compiled.plan().unwrap(), how).unwrap().remove(0).1
    };
    let streams = |text: &str| (text.contains("stream(&mut v"), text.contains("settle();"));
    assert_eq!(streams(&emitted(1 << 18, true)), (true, true));
    // by itself a module has no such instruction, and a small result is soon read
    assert_eq!(streams(&emitted(1 << 18, false)), (false, false));
    assert_eq!(streams(&emitted(1 << 14, true)), (false, false));
}
