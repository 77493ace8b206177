//! Copy tensors cost what their support costs, wherever they stand: multiply-adds are counted, and values compared with the naive evaluation.

use std::collections::HashMap;
use tn_driver::{Options, Rules, derivation};
use tn_ir::Complex64;
use tn_ir::eval::Dense;
use tn_ir::naive::{self, NaiveOutput};
use tn_ir::program::{LeafId, Role};
use tn_plan::ir::{Class, EntryKind, Item, Plan};
use tn_tests::network::{Job, agree, all_agree, compile_text};

fn options(grad: bool, off: &str) -> Options {
    Options { grad, jvp: grad, rules: off.parse::<Rules>().unwrap(), ..Options::default() }
}

/// Multiply-adds of `forward`, and of `vjp` if there is one.
fn macs(plan: &Plan) -> (f64, f64) {
    let of = |kind| plan.summary.entries.iter().zip(&plan.entries).filter(move |(_, e)| e.kind == kind);
    let sum = |kind| of(kind).map(|(s, _)| s.macs).sum::<f64>();
    (sum(EntryKind::Forward), sum(EntryKind::Vjp))
}

/// Compiles with derivatives; compares the outputs with the naive evaluation and everything with the plan as it is written; returns the plan's multiply-adds.
fn counted(text: &str) -> (f64, f64) {
    let compiled = compile_text(text, &options(true, "")).unwrap();
    assert!(compiled.unchecked.is_empty(), "{:?}", compiled.unchecked);
    let plan = compiled.plan().unwrap();
    let job = Job::drawn(plan, "copies", None, 11).unwrap();
    let got = job.execute(1).unwrap();
    let program = &compiled.prepared.source_program;
    let mut leaves: HashMap<LeafId, Dense> = HashMap::new();
    for (id, leaf) in program.leaves.enumerate() {
        let shape: Vec<u64> = leaf.legs.iter().map(|&i| program.indices[i].size.value).collect();
        let value = match leaf.role {
            Role::Const(_) => naive::constant(program, id).unwrap(),
            _ => Dense { shape, data: job.given[&Class::Leaf(id.0)].clone() },
        };
        leaves.insert(id, value);
    }
    for (k, want) in naive::evaluate(program, &leaves, &HashMap::new()).iter().enumerate() {
        let NaiveOutput::Plain(want) = want else { panic!("no log outputs here") };
        let got: &Vec<Complex64> = &got[&(EntryKind::Forward, Class::Output(k as u32))];
        agree(&format!("output {k}"), got, &want.data, 1e-12).unwrap();
    }
    let dense = compile_text(text, &options(true, "all")).unwrap();
    let written = Job::drawn(dense.plan().unwrap(), "dense", None, 11).unwrap().execute(1).unwrap();
    all_agree("as it is written", &got, &written, 1e-11).unwrap();
    macs(plan)
}

/// No constant is stored, and no buffer is larger than `most` entries.
fn stores_no_more_than(text: &str, most: i128) {
    let compiled = compile_text(text, &Options { grad: true, ..Options::default() }).unwrap();
    let plan = compiled.plan().unwrap();
    assert!(plan.leaves.iter().all(|l| l.value.is_none()), "a constant has its entries in the plan");
    let largest = plan.entries.iter().flat_map(|e| e.buffers.iter()).map(|b| b.len.eval(|_| 0)).max();
    assert!(largest <= Some(most), "{largest:?} entries");
}

#[test]
fn a_reflection_is_applied_in_time_linear_in_its_size() {
    let text = "network reflection {\n dtype f64\n index i, j: 64\n const I[i, j] = identity\n param u[i]\n param v[j]\n input x[j]\n\
        let w[i, j] = I[i, j] - 2.0 * u[i] * v[j]\n output y[i] = w[i, j] * x[j] }";
    // v·x, u times it, and a sum of two terms, which counts two; with ct: u·ct, (v·x) ct, (u·ct) x, (u·ct) v, factors, and the sum
    let n = 64.0;
    let (forward, vjp) = counted(text);
    assert_eq!((forward, vjp), (4.0 * n, 9.0 * n + 1.0));
    stores_no_more_than(text, 64);
}

#[test]
fn a_diagonal_matrix_is_written_and_read_on_its_diagonal() {
    for (body, forward, vjp, open) in [
        ("output y[i, j] = v[i] * I[i, j]", 0.0, 0.0, 30 * 30),
        ("output y[i, j, k] = v[i] * D[i, j, k]", 0.0, 0.0, 30 * 30 * 30),
        ("output y[k, i] = v[i] * x[j] * D[i, j, k]", 30.0, 60.0, 30 * 30),
        ("output y[k] = v[i] * x[j] * D[i, j, k]", 30.0, 60.0, 30),
        (
            "let d[i, j] = v[i] * I[i, j]\n let e[i, j] = d[i, j] + x[i] * I[i, j]\n output y[i] = e[i, j] * v[j]",
            60.0,
            90.0,
            30,
        ),
        ("let materialize d[i, j] = v[i] * I[i, j]\n output y[i] = d[i, j] * x[j]", 30.0, 60.0, 30),
        (
            "let d[i, j] = v[i] * I[i, j]\n let materialize e[i, j] = d[i, k] * d[k, j]\n output y[i] = e[i, j] * x[j]",
            60.0,
            120.0,
            30,
        ),
    ] {
        let text = format!(
            "network d {{\n dtype f64\n index i, j, k: 30\n const I[i, j] = identity\n const D[i, j, k] = delta\n param v[i]\n input x[j]\n {body} }}"
        );
        let got = counted(&text);
        assert_eq!(got, (forward, vjp), "{body}");
        stores_no_more_than(&text, open);
    }
}

#[test]
fn copies_alone_traces_and_axes_that_nothing_carries() {
    let text = "network t {\n dtype c128\n index i, j, k: 7, b: 3\n const I[i, j] = identity\n const D[i, j, k] = delta\n const O[i, b] = ones\n const Z[i, j] = zeros\n\
        param A[i, j]\n param v[i]\n input x[j]\n\
        output trace[] = I[i, i]\n output copy[i, j, k] = 2.0 * D[i, j, k]\n output both[i, j] = I[i, k] * I[k, j]\n\
        output wide[i, b] = v[i] * O[i, b]\n output total[i] = O[i, b] * v[i]\n output count[] = O[i, b]\n\
        output off[i, j] = A[i, j] - I[i, j]\n output none[i] = (A[i, j] + Z[i, j]) * x[j]\n output mixed[i] = (A[i, j] + v[i] * I[i, j]) * x[j]\n\
        output cross[i, j, k] = v[i] * I[j, k]\n output mapped[i, j] = exp(I[i, j])\n output pick[j] = D[1, j, 1] * x[j]\n output conjugate[i, j] = conj(v[i]) * I[i, j] }";
    counted(text);
    let compiled = compile_text(text, &options(true, "")).unwrap();
    // what is made of them alone, like exp(I), is a constant of its own
    let mut given =
        compiled.plan().unwrap().leaves.iter().filter(|l| ["I", "D", "O", "Z"].contains(&l.name.as_str()));
    assert!(given.clone().count() == 4 && given.all(|l| l.value.is_none()));
}

#[test]
fn copies_with_run_time_sizes_beside_them() {
    let text = "network t {\n index b: dyn(5), i, j: 6\n const I[i, j] = identity\n const O[i] = ones\n param v[i]\n input x[b, j]\n\
        let w[i, j] = I[i, j] + v[i] * v[j]\n output y[b, i] = x[b, j] * w[i, j]\n output z[b, i, j] = x[b, i] * I[i, j]\n output s[b, j] = O[i] * x[b, j] }";
    let compiled = compile_text(text, &options(true, "")).unwrap();
    let dense = compile_text(text, &options(true, "all")).unwrap();
    let run =
        |c: &tn_driver::Compiled| Job::drawn(c.plan().unwrap(), "t", Some(4), 3).unwrap().execute(1).unwrap();
    all_agree("dyn", &run(&compiled), &run(&dense), 1e-5).unwrap();
}

#[test]
fn a_placement_is_written_once_and_no_step_reads_zeros() {
    let text = "network d {\n dtype f64\n index i, j: 50\n const I[i, j] = identity\n param v[i]\n output y[i, j] = v[i] * I[i, j] }";
    let compiled = compile_text(text, &options(false, "")).unwrap();
    let plan = compiled.plan().unwrap();
    let steps = |items: &[Item]| items.iter().filter(|i| matches!(i, Item::Step(_))).count();
    assert_eq!(steps(&plan.entries[0].body), 1);
    assert!(plan.summary.peak_bytes <= 8 * (50 * 50 + 50));
    let record = derivation::chain_text(&compiled, &[], &options(false, ""));
    assert!(!record.contains("I[a,b]"), "{record}");
}
