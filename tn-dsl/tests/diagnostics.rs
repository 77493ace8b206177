//! Diagnostics by what they say, and texts that must have none.

use tn_dsl::diag::{Diagnostic, render_all};
use tn_dsl::elab::check_all;
use tn_dsl::load::load_text;

fn check(text: &str) -> Vec<Diagnostic> {
    check_all(&load_text("test.tn", text), None)
}

/// Message and help of the only diagnostic.
fn only(text: &str) -> (String, String) {
    let found = check(text);
    assert_eq!(found.len(), 1, "{text}: {found:#?}");
    let d = found.into_iter().next().unwrap();
    (d.message, d.help.unwrap_or_else(|| panic!("{text}: no help")))
}

fn says(text: &str, message: &str, help: &str) {
    assert_eq!(only(text), (message.to_string(), help.to_string()), "{text}");
}

/// The same in a network with some indices and parameters.
fn inside(body: &str, message: &str, help: &str) {
    let text = format!(
        "network n {{ index i: 3, j: 2, one: 1 param A[k in 0..3][i] param B[i] param C[i, j] param D[one] {body} }}"
    );
    says(&text, message, help);
}

#[test]
fn the_conjugate_of_a_number() {
    for text in ["conj(2i)", "conj(2)", "conj(2.0) * x[]", "exp(0.5 * conj(1i)) * conj(x[])"] {
        let text = format!("network n {{ dtype c64 param x[] output z[] = {text} * x[] }}");
        assert_eq!(check(&text), [], "{text}");
    }
    assert_eq!(check("network n { output z[] = tanh(2 * conj(3.0)) }"), []);
}

#[test]
fn constants_that_nothing_uses() {
    let found = check("const X = 9223372036854775807 + 1\nconst Y = len(Z)\nnetwork n { output y[] = 1 }");
    let said: Vec<_> = found.iter().map(|d| (d.message.as_str(), d.span.start)).collect();
    assert_eq!(said, [("the result does not fit 64 bits", 10), ("unknown name `Z`", 48)]);
    // reported once, though the network uses it too
    let (message, _) = only("const X = 9223372036854775807 + 1 network n { let a = X output y[] = a }");
    assert_eq!(message, "the result does not fit 64 bits");
    // a network without defaults does not hide them, and complex constants are no mistake where only complex networks use them
    assert_eq!(check("const X = 1 + 2 ^ 64 network n(a: int) { output y[] = a }").len(), 1);
    assert_eq!(check("const Z = 2i * conj(1i) network n { dtype c64 output y[] = Z }"), []);
}

#[test]
fn one_mistake_in_two_calls_is_one_mistake() {
    let (message, help) = only(
        "use std::chain network n { index s[0..3]: 2
        let psi = chain(dims = [2; 3], bond = 0) let phi = chain(dims = [2; 3], bond = 0)
        output z[] = psi[s[..]] * phi[s[..]] }",
    );
    assert_eq!((message.as_str(), help.as_str()), ("an index of size 0", "sizes are 1 or more"));
    let (message, _) = only(
        "topology t(n: int) -> [] { for k in 0..2 { index q: 2 } return [] 1 }
        network n { let a = t(1) let b = t(2) output z[] = a[] * b[] }",
    );
    assert_eq!(message, "`index` cannot stand in a `for`");
    // an empty topology still returns nothing
    let (message, _) = only("topology t() -> [] { } network n { let a = t() output z[] = a[] }");
    assert_eq!(message, "topology `t` returns nothing");
}

#[test]
fn initial_values() {
    let std = "standard deviations are 0 or more";
    let with = |init: &str| {
        format!("network n {{ index i: 2, j: 2 param a[i, j]: init({init}) output y[] = a[i, j] }}")
    };
    says(&with("normal(0, -1)"), "a standard deviation of -1", std);
    says(&with("identity + noise(-0.5)"), "a standard deviation of -0.5", std);
    says(&with("uniform(2, 1)"), "`uniform` from 2 to 1 ends before it begins", "write `uniform(1, 2)`");
    for fine in ["normal(0, 0)", "uniform(1, 1)", "uniform(-2, -1)", "normal(-1, 2)"] {
        assert_eq!(check(&with(fine)), []);
    }
}

#[test]
fn long_names_stay_out_of_messages() {
    let long = "x".repeat(1 << 20);
    for text in [
        format!("network n {{ output y[] = {long}[] }}"),
        format!("network n {{ output y[] = {long} }}"),
        format!("network n {{ index {long}: 2 output y[] = 1 index {long}: 3 }}"),
        format!("use std::{long} network n {{ output y[] = 1 }}"),
        format!("network {long} {{ }}"),
        long.clone(),
        format!("network n {{ {long} }}"),
        format!("network n {{ assert false, \"{long}\" output y[] = 1 }}"),
        format!("network n {{ output y[] = 1 \"{long}"),
        format!("const X = {}", "9".repeat(1 << 20)),
    ] {
        let loaded = load_text("test.tn", &text);
        let found = check_all(&loaded, None);
        let shown = render_all(&found, &loaded.sources, false);
        assert!(!found.is_empty() && shown.len() < 4000, "{}", &shown[..4000.min(shown.len())]);
    }
}

#[test]
fn the_library_shows_what_is_for_users() {
    let (message, help) = only("use std::foo network n { output y[] = 1 }");
    assert_eq!(message, "`std` has no `foo`");
    assert_eq!(help, "it has `mpo`, `cp`, `mera`, `peps`, `ring`, `tree`, …");
    says("use std::chian network n { output y[] = 1 }", "`std` has no `chian`", "did you mean `chain`?");
    says(
        "use std::generators::xyzzy network n { output y[] = 1 }",
        "`std::generators` has no `xyzzy`",
        "it has `mera`, `ttn`, `brick_wall`, `augmented_ttn`",
    );
}

#[test]
fn numbers_and_helps() {
    inside("output y[] = B[5]", "entry 5 of a leg of size 3", "its entries are 0 to 2");
    inside("output y[] = D[-1]", "entry -1 of a leg of size 1", "its only entry is 0");
    inside(
        "output y[] = A[0, 1][i]",
        "family `A` takes 1 subscript, but 2 are given",
        "write `A[k]`; the legs stand in a second bracket",
    );
    inside("output y[] = C[i]", "`C` has 2 legs, but 1 is given", "its legs are [i, j]");
    inside("output y[] = B[i, j]", "`B` has 1 leg, but 2 are given", "its legs are [i]");
    inside("output y[] = B[]", "`B` has 1 leg, but none is given", "its legs are [i]");
    inside(
        "output y[i] = swish(B[i])",
        "unknown name `swish`",
        "define it: `map swish(x; beta) = x / (1 + exp(-beta * x))`",
    );
    inside("output y[i] = wobble(B[i])", "unknown name `wobble`", "define it: `map wobble(x) = …`");
    inside(
        "output y[i] = elu B[i]",
        "expected `=` and the tensor's value, found `}`",
        "an assignment is `B[…] = …`; a map takes its argument in parentheses, `elu(B[…])`; a product is written with `*`",
    );
    inside(
        "output y[i] = prelu(B[i]; 1.0, 2.0)",
        "map `prelu` takes 1 scalar after `;`, but 2 are given",
        "write `prelu(…; slope)`",
    );
    inside(
        "output y[] = quux[i]",
        "unknown name `quux`",
        "declare it: `param quux[…]`, `input quux[…]` or `let quux[…] = …`",
    );
    inside(
        "let m = [1, 2] let v = m[2] output y[] = v",
        "entry 2 of a list of 2",
        "entries are counted from 0",
    );
    says(
        "fn f(a: int) -> int { return a } network n { let b = f(1, 2) output y[] = b }",
        "`f` takes 1 argument, but 2 are given",
        "its parameters are `a`",
    );
}

#[test]
fn the_logarithm_of_nothing() {
    let help = "write `output q[] = …` without `: log`";
    for zero in ["0", "0.0 * x[]", "1 - 1"] {
        let text = format!("network n {{ param x[] output p[] = x[] output q[]: log = {zero} }}");
        says(&text, "`q` is always zero, which has no phase and no logarithm", help);
    }
    assert_eq!(check("network n { param x[] output q[]: log = 2 * x[] output p[]: log = -3 }"), []);
}

#[test]
fn legs_that_cannot_be_meant() {
    inside(
        "output y[i] = C[i?, j]",
        "`i` is a single index, which never lies outside",
        "leave out the `?`: it drops a leg of a family, as in `s[k-1]?`",
    );
    inside(
        "output y[(i) as r, (j) as r] = C[i, j]",
        "another axis of the tensor is called `r` too",
        "give the fold another label",
    );
    inside(
        "output y[i] = tanh(C[i, j])",
        "index `j` is summed inside the argument of a map, where it occurs only once",
        "if it should be summed outside, give the inner expression its own `let`: `let t[i, j] = …`; if its sum is meant, sum it there: `let t[i] = …`",
    );
    inside(
        "output y[i] = t[i] let t[i] = B[i]",
        "unknown name `t`",
        "`t` is declared further down: move that before its first use",
    );
    inside(
        "param w[i, j]: unitary([j] -> [i])",
        "the domain has dimension 2, which is not equal to the codomain's 3",
        "a unitary maps equal dimensions; for a larger codomain write `isometry(…)`",
    );
    inside(
        "index z: 10^12 const w[z] = ones output y[] = w[z]",
        "a constant of 1000000000000 entries, where at most 268435456 are kept",
        "split it into factors with fewer legs, or make it an `input`",
    );
}

#[test]
fn a_clash_of_imports_is_shown_where_the_user_wrote_it() {
    let text = "use std::chain use std::ring as chain network n { output y[] = 1 }";
    says(text, "`chain` is imported, but it is defined already", "rename one of them, or import with `as`");
    let found = check(text);
    assert_eq!((found[0].span.start, found[0].related[0].0.start), (32, 9));
}

#[test]
fn what_follows_a_failed_assert_is_not_elaborated() {
    let text =
        "use std::mera network n { index s[0..3]: 2 let g = mera(3, 2, 2) output z[s[..]] = g[s[..]] }";
    assert_eq!(check(text).len(), 1);
}

#[test]
fn statements_after_a_return_in_an_if_are_for_other_arguments() {
    let text = "topology t(b: bool) -> [s] { index s: 2 if b { param A[s] return [s] A[s] } param C[s] return [s] C[s] }
        network n { index i: 2 let g = t(true) let h = t(false) output y[i] = g[i] * h[i] }";
    assert_eq!(check(text), []);
}
