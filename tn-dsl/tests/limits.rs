//! Short texts that ask for far too much: each ends in a diagnostic, at once.

use std::time::{Duration, Instant};
use tn_dsl::diag::Code;
use tn_dsl::elab::{check_all, elaborate};
use tn_dsl::load::load_text;

/// The codes that a check finds, within a second.
fn codes(text: &str) -> Vec<Code> {
    let began = Instant::now();
    let found = check_all(&load_text("test.tn", text), None);
    assert!(began.elapsed() < Duration::from_secs(3), "{text}: {:?}", began.elapsed());
    found.iter().map(|d| d.code).collect()
}

#[test]
fn ranges_are_measured_before_they_run() {
    let cases = [
        "network n { index i[k in 0..100000000000]: 2 output y[] = 1 }",
        "network n { index i[0..10^12]: 2 output y[] = 1 }",
        "network n { index i[k in 0..100000, j in 0..1000]: 2 output y[] = 1 }",
        "network n { index i[k in 0..10^7, j in 0..k]: 2 output y[] = 1 }",
        "network n { index i: 2 param A[k in 0..10^12][i] output y[] = 1 }",
        "network n { index i[k in 0..4]: 2 param A[i[..]] output y[] = A[i[0..10^12]] }",
        "network n { index i[k in 0..4]: 2 param A[for k in 0..10^12 { i[k] }] output y[] = 1 }",
        "network n { for k in 0..10^12 { } output y[] = 1 }",
        "network n { for k in -9*10^18..9*10^18 { } output y[] = 1 }",
        "network n { output y[] = prod k in 0..10^9, j in 0..10^9 { 1.0 } }",
        "network n { output y[] = sum k in 0..10^12 { 1.0 } }",
        "network n { index r: 10^12 output y[r] = stack r in 0..10^12 { 1.0 } }",
        "const L = [1; 100000000000] network n { output y[] = 1 }",
        "network n { let l = range(10^12) output y[] = 1 }",
        "network n { let l = range(-9*10^18, 9*10^18) output y[] = 1 }",
        "network n { let l = per(1, 10^12) output y[] = 1 }",
        "fn f(k: int) -> int { return k } network n { let l = [f(k) for k in 0..10^12] output y[] = 1 }",
    ];
    for text in cases {
        assert_eq!(codes(text), [Code::TooManyItems], "{text}");
    }
}

#[test]
fn what_doubles_is_counted() {
    let string = "fn g(s: string, n: int) -> string { return if n == 0 { s } else { g(s + s, n - 1) } }
        const A = g(\"x\", 60)  network n { output y[] = 1 }";
    assert_eq!(codes(string), [Code::TooManyItems]);
    // lists share their entries: a small value can stand for very many numbers
    let nested = "const A = [[1, 2], [3, 4]]
        network n { let b = [A, A] let c = [b, b] assert c == [[A, A], [A, A]], \"equal\" output y[] = 1 }";
    assert_eq!(codes(nested), []);
    let compared = format!(
        "network n {{ {} assert a60 == b60, \"equal\" output y[] = 1 }}",
        (0..61).map(|k| double("a", k) + &double("b", k)).collect::<String>()
    );
    assert_eq!(codes(&compared), [Code::TooManyItems]);
    let filled = format!(
        "network n {{ index i[0..27]: 2 {} const D[i[..]] = a26 output y[] = D[i[..]] }}",
        (0..27).map(|k| double("a", k)).collect::<String>()
    );
    assert_eq!(codes(&filled), [Code::TooManyItems]);
}

fn double(name: &str, k: u32) -> String {
    match k {
        0 => format!("let {name}0 = [1, 2] "),
        k => format!("let {name}{k} = [{name}{}, {name}{}] ", k - 1, k - 1),
    }
}

#[test]
fn a_full_loop_still_passes() {
    let text = "network n { let l = [k for k in 0..100000] for k in 0..1000, j in 0..k { } output y[] = 1.0 * len(l) }";
    assert_eq!(codes(text), []);
}

#[test]
fn products_that_cannot_be_stored_have_a_limit() {
    let text = "network n {
        index s[0..50]: 2
        param a[k in 0..50][s[k]]
        var h[s[..]] = prod k in 0..50 { a[k][s[k]] }
        for q in 0..60 { h[s[..]] = h[s[..]] * h[s[..]] }
        output y[] = h[s[..]]
    }";
    let (program, found) = elaborate(&load_text("test.tn", text), &Default::default());
    assert!(program.is_none());
    assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::TooManyItems]);
    assert!(found[0].message.contains("the product `y`"), "{}", found[0].message);
    // the same with a sum over each step is a chain of numbers
    let text = "network n { param a[] var h[] = a[] for k in 0..60 { h[] = h[] * h[] } output h }";
    assert_eq!(codes(text), []);
}

#[test]
fn very_many_unknown_names() {
    let body: String =
        (0..20_000).map(|k| format!("let a{k}[] = b{k}[] index i{k}: 2 param c{k}[j{k}] ")).collect();
    let found = codes(&format!("network n {{ {body} output y[] = 1 }}"));
    assert_eq!(found, vec![Code::UnknownName; 100]);
}

#[test]
fn work_on_lists_and_texts_is_counted() {
    let in_a_loop = |what: &str| {
        format!(
            "fn f() -> int {{ let m = [1; 1000000] let s = \"{}\" for k in 0..1000000 {{ {what} }} return 1 }} network n {{ index u: f() param A[u] output y[] = A[u] }}",
            "a".repeat(100_000)
        )
    };
    for what in
        ["let q = max(m)", "let q = min(m)", "let q = m[1..900000]", "let q = s == s", "let q = len(s)"]
    {
        assert_eq!(codes(&in_a_loop(what)), [Code::TooManyItems], "{what}");
    }
}

#[test]
fn maps_that_apply_maps_have_a_limit() {
    let mut text = "map m0(x) = x * x\n".to_string();
    for k in 0..61 {
        text += &format!("map m{}(x) = m{k}(m{k}(x))\n", k + 1);
    }
    text += "network n { index i: 2 param A[i] output y[i] = m61(A[i]) }";
    assert_eq!(codes(&text), [Code::TooManyItems]);
}

#[test]
fn nesting_that_is_too_deep_is_one_fault() {
    assert_eq!(codes(&format!("network n {{ {} ", "if true { ".repeat(300))), [Code::TooDeep]);
    let unclosed = format!("network n {{ {} ", "if true { ".repeat(100));
    assert_eq!(codes(&unclosed).len(), 1);
}

#[test]
#[cfg(unix)]
fn a_file_without_end_is_too_long() {
    let found = tn_dsl::load::load_path(std::path::Path::new("/dev/zero")).unwrap().diagnostics;
    assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::SourceTooLong]);
}
