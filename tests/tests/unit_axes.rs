//! Open indices of length 1: results carry none of them along, so a network of hundreds of them is not one of tensors with hundreds of axes.

use std::collections::HashMap;
use std::fmt::Write;
use tn_driver::Options;
use tn_ir::eval::Dense;
use tn_ir::naive::{self, NaiveOutput};
use tn_ir::program::LeafId;
use tn_plan::ir::{Class, EntryKind, Item};
use tn_tests::network::{Job, agree, compile_text};

/// `y[h, x0, x1, …] = t0[h, x0] t1[h, x1] …`, every `x` of length 1 and some terms with a bond to the next.
fn star(count: usize) -> String {
    let mut text = String::from("network star {\n dtype f64\n index h: 3\n");
    let (mut product, mut open) = (Vec::new(), vec!["h".to_owned()]);
    for k in 0..count {
        let bond = k - k % 2;
        let legs = if k < 8 { format!("h, x{k}, b{bond}") } else { format!("h, x{k}") };
        if k < 8 && k % 2 == 0 {
            writeln!(text, " index b{k}: 2").unwrap();
        }
        writeln!(text, " index x{k}: 1\n param t{k}[{legs}]").unwrap();
        product.push(format!("t{k}[{legs}]"));
        open.push(format!("x{k}"));
    }
    writeln!(text, " output y[{}] = {}\n}}", open.join(", "), product.join(" * ")).unwrap();
    text
}

#[test]
fn the_result_has_them_and_its_values_and_gradients_are_right() {
    let compiled = compile_text(&star(30), &Options { grad: true, ..Options::default() }).unwrap();
    let plan = compiled.plan().unwrap();
    assert_eq!(plan.outputs[0].dims.len(), 31);
    let job = Job::drawn(plan, "units", None, 5).unwrap();
    let got = job.execute(1).unwrap();
    let program = &compiled.prepared.source_program;
    let leaf = |id: LeafId| {
        let shape = program.leaves[id].legs.iter().map(|&i| program.indices[i].size.value).collect();
        Dense { shape, data: job.given[&Class::Leaf(id.0)].clone() }
    };
    let leaves: HashMap<LeafId, Dense> = program.leaves.enumerate().map(|(id, _)| (id, leaf(id))).collect();
    let want = naive::evaluate(program, &leaves, &HashMap::new());
    let NaiveOutput::Plain(want) = &want[0] else { panic!("no log output here") };
    agree("y", &got[&(EntryKind::Forward, Class::Output(0))], &want.data, 1e-12).unwrap();
    // the output is linear in every tensor: <ct, y> = <t, gradient of t>
    let dot = |a: &[tn_ir::Complex64], b: &[tn_ir::Complex64]| a.iter().zip(b).map(|(x, y)| x * y).sum();
    let inner: tn_ir::Complex64 = dot(&job.given[&Class::Cotangent(0)], &want.data);
    for k in 0..30 {
        let gradient = &got[&(EntryKind::Vjp, Class::Grad(k))];
        agree(&format!("t{k}"), &[dot(&job.given[&Class::Leaf(k)], gradient)], &[inner], 1e-12).unwrap();
    }
}

#[test]
fn hundreds_are_no_axes_of_the_steps() {
    let compiled = compile_text(&star(900), &Options { grad: true, ..Options::default() }).unwrap();
    let plan = compiled.plan().unwrap();
    assert_eq!(plan.outputs[0].dims.len(), 901);
    for entry in &plan.entries {
        let spaces =
            entry.body.iter().filter_map(|i| if let Item::Step(s) = i { Some(&s.space) } else { None });
        assert!(spaces.map(Vec::len).max() <= Some(3));
    }
}
