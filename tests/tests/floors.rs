//! Whole workloads with known answers.

use num_complex::Complex64;
use std::collections::BTreeMap;
use tn_driver::check::parameters;
use tn_driver::data::{DataArray, Elements, write_npz};
use tn_driver::{Options, Source, prepare};
use tn_plan::ir::{Class, EntryKind};
use tn_runtime::random::Stream;
use tn_tests::emitted::{folder, run_rust};
use tn_tests::network::{
    Job, agree, all_agree, all_entries, compile_file, compile_text, corpus, corpus_files,
};

fn count(text: &str) -> u128 {
    let source = Source::Text { name: "count.tn".into(), text: text.into() };
    let prepared = prepare(&source, &Options::default()).unwrap_or_else(|e| panic!("{}", e.render(false)));
    parameters(&prepared.source_program).count
}

#[test]
fn published_parameter_counts() {
    let generator = |topology: &str, modes: u32, copies: u32| {
        count(&format!(
            "use std::generators::{topology}\nnetwork n {{ index s[0..{modes}]: 2\n\
             let g[k in 0..{copies}] = {topology}(modes = {modes}, latent = 5, radix = 2, bond = 2, act = elu)\n\
             output y[s[..]] = sum k in 0..{copies} {{ g[k][s[..]] }} }}"
        ))
    };
    for (modes, copies, counts) in
        [(24, 1, [216, 392, 536]), (22, 5, [204, 364, 508]), (20, 2, [152, 296, 360])]
    {
        for (topology, want) in ["ttn", "augmented_ttn", "mera"].into_iter().zip(counts) {
            assert_eq!(
                generator(topology, modes, copies),
                u128::from(copies) * want,
                "{topology} of {modes} modes"
            );
        }
    }
}

#[test]
fn examples_of_the_language_are_built_and_run() {
    for (name, path) in corpus_files("language").unwrap() {
        if name == "topologies" {
            // It declares no network; what it declares is checked, and used here.
            let text = std::fs::read_to_string(&path).unwrap();
            let user = format!(
                "{text}\nnetwork user {{\n dtype f64\n index s[0..5]: 2\n let c = chain(dims = [2; 5], bond = 3)\n\
                 let r = ring(dims = [2; 5], bond = 3)\n output y[] = c[s[..]] * r[s[..]]\n}}"
            );
            let compiled = compile_text(&user, &Options::default()).unwrap();
            assert_eq!(compiled.prepared.program.leaves.len(), 10);
            continue;
        }
        let compiled = compile_file(path, &Options::default()).unwrap();
        let job = Job::drawn(compiled.plan().unwrap(), &name, None, 1).unwrap();
        let values = job.execute(2).unwrap();
        let y = &values[&(EntryKind::Forward, Class::Output(0))];
        assert!(y.iter().all(|z| z.is_finite()) && y.iter().any(|z| z.norm() > 0.0), "{name}");
    }
}

/// `a[i, k] = Σ b[i, j] c[j, k]`, row-major.
fn matmul(b: &[Complex64], c: &[Complex64], (n, m, p): (usize, usize, usize)) -> Vec<Complex64> {
    let mut out = vec![Complex64::default(); n * p];
    for i in 0..n {
        for j in 0..m {
            for k in 0..p {
                out[i * p + k] += b[i * m + j] * c[j * p + k];
            }
        }
    }
    out
}

fn transposed(a: &[Complex64], n: usize, m: usize) -> Vec<Complex64> {
    (0..n * m).map(|x| a[(x % n) * m + x / n]).collect()
}

/// The slice `core[·, s, ·]` of a core `[left, 2, right]`.
fn slice(core: &[Complex64], s: usize, right: usize) -> Vec<Complex64> {
    let left = core.len() / (2 * right);
    (0..left * right).map(|x| core[(x / right) * 2 * right + s * right + x % right]).collect()
}

#[test]
fn overlap_of_two_states_of_100_sites_and_its_gradients() {
    let (sites, chi) = (100usize, 7usize);
    let mut options = all_entries();
    options.set = vec![("chi".into(), chi.to_string())];
    let compiled = compile_file(corpus("../language/mps_overlap.tn"), &options).unwrap();
    let mut job = Job::drawn(compiled.plan().unwrap(), "overlap", None, 5).unwrap();
    job.given.insert(Class::Cotangent(0), vec![Complex64::ONE]);
    let core = |state: &str, k: usize| {
        job.given[&Class::Leaf(job.leaf(&format!("{state}.core[{k}]")).unwrap())].clone()
    };
    let right = |k: usize| if k + 1 == sites { 1 } else { chi };
    // left[k][a, b]: everything left of site k, a on psi and b on phi; likewise right.
    let transfer =
        |env: &[Complex64], psi: &[Complex64], phi: &[Complex64], (l, r): (usize, usize), leftwards: bool| {
            let mut out = vec![Complex64::default(); if leftwards { l * l } else { r * r }];
            for s in 0..2 {
                let (a, b) = (slice(psi, s, r), slice(phi, s, r));
                let part = if leftwards {
                    matmul(&matmul(&a, env, (l, r, r)), &transposed(&b, l, r), (l, r, l))
                } else {
                    matmul(&matmul(&transposed(&a, l, r), env, (r, l, l)), &b, (r, l, r))
                };
                out.iter_mut().zip(part).for_each(|(o, p)| *o += p);
            }
            out
        };
    let left_of = |k: usize| if k == 0 { 1 } else { chi };
    let mut lefts = vec![vec![Complex64::ONE]];
    for k in 0..sites {
        let next = transfer(&lefts[k], &core("psi", k), &core("phi", k), (left_of(k), right(k)), false);
        lefts.push(next);
    }
    let mut rights = vec![vec![Complex64::ONE]];
    for k in (0..sites).rev() {
        let next =
            transfer(&rights[sites - 1 - k], &core("psi", k), &core("phi", k), (left_of(k), right(k)), true);
        rights.push(next);
    }
    let values = job.execute(2).unwrap();
    agree("z", &values[&(EntryKind::Forward, Class::Output(0))], &lefts[sites], 1e-12).unwrap();
    for k in [0, 1, 49, 98, 99] {
        let (l, r) = (left_of(k), right(k));
        let mut want = vec![Complex64::default(); l * 2 * r];
        for s in 0..2 {
            // d z / d psi[a, s, c] = Σ left[a, b] phi[b, s, d] right[c, d]
            let env = matmul(&lefts[k], &slice(&core("phi", k), s, r), (l, l, r));
            let env = matmul(&env, &transposed(&rights[sites - 1 - k], r, r), (l, r, r));
            for (x, e) in env.iter().enumerate() {
                want[(x / r) * 2 * r + s * r + x % r] = *e;
            }
        }
        let leaf = job.leaf(&format!("psi.core[{k}]")).unwrap();
        agree(&format!("psi.core[{k}]"), &values[&(EntryKind::Vjp, Class::Grad(leaf))], &want, 1e-11)
            .unwrap();
    }
}

#[test]
fn a_circuit_of_twelve_qubits_is_its_state_vector() {
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "circuit12").unwrap();
    std::fs::copy(corpus("circuit12.tn"), dir.join("circuit12.tn")).unwrap();
    let (sites, layers) = (12usize, 6usize);
    let mut gates: Vec<(String, DataArray)> = Vec::new();
    let mut state = vec![Complex64::default(); 1 << sites];
    state[0] = Complex64::ONE;
    for l in 0..layers {
        for j in 0..(sites - l % 2) / 2 {
            let s = Stream::new(1, (100 * l + j) as u64);
            let gate: Vec<Complex64> =
                (0..16).map(|i| s.normal_pair(i)).map(|(re, im)| Complex64::new(re, im) * 0.4).collect();
            // [out1, out2, in1, in2] on sites p and p + 1, site 0 the slowest axis of the state
            let p = l % 2 + 2 * j;
            let (hi, lo) = (sites - 1 - p, sites - 2 - p);
            let mut next = vec![Complex64::default(); state.len()];
            for (x, amplitude) in state.iter().enumerate() {
                let input = 2 * (x >> hi & 1) + (x >> lo & 1);
                let rest = x & !(1 << hi) & !(1 << lo);
                for out in 0..4 {
                    next[rest | (out >> 1) << hi | (out & 1) << lo] += gate[4 * out + input] * amplitude;
                }
            }
            state = next;
            gates.push((
                format!("gate[{l},{j}]"),
                DataArray { shape: vec![2; 4], elements: Elements::C128(gate) },
            ));
        }
    }
    std::fs::write(dir.join("gates.npz"), write_npz(&gates).unwrap()).unwrap();
    let compiled = compile_file(dir.join("circuit12.tn"), &Options::default()).unwrap();
    let job = Job::drawn(compiled.plan().unwrap(), "circuit12", None, 1).unwrap();
    let got = job.execute(2).unwrap();
    agree("psi", &got[&(EntryKind::Forward, Class::Output(0))], &state, 1e-12).unwrap();
    let emitted = run_rust(std::slice::from_ref(&job), &dir).unwrap();
    all_agree("emitted", &emitted[0], &got, 1e-12).unwrap();
}

const LAYER: &str = "use std::mpo
network layer {
    dtype f64
    index b: dyn(32)
    index i[0..4]: 3, o[0..4]: 2
    input x[b, (i[..]) as cols]
    let w = mpo(outs = [2; 4], ins = [3; 4], bond = 5)
    param bias[(o[..]) as rows]: init(normal(0, 1))
    output y[b, (o[..]) as rows] = gelu(x[b, i[..]] * w[o[..], i[..]] + bias[o[..]])
}";

#[test]
fn a_tensor_train_layer_at_batches_1_and_33() {
    let compiled = compile_text(LAYER, &all_entries()).unwrap();
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "tt_layer").unwrap();
    let mut jobs = Vec::new();
    for batch in [1u64, 33] {
        let job = Job::drawn(compiled.plan().unwrap(), &format!("layer{batch}"), Some(batch), 3).unwrap();
        let leaf = |n: &str| job.given[&Class::Leaf(job.leaf(n).unwrap())].clone();
        // The dense matrix [o…, i…] by joining core after core: rows (o…, i…) so far, columns the bond.
        let mut w = vec![Complex64::ONE];
        let (mut outs, mut ins) = (1, 1);
        for k in 0..4 {
            let (l, r) = (if k == 0 { 1 } else { 5 }, if k == 3 { 1 } else { 5 });
            let core = leaf(&format!("w.core[{k}]"));
            let mut next = vec![Complex64::default(); outs * 2 * ins * 3 * r];
            for (at, value) in core.iter().enumerate() {
                let (a, o, i, c) = (at / (6 * r), at / (3 * r) % 2, at / r % 3, at % r);
                for p in 0..outs {
                    for q in 0..ins {
                        next[((p * 2 + o) * ins * 3 + q * 3 + i) * r + c] += w[(p * ins + q) * l + a] * value;
                    }
                }
            }
            (w, outs, ins) = (next, outs * 2, ins * 3);
        }
        let y = matmul(&leaf("x"), &transposed(&w, 16, 81), (batch as usize, 81, 16));
        let bias = leaf("bias");
        let want: Vec<Complex64> = y
            .iter()
            .enumerate()
            .map(|(at, y)| {
                let z = (y + bias[at % 16]).re;
                Complex64::new(0.5 * z * (1.0 + tn_ir::scalar::erf(z / std::f64::consts::SQRT_2)), 0.0)
            })
            .collect();
        let got = job.execute(2).unwrap();
        agree("y", &got[&(EntryKind::Forward, Class::Output(0))], &want, 1e-12).unwrap();
        jobs.push(job);
    }
    let emitted = run_rust(&jobs, &dir).unwrap();
    for (job, got) in jobs.iter().zip(&emitted) {
        all_agree(&job.plan.name, got, &job.execute(1).unwrap(), 1e-12).unwrap();
    }
}

#[test]
fn the_weights_of_vgg16_fc2_and_of_convolutions() {
    let compiled = compile_file(corpus("../language/vgg16_fc2.tn"), &Options::default()).unwrap();
    let job = Job::drawn(compiled.plan().unwrap(), "fc2", None, 2).unwrap();
    assert_eq!(job.given.values().map(Vec::len).sum::<usize>() - (1 << 24), 536);
    let w = &job.execute(2).unwrap()[&(EntryKind::Forward, Class::Output(0))];
    assert_eq!(w.len(), 16_777_216);
    assert!(w.iter().all(|z| z.is_finite()) && w.iter().any(|z| z.re != w[0].re));
    for (file, modes, outputs, shape) in
        [("vgg16_convs.tn", 22, 5, [512u64, 512, 3, 3]), ("alexnet_convs.tn", 20, 2, [256, 384, 3, 3])]
    {
        let compiled = compile_file(corpus(file), &Options::default()).unwrap();
        let plan = compiled.plan().unwrap();
        let dims: Vec<u64> = plan.outputs[0].dims.iter().map(|d| d.eval(|_| 0)).collect();
        assert_eq!((plan.outputs.len(), dims), (outputs, shape.to_vec()));
        let job = Job::drawn(plan, "convs", None, 2).unwrap();
        let kernels = job.execute(2).unwrap();
        // The same generator without `unpad`, with the parameters of the first of them.
        let text = format!(
            "use std::generators::mera\nnetwork whole {{ index s[0..{modes}]: 2\n\
             let g = mera(modes = {modes}, latent = 5, radix = 2, bond = 2, act = elu)\n\
             output y[(s[..]) as all] = g[s[..]] }}"
        );
        let whole = compile_text(&text, &Options::default()).unwrap();
        let mut whole = Job::drawn(whole.plan().unwrap(), "whole", None, 2).unwrap();
        for (i, leaf) in whole.plan.leaves.iter().enumerate() {
            let name = leaf.name.replacen("g.", "g[0].", 1);
            let values = job.given[&Class::Leaf(job.leaf(&name).unwrap())].clone();
            whole.given.insert(Class::Leaf(i as u32), values);
        }
        let all = &whole.execute(2).unwrap()[&(EntryKind::Forward, Class::Output(0))];
        let first = &kernels[&(EntryKind::Forward, Class::Output(0))];
        agree(file, first, &all[..first.len()], 1e-5).unwrap();
        assert!(first.len() < all.len());
    }
}

#[test]
fn the_cost_of_a_gradient_is_linear_in_the_length_of_a_chain() {
    let cost = |n: usize| -> (f64, f64) {
        let text = format!(
            "use std::chain\nnetwork norm {{ dtype f64\n index s[0..{n}]: 2\n\
             let psi = chain(dims = [2; {n}], bond = 4)\n output z[] = psi[s[..]] * psi[s[..]] }}"
        );
        let compiled = compile_text(&text, &all_entries()).unwrap();
        let plan = compiled.plan().unwrap();
        let by: BTreeMap<EntryKind, f64> =
            plan.entries.iter().zip(&plan.summary.entries).map(|(e, s)| (e.kind, s.macs)).collect();
        (by[&EntryKind::Vjp], by[&EntryKind::Vjp] / by[&EntryKind::Forward])
    };
    let ((short, _), (long, times)) = (cost(100), cost(1000));
    assert!(long <= 10.5 * short, "{long} is {} times {short}", long / short);
    assert!(times < 3.5, "the gradient costs {times} times the value");
}
