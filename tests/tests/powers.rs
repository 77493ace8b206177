//! Definitions built on each other, which stand for products far longer than the program.

use num_complex::Complex64;
use tn_plan::ir::{Class, EntryKind};
use tn_tests::network::{Job, Values, all_entries, compile_text};

/// Planned within seconds even without optimisation, and run with `values` for the only parameter and cotangents and tangents of one.
fn run(text: &str, values: &[f64]) -> Values {
    let compiled = compile_text(text, &all_entries()).unwrap();
    let mut job = Job::drawn(compiled.plan().unwrap(), "powers", None, 1).unwrap();
    job.given.values_mut().for_each(|v| v.fill(Complex64::new(1.0, 0.0)));
    job.given.insert(Class::Leaf(0), values.iter().map(|&v| Complex64::new(v, 0.0)).collect());
    job.execute(2).unwrap()
}

fn real(values: &Values, entry: EntryKind, class: Class) -> Vec<f64> {
    values[&(entry, class)].iter().map(|c| c.re).collect()
}

#[test]
fn a_number_squared_sixty_times() {
    let text = "network n { dtype f64 param a[] var h[] = a[] for k in 0..60 { h[] = h[] * h[] } output h }";
    let got = run(text, &[1.0]);
    assert_eq!(real(&got, EntryKind::Forward, Class::Output(0)), [1.0]);
    assert_eq!(real(&got, EntryKind::Vjp, Class::Grad(0)), [2f64.powi(60)]);
}

#[test]
fn the_logarithm_of_a_number_squared_sixty_times() {
    let text = "network n { dtype f64 param a[] var h[] = a[] for k in 0..60 { h[] = h[] * h[] } output z[]: log = 0.5 * h[] }";
    let got = run(text, &[-2.0]);
    let n = 2f64.powi(60);
    assert_eq!(real(&got, EntryKind::Forward, Class::Output(0)), [1.0]);
    let log = real(&got, EntryKind::Forward, Class::Output(1))[0];
    assert!((log / (n * 2f64.ln()) - 1.0).abs() < 1e-12, "{log}");
    // d log|a^n| / da = n / a
    let grad = real(&got, EntryKind::Vjp, Class::Grad(0))[0];
    assert!((grad / (-n / 2.0) - 1.0).abs() < 1e-12, "{grad}");
}

#[test]
fn a_rotation_squared_thirty_times() {
    let text = "network n { dtype f64 index i: 2, j: 2, k: 2 param r[i, j] var h[i, j] = r[i, j]
        for q in 0..30 { h[i, j] = h[i, k] * h[k, j] } output y[] = h[0, 0] }";
    let n = 2f64.powi(30);
    let (s, c) = (0.7 / n).sin_cos();
    let got = run(text, &[c, -s, s, c]);
    let y = real(&got, EntryKind::Forward, Class::Output(0))[0];
    assert!((y - 0.7f64.cos()).abs() < 1e-6, "{y}");
    // the derivative along the angle, (−s, −c, c, −s), is −n sin(n·angle) at angle 0.7 / n
    let grad = real(&got, EntryKind::Vjp, Class::Grad(0));
    let along = -s * grad[0] - c * grad[1] + c * grad[2] - s * grad[3];
    assert!((along / (-n * 0.7f64.sin()) - 1.0).abs() < 1e-6, "{along}");
}
