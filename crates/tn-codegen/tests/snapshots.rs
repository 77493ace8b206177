//! How emitted files look, and how long they get.

#[path = "common/cases.rs"]
mod cases;
mod common;

use tn_codegen::{CudaOptions, RustOptions, emit_cuda, emit_rust};
use tn_ir::dtype::DType;
use tn_kernel::{Target, dump, lower_plan};
use tn_plan::ir::*;

fn layer() -> Plan {
    cases::all().into_iter().find(|c| c.plan.name == "layer_f32").unwrap().plan
}

#[test]
fn a_layer_in_rust() {
    insta::assert_snapshot!(emit_rust(&layer(), &RustOptions::default()).unwrap().text);
}

#[test]
fn a_layer_in_cuda() {
    let files = emit_cuda(&layer(), &CudaOptions::default()).unwrap();
    assert_eq!(
        files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["layer_f32.cu", "layer_f32.h", "tn_device.h"]
    );
    insta::assert_snapshot!(format!("{}\n{}", files[1].text, files[0].text));
}

#[test]
fn a_layer_in_kernels() {
    insta::assert_snapshot!(dump::module(&lower_plan(&layer(), Target::Cpu).unwrap()));
}

#[test]
fn text_does_not_grow_with_the_sites_of_a_chain() {
    let lines = |sites| {
        let plan = cases::chain("chain", DType::F32, sites).plan;
        let rust = emit_rust(&plan, &RustOptions::default()).unwrap().text;
        let rust = rust[rust.find("pub fn forward").unwrap()..].lines().count();
        let cuda = emit_cuda(&plan, &CudaOptions::default()).unwrap().remove(0).text.lines().count();
        (rust, cuda)
    };
    assert_eq!(lines(40), lines(1000));
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    for case in cases::all() {
        let rust = |p: &Plan| emit_rust(p, &RustOptions::default()).unwrap();
        assert_eq!(rust(&case.plan), rust(&case.plan.clone()));
        let cuda = |p: &Plan| emit_cuda(p, &CudaOptions::default()).unwrap();
        assert_eq!(cuda(&case.plan), cuda(&case.plan.clone()));
    }
}

#[test]
fn a_step_that_reads_what_it_writes_is_refused() {
    let mut plan = layer();
    // The saved hidden layer moves onto itself, shifted by one element.
    let entry = plan.entries.iter_mut().find(|e| e.kind == EntryKind::Forward).unwrap();
    let Some(Item::Step(s)) = entry.body.last_mut() else { panic!("a step was expected") };
    let shifted = Access { offset: tn_ir::size::Poly::one(), ..s.out.clone() };
    s.ins[0] = shifted;
    let error = emit_rust(&plan, &RustOptions::default()).unwrap_err().to_string();
    assert!(error.contains("of length") || error.contains("reads elements that it writes"), "{error}");
}
