//! Uniform networks emit little code, however many tensors they have.

use tn_driver::Options;
use tn_driver::emit::{Emission, emit};
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
