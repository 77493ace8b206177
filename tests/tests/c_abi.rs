//! Modules called from C: the example program, and complex networks with families of inputs.

use num_complex::Complex64;
use std::path::{Path, PathBuf};
use std::process::Command;
use tn_codegen::{RustOptions, emit_c_abi};
use tn_plan::ir::{Class, EntryKind};
use tn_tests::emitted::{folder, run};
use tn_tests::network::{Job, all_entries, compile_file, compile_text, example};

/// The libraries of a job's network and the program `main.c`, built and run; what it printed, line by line.
fn printed(job: &Job, dir: &Path, main: &str) -> Vec<String> {
    let name = &job.plan.name;
    for file in
        emit_c_abi(&job.plan, &RustOptions { file_stem: name.clone(), ..RustOptions::default() }).unwrap()
    {
        std::fs::write(dir.join(file.name), file.text).unwrap();
    }
    std::fs::write(dir.join("main.c"), main).unwrap();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let target = dir.join("target");
    let mut build = Command::new(cargo);
    build.args(["build", "--offline", "--quiet"]).current_dir(dir).env("CARGO_TARGET_DIR", &target);
    // warnings of generated code would be the user's
    run(build.env("RUSTFLAGS", "-Dwarnings")).unwrap();
    let flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "-I."];
    let library = target.join("debug").join(format!("lib{name}.a"));
    let (program, system) = (dir.join("main"), ["-lpthread", "-ldl", "-lm", "-o"]);
    run(Command::new("cc").args(flags).arg(library).args(system).arg(&program).current_dir(dir)).unwrap();
    run(&mut Command::new(program)).unwrap().lines().map(str::to_owned).collect()
}

fn own(name: &str) -> PathBuf {
    folder(env!("CARGO_TARGET_TMPDIR"), &format!("c_abi_{name}")).unwrap()
}

fn checksum(values: &[Complex64]) -> f64 {
    values.iter().enumerate().map(|(i, v)| v.re * ((i % 5) as f64 - 2.0)).sum()
}

/// Whether `line` is `what` and a number near `want`.
fn near(line: &str, what: &str, want: f64) {
    let got: f64 = line.strip_prefix(what).unwrap_or_else(|| panic!("{line}")).trim().parse().unwrap();
    assert!((got - want).abs() <= 1e-4 * want.abs().max(1.0), "{line}, not {want}");
}

#[test]
fn the_example_in_c() {
    let compiled = compile_file(example("tt_linear"), &all_entries()).unwrap();
    let mut job = Job::drawn(compiled.plan().unwrap(), "tt_linear", Some(3), 7).unwrap();
    let pattern = |class: &Class, period: usize, mid: f64, scale: f64, job: &mut Job| {
        let values = job.given.get_mut(class).unwrap();
        values.iter_mut().enumerate().for_each(|(i, v)| *v = ((((i % period) as f64) - mid) / scale).into());
    };
    let x = Class::Leaf(job.leaf("x").unwrap());
    pattern(&x, 7, 3.0, 8.0, &mut job);
    pattern(&Class::Cotangent(0), 3, 1.0, 4.0, &mut job);
    let main = include_str!("../../examples/from_c/main.c");
    let lines = printed(&job, &own("tt_linear"), main);
    let values = job.execute(2).unwrap();
    let grads = |class: Class| values[&(EntryKind::Vjp, class)].clone();
    let params = job.plan.leaves.iter().enumerate().filter(|(_, l)| l.role == tn_ir::dag::ArrayRole::Param);
    let flat: Vec<Complex64> = params.flat_map(|(i, _)| grads(Class::Grad(i as u32))).collect();
    near(&lines[0], "y", checksum(&values[&(EntryKind::Forward, Class::Output(0))]));
    near(&lines[1], "grad params", checksum(&flat));
    near(&lines[2], "grad x", checksum(&grads(Class::Grad(job.leaf("x").unwrap()))));
    assert_eq!(lines[3..], ["no rows: 1", "no parameters: 1", "no workspace: 1"]);
}

#[test]
fn complex_families_and_words_of_c() {
    let text = "network gates {
        dtype c64
        index q[0..3]: 2
        input double[k in 0..2][q[k], q[k + 1]]
        param register[q[2]]: init(normal(0, 1))
        output signed[q[0]] = double[0][q[0], q[1]] * double[1][q[1], q[2]] * conj(register[q[2]])
    }";
    let compiled = compile_text(text, &all_entries()).unwrap();
    let mut job = Job::drawn(compiled.plan().unwrap(), "gates", None, 3).unwrap();
    let family: Vec<u32> = (0..2).map(|k| job.leaf(&format!("double[{k}]")).unwrap()).collect();
    for (k, &l) in family.iter().enumerate() {
        let values = (0..4).map(|i| Complex64::new(i as f64 / 4.0, k as f64 - 0.5)).collect();
        job.given.insert(Class::Leaf(l), values);
    }
    let main = r#"
        #include "gates.h"
        #include <stdio.h>
        int main(void) {
            gates_complex a[4], b[4], params[GATES_PARAM_COUNT], out[2], tan[2], workspace[64];
            gates_inputs inputs;
            gates_outputs outputs, tangents;
            int i;
            for (i = 0; i < 4; i++) { a[i].re = b[i].re = (float)i / 4; a[i].im = -0.5f; b[i].im = 0.5f; }
            inputs.double_2[0] = a; inputs.double_2[1] = b;
            outputs.signed_2 = out; tangents.signed_2 = tan;
            if (gates_workspace_len() > 64 || gates_init(3, params)) return 1;
            if (gates_forward(params, &inputs, &outputs, workspace, 64)) return 2;
            for (i = 0; i < 2; i++) printf("%.9g %.9g\n", out[i].re, out[i].im);
            /* along the parameters themselves the network is linear */
            for (i = 0; i < 4; i++) a[i].re = b[i].re = a[i].re;
            { gates_complex zero[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
              gates_inputs still; still.double_2[0] = still.double_2[1] = zero;
              if (gates_jvp(params, &inputs, params, &still, &outputs, &tangents, workspace, 64)) return 3; }
            for (i = 0; i < 2; i++) printf("%.9g %.9g\n", tan[i].re, tan[i].im);
            inputs.double_2[1] = NULL;
            printf("%d\n", gates_forward(params, &inputs, &outputs, workspace, 64) == GATES_NULL);
            return 0;
        }
    "#;
    let lines = printed(&job, &own("gates"), main);
    let values = job.execute(1).unwrap();
    for (k, want) in values[&(EntryKind::Forward, Class::Output(0))].iter().enumerate() {
        for line in [&lines[k], &lines[2 + k]] {
            let (re, im) = line.split_once(' ').unwrap();
            near(re, "", want.re);
            near(im, "", want.im);
        }
    }
    assert_eq!(lines[4], "1");
}

/// Sizes called like what the code calls its own things are sizes all the same: a workspace that is too short is seen.
#[test]
fn sizes_named_like_arguments() {
    let text = "/// Without parameters there is no `pub fn init(`.
        network shadow {
        index workspace_len: dyn(8), params: dyn(4), None: dyn(2)
        input x[workspace_len, params, None]
        let z[workspace_len] = x[workspace_len, params, None]
        output y[workspace_len] = sin(z[workspace_len])
        output n[] = z[workspace_len] * z[workspace_len]
    }";
    let compiled = compile_text(text, &all_entries()).unwrap();
    let job = Job::drawn(compiled.plan().unwrap(), "shadow", Some(5), 3).unwrap();
    let main = r#"
        #include "shadow.h"
        #include <stdio.h>
        int main(void) {
            float x[125] = {0}, y[5], n[1], workspace[4096];
            shadow_sizes sizes;
            shadow_inputs inputs;
            shadow_outputs outputs;
            sizes.workspace_len_2 = 5; sizes.params_2 = 5; sizes.None_2 = 5;
            inputs.x = x; outputs.y = y; outputs.n = n;
            printf("%d\n", shadow_workspace_len(sizes) > 0);
            printf("%d\n", shadow_forward(sizes, NULL, &inputs, &outputs, workspace, 0) == SHADOW_LENGTH);
            printf("%d\n", shadow_forward(sizes, NULL, &inputs, &outputs, workspace, 4096) == SHADOW_OK);
            return 0;
        }
    "#;
    assert_eq!(printed(&job, &own("shadow"), main), ["1", "1", "1"]);
}
