//! What people read: reports of plans, reports of checks, diagnostics.

use tn_driver::{Options, Source, check, prepare};
use tn_tests::network::{compile_file, compile_text, corpus_files};

fn file(folder: &str, name: &str) -> std::path::PathBuf {
    corpus_files(folder).unwrap().into_iter().find(|(n, _)| n == name).unwrap().1
}

#[test]
fn reports_of_plans() {
    for (folder, name) in [("language", "tt_linear"), ("features", "regions"), ("run", "two_layer")] {
        let options = Options { grad: true, ..Options::default() };
        insta::assert_snapshot!(
            format!("plan_{name}"),
            compile_file(file(folder, name), &options).unwrap().report()
        );
    }
    let limited = Options { memory: Some(70 << 10), ..Options::default() };
    insta::assert_snapshot!(
        "plan_sliced",
        compile_file(file("run", "peps_norm"), &limited).unwrap().report()
    );
}

#[test]
fn reports_of_checks() {
    for (folder, name) in [("features", "stacked"), ("standard", "mera_open")] {
        let prepared = prepare(&Source::File(file(folder, name)), &Options::default()).unwrap();
        insta::assert_snapshot!(
            format!("check_{name}"),
            check::check_report(&prepared.source_program, &prepared.regions)
        );
    }
}

#[test]
fn diagnostics() {
    let body = |text: &str| {
        format!("use std::chain\nnetwork n {{\n    index i: 2, j: 3\n    param a[i, j]\n{text}\n}}\n")
    };
    let cases = [
        ("misspelt", body("    output y[i] = b[i, j]")),
        ("two_sizes", body("    output y[] = a[i, i]")),
        ("no_factor", body("    index k: 5\n    output y[i, k] = a[i, j]")),
        ("wrong_legs", body("    output y[i] = a[i]")),
        ("no_widest", body("    param b[i]\n    param c[j]\n    output y[i, j] = b[i] + c[j]")),
        ("cut_off", body("    output y[] = exp(a[i, j])")),
        ("outside", body("    index s[0..3]: 2\n    param t[s[3]]\n    output y[] = a[i, j]")),
        ("size_zero", body("    index z: 0\n    output y[i, j] = a[i, j]")),
        (
            "too_large",
            body(
                "    index s[0..99]: 2\n    let p = chain(dims = [2; 99], bond = 2)\n    output y[s[..]] = p[s[..]]",
            ),
        ),
        ("unclosed", body("    output y[i = a[i, j]")),
        ("several", body("    output y[i] = b[i, j]\n    output z[] = c[i]\n    index i: 3")),
    ];
    for (name, text) in cases {
        let error =
            compile_text(&text, &Options::default()).err().unwrap_or_else(|| panic!("{name} is accepted"));
        insta::assert_snapshot!(format!("error_{name}"), error);
    }
}
