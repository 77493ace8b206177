//! Networks whose parts are equal: each part is computed once, and the values stay what they are.

use num_complex::Complex64;
use proptest::prelude::*;
use std::sync::Arc;
use tn_driver::paths::{PathFile, PathFormat, path_text};
use tn_driver::{Compiled, Options};
use tn_order::Minimize;
use tn_plan::ir::{Class, EntryKind};
use tn_tests::network::{Job, Values, agree, all_agree, all_entries, compile_text};

/// A ring of `n` equal matrices and its trace.
fn ring(n: u32, chi: u32) -> String {
    format!(
        "network ring {{ dtype f64 index a[0..{n}]: {chi} param A[a[0], a[0]]
         output z[] = prod k in 0..{n} {{ A[a[k], a[(k + 1) % {n}]] }} }}"
    )
}

/// The norm of a uniform state of `n` sites on a ring.
fn norm(n: u32) -> String {
    format!(
        "network norm {{ dtype c128 index a[0..{n}]: 2, b[0..{n}]: 2, s[0..{n}]: 3
         param A[a[0], s[0], a[0]]
         output z[] = prod k in 0..{n} {{ A[a[k], s[k], a[(k + 1) % {n}]] * conj(A[b[k], s[k], b[(k + 1) % {n}]]) }} }}"
    )
}

/// `n` equal matrices between two vectors.
fn open(n: u32, chi: u32) -> String {
    format!(
        "network open {{ dtype f64 index a[0..{n} + 1]: {chi} param A[a[0], a[0]] param l[a[0]] param r[a[0]]
         output z[] = l[a[0]] * r[a[{n}]] * prod k in 0..{n} {{ A[a[k], a[k + 1]] }} }}"
    )
}

fn steps(c: &Compiled) -> usize {
    c.plan().unwrap().summary.entries[0].steps as usize
}

fn macs(c: &Compiled) -> f64 {
    c.plan().unwrap().summary.entries[0].macs
}

fn run(c: &Compiled, leaves: &[Vec<Complex64>]) -> Values {
    let mut job = Job::drawn(c.plan().unwrap(), "sharing", None, 3).unwrap();
    for (k, values) in leaves.iter().enumerate() {
        job.given.insert(Class::Leaf(k as u32), values.clone());
    }
    for c in 0..job.plan.outputs.len() as u32 {
        job.given.insert(Class::Cotangent(c), vec![Complex64::ONE]);
    }
    job.execute(2).unwrap()
}

type Matrix = Vec<Complex64>;

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let n = a.len().isqrt();
    (0..n * n).map(|x| (0..n).map(|k| a[x / n * n + k] * b[k * n + x % n]).sum()).collect()
}

fn power(a: &Matrix, n: u32) -> Matrix {
    let size = a.len().isqrt();
    let one: Matrix =
        (0..size * size).map(|x| Complex64::from(f64::from(u8::from(x / size == x % size)))).collect();
    (0..n).fold(one, |p, _| product(&p, a))
}

fn trace(a: &Matrix) -> Complex64 {
    let n = a.len().isqrt();
    (0..n).map(|k| a[k * n + k]).sum()
}

fn real(values: &[f64]) -> Matrix {
    values.iter().map(|&x| x.into()).collect()
}

#[test]
fn the_trace_of_a_power_and_its_gradient() {
    // eigenvalues near one, so that the thousandth power is of order one
    let a = real(&[0.9, 0.2, 0.1, 0.79]);
    for n in [15u32, 1000] {
        let c = compile_text(&ring(n, 2), &all_entries()).unwrap();
        let log = f64::from(n).log2();
        assert!(steps(&c) as f64 <= 2.0 * log + 1.0, "{n}: {} steps", steps(&c));
        assert_eq!(c.json()["path_is_plan"], false);
        let got = run(&c, std::slice::from_ref(&a));
        let value = &got[&(EntryKind::Forward, Class::Output(0))];
        agree("trace", value, &[trace(&power(&a, n))], 1e-10).unwrap();
        // d tr(Aⁿ) / dA = n·(Aⁿ⁻¹)ᵀ
        let p = power(&a, n - 1);
        let want: Matrix = [0, 2, 1, 3].iter().map(|&k| p[k] * f64::from(n)).collect();
        agree("gradient", &got[&(EntryKind::Vjp, Class::Grad(0))], &want, 1e-10).unwrap();
    }
}

#[test]
fn the_norm_of_a_uniform_state() {
    let n = 1000;
    let c = compile_text(&norm(n), &Options::default()).unwrap();
    assert!(steps(&c) <= 22, "{} steps", steps(&c));
    let core: Vec<Complex64> = (0..12)
        .map(|k| Complex64::new(0.1 + 0.3 * f64::from(k % 5), 0.2 - 0.1 * f64::from(k % 3)) * 0.53)
        .collect();
    // E[(l, l'), (r, r')] = Σ_s A[l, s, r] conj(A[l', s, r'])
    let at = |l: usize, s: usize, r: usize| core[l * 6 + s * 2 + r];
    let transfer: Matrix = (0..16)
        .map(|x| {
            let (l, m, r, q) = (x / 8, x / 4 % 2, x / 2 % 2, x % 2);
            (0..3).map(|s| at(l, s, r) * at(m, s, q).conj()).sum()
        })
        .collect();
    let scale = trace(&power(&transfer, 64)).norm().powf(-1.0 / 128.0);
    let core: Vec<Complex64> = core.iter().map(|z| z * scale).collect();
    let transfer: Matrix = transfer.iter().map(|z| z * scale * scale).collect();
    let got = run(&c, &[core]);
    agree("norm", &got[&(EntryKind::Forward, Class::Output(0))], &[trace(&power(&transfer, n))], 1e-9)
        .unwrap();
}

#[test]
fn the_logarithm_of_a_long_ring() {
    let n = 100_000;
    let text = ring(n, 2).replace("output z[] =", "output z[]: log =");
    let c = compile_text(&text, &Options::default()).unwrap();
    assert!(c.built.as_ref().unwrap().dag.len() < 500, "{} nodes", c.built.as_ref().unwrap().dag.len());
    let a = real(&[2.0, 1.0, 1.0, 1.0]);
    let got = run(&c, &[a]);
    let golden = (1.0 + 5f64.sqrt()) / 2.0;
    let want = 2.0 * f64::from(n) * golden.ln();
    agree("log", &got[&(EntryKind::Forward, Class::Output(1))], &real(&[want]), 1e-12).unwrap();
}

#[test]
fn an_open_chain_is_swept_where_blocks_do_not_pay() {
    let options = Options { minimize: Minimize::Macs, ..Options::default() };
    let (n, chi) = (60u32, 64u32);
    let c = compile_text(&open(n, chi), &options).unwrap();
    let sweep = f64::from(n * chi * chi + chi);
    assert_eq!((macs(&c), steps(&c)), (sweep, n as usize + 1));
    assert_eq!(c.json()["path_is_plan"], true);
    // of a longer one, small blocks are made first
    let (n, sweep) = (1000u32, f64::from(1000 * chi * chi + chi));
    let c = compile_text(&open(n, chi), &options).unwrap();
    let squares = 9.0 * f64::from(chi).powi(3);
    assert!(macs(&c) < 0.6 * sweep.min(squares), "{} of {sweep} or {squares}", macs(&c));
    // and of one of small matrices, all are
    let c = compile_text(&open(n, 2), &options).unwrap();
    assert!(macs(&c) < 200.0 && steps(&c) <= 24, "{} in {}", macs(&c), steps(&c));
}

#[test]
fn a_uniform_tree_takes_as_many_steps_as_levels() {
    for (depth, core) in [(9, "T[0]"), (9, "T[l]")] {
        let leaves = 1 << depth;
        let text = format!(
            "network uniform {{ dtype f64
             index u[l in 0..{depth} + 1, j in 0..{leaves} / (2 ^ l)]: 3
             param T[l in 0..{depth}][u[0, 0], u[0, 1], u[1, 0]]
             param v[u[0, 0]]
             output y[u[{depth}, 0]] = (prod k in 0..{leaves} {{ v[u[0, k]] }})
                 * prod l in 0..{depth} {{ prod j in 0..{leaves} / (2 ^ (l + 1)) {{ {core}[u[l, 2 * j], u[l, 2 * j + 1], u[l + 1, j]] }} }} }}"
        );
        let text = if core == "T[0]" { text.replace("T[l in 0..9]", "T[l in 0..1]") } else { text };
        let c = compile_text(&text, &Options::default()).unwrap();
        assert!(steps(&c) <= 2 * depth, "{core}: {} steps", steps(&c));
    }
}

#[test]
fn outputs_share_what_they_have_in_common() {
    let n = 256;
    let both = format!(
        "network two {{ dtype f64 index a[0..{n} + 1]: 3, b[0..{n}]: 3 param A[a[0], a[0]] param l[a[0]] param r[a[0]]
         output z[] = l[a[0]] * r[a[{n}]] * prod k in 0..{n} {{ A[a[k], a[k + 1]] }}
         output t[] = prod k in 0..{n} {{ A[b[k], b[(k + 1) % {n}]] }} }}"
    );
    let one = steps(&compile_text(&ring(n, 3), &Options::default()).unwrap());
    let two = compile_text(&both, &Options::default()).unwrap();
    assert!(steps(&two) <= one + 4, "{} after {one}", steps(&two));
    // equal up to names: one computation, whatever the search draws
    let twice = "network twice { dtype f64 index a[0..12]: 3, b[0..12]: 3
         param A[k in 0..12][a[0], a[1], a[2]]
         output z[] = prod k in 0..12 { A[k][a[k], a[(k + 1) % 12], a[(k + 5) % 12]] }
         output t[] = prod k in 0..12 { A[k][b[k], b[(k + 1) % 12], b[(k + 5) % 12]] } }";
    let c = compile_text(twice, &Options::default()).unwrap();
    assert_eq!(steps(&c), 12, "eleven contractions, and a copy");
}

#[test]
fn given_paths_are_taken_as_they_are() {
    // the same network without repeats leaves a path without sharing
    let different = "network ring { dtype f64 index a[0..9]: 2 param B[k in 0..9][a[0], a[0]]
         output z[] = prod k in 0..9 { B[k][a[k], a[(k + 1) % 9]] } }";
    let plain = compile_text(different, &Options::default()).unwrap();
    let text = path_text(&plain.region_plans, true);
    let path = PathFile::parse("path", text.as_bytes(), PathFormat::Ssa).unwrap();
    let options = Options { path: Some(Arc::new(path)), ..all_entries() };
    let given = compile_text(&ring(9, 2), &options).unwrap();
    assert_eq!(given.region_plans[0].ssa_path, plain.region_plans[0].ssa_path);
    let free = compile_text(&ring(9, 2), &all_entries()).unwrap();
    assert!(steps(&free) < steps(&given));
    let a = real(&[0.9, 0.2, 0.1, 0.8]);
    let a = std::slice::from_ref(&a);
    all_agree("with and without", &run(&free, a), &run(&given, a), 1e-12).unwrap();
}

#[test]
fn limits_hold_for_repeats_too() {
    // blocks need chi² elements, the sweep chi
    let options = Options { max_size: Some(64), ..Options::default() };
    let c = compile_text(&open(1000, 64), &options).unwrap();
    assert!(c.region_plans[0].log2_max_size <= 6.0);
    let free = compile_text(&open(1000, 64), &Options::default()).unwrap();
    assert!(free.region_plans[0].log2_max_size > 6.0);
    let limit = 36_000;
    let options = Options { memory: Some(limit), ..Options::default() };
    let c = compile_text(&open(1000, 64), &options).unwrap();
    assert!(c.plan().unwrap().summary.peak_bytes <= u128::from(limit));
    let options = Options { memory: Some(1 << 20), ..Options::default() };
    let c = compile_text(&open(1000, 64), &options).unwrap();
    assert_eq!(steps(&c), steps(&free));
}

#[test]
fn the_same_plan_every_time() {
    let text = norm(300);
    let plan = || tn_driver::to_ron(compile_text(&text, &all_entries()).unwrap().plan().unwrap()).unwrap();
    assert_eq!(plan(), plan());
}

/// A network of a few parameters, each read several times.
#[derive(Clone, Debug)]
struct Repeated {
    sizes: Vec<usize>,
    /// The sizes of each parameter's legs, as positions in `sizes`.
    params: Vec<Vec<usize>>,
    /// The factors: a parameter, the indices on it, conjugated or not.
    factors: Vec<(usize, Vec<usize>, bool)>,
    output: Vec<usize>,
}

/// Indices per size.
const EACH: usize = 4;

impl Repeated {
    fn text(&self) -> String {
        let names = |legs: &[usize]| legs.iter().map(|i| format!("i{i}")).collect::<Vec<_>>().join(", ");
        let mut text = String::from("network repeated { dtype c128\n");
        for i in 0..self.sizes.len() * EACH {
            text += &format!("index i{i}: {}\n", self.sizes[i / EACH]);
        }
        for (k, legs) in self.params.iter().enumerate() {
            let legs: Vec<usize> = legs.iter().map(|s| s * EACH).collect();
            text += &format!("param p{k}[{}]\n", names(&legs));
        }
        let factor = |(p, legs, conj): &(usize, Vec<usize>, bool)| {
            let one = format!("p{p}[{}]", names(legs));
            if *conj { format!("conj({one})") } else { one }
        };
        let factors = self.factors.iter().map(factor).collect::<Vec<_>>().join(" * ");
        text + &format!("output y[{}] = {factors}\n}}", names(&self.output))
    }

    /// The sum over all values of all indices.
    fn value(&self, params: &[Vec<Complex64>]) -> Vec<Complex64> {
        let used: Vec<usize> =
            (0..self.sizes.len() * EACH).filter(|i| self.factors.iter().any(|f| f.1.contains(i))).collect();
        let size = |i: usize| self.sizes[i / EACH];
        let mut out = vec![Complex64::ZERO; self.output.iter().map(|&i| size(i)).product()];
        let mut at = vec![0; self.sizes.len() * EACH];
        loop {
            let place = |legs: &[usize]| legs.iter().fold(0, |p, &i| p * size(i) + at[i]);
            let one = |(p, legs, conj): &(usize, Vec<usize>, bool)| {
                let z = params[*p][place(legs)];
                if *conj { z.conj() } else { z }
            };
            out[place(&self.output)] += self.factors.iter().map(one).product::<Complex64>();
            let Some(&next) = used.iter().find(|&&i| at[i] + 1 < size(i)) else { return out };
            at[next] += 1;
            used.iter().take_while(|&&i| i < next).for_each(|&i| at[i] = 0);
        }
    }
}

fn repeated() -> impl Strategy<Value = Repeated> {
    let legs = prop::collection::vec(0usize..2, 0..4);
    (prop::collection::vec(1usize..4, 2), prop::collection::vec(legs, 1..3)).prop_flat_map(
        |(sizes, params)| {
            let picks = prop::collection::vec(0..EACH, 3);
            let factor = (0..params.len(), picks, any::<bool>());
            (prop::collection::vec(factor, 2..9), prop::collection::vec(any::<bool>(), 2 * EACH)).prop_map(
                move |(factors, open)| {
                    let factor = |(p, picks, conj): (usize, Vec<usize>, bool)| {
                        let legs = params[p].iter().zip(picks).map(|(s, k)| s * EACH + k).collect();
                        (p, legs, conj)
                    };
                    let factors: Vec<(usize, Vec<usize>, bool)> = factors.into_iter().map(factor).collect();
                    let used = |i: usize| factors.iter().any(|f| f.1.contains(&i));
                    let output = (0..2 * EACH).filter(|&i| open[i] && i % 3 == 0 && used(i)).collect();
                    Repeated { sizes: sizes.clone(), params: params.clone(), factors, output }
                },
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn values_are_those_of_the_sum(net in repeated()) {
        for minimize in [Minimize::Time, Minimize::Macs] {
            let c = compile_text(&net.text(), &Options { minimize, ..Options::default() }).unwrap();
            let job = Job::drawn(c.plan().unwrap(), "repeated", None, 5).unwrap();
            let params: Vec<Vec<Complex64>> = (0..net.params.len())
                .map(|k| {
                    // a parameter without uses is no leaf of the plan
                    let leaf = job.leaf(&format!("p{k}"));
                    leaf.map_or_else(Vec::new, |i| job.given[&Class::Leaf(i)].clone())
                })
                .collect();
            let got = job.execute(1).unwrap();
            let want = net.value(&params);
            prop_assert!(agree("y", &got[&(EntryKind::Forward, Class::Output(0))], &want, 1e-9).is_ok(), "{}", net.text());
        }
    }
}
