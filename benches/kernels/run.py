#!/usr/bin/env python3
"""Emitted kernels by the clock, beside the machine's own floors and, in the same run, the frameworks.

    cargo build --release -p tnc-cli && python3 benches/kernels/run.py [--quick] [--filter TEXT] [--threads 1]
                                                                       [--peers PYTHON] [--update-docs]

Each workload is emitted twice, by itself and with `--runtime crate`; all modules become one crate, built without any flags for the machine. It
compares what both compute (outputs and gradients) before it times the second: medians of interleaved rounds of `forward`, `forward_saving` with
`vjp`, and the floors, which are a fill of as many bytes as the output has and a sum over them. Buffers are made, touched and reused.

`--peers` is a Python with torch, jax, numpy and opt_einsum (`make_env.sh` makes one); what is not installed is left out and named. The
peers draw values of their own. Each peer's time is that of its fastest formulation.
"""
import argparse, datetime, json, os, pathlib, shutil, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# the peers' allocator does not give memory back: by default they touch fresh pages in every call
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "1000000000000", "MALLOC_TOP_PAD_": "268435456"}
FRAMEWORKS = ["torch", "compile", "jax", "numpy"]


class Workload:
    """A network with its parameters; entries of inputs and outputs; the peers' workload, and which of its variants compute the same; of which size
    its parameters are, so that values stay within bounds."""

    def __init__(self, name, file, network, sets, inputs, outputs, peer, variants, scale=1.0):
        self.name, self.file, self.network, self.sets = name, file, network, sets
        self.inputs, self.outputs, self.peer, self.variants, self.scale = inputs, outputs, peer, variants, scale


def workloads(quick):
    out = []
    for modes in [20] if quick else [20, 22, 24]:
        for kind, peer in [("ttn", "ttn"), ("augmented", "attn"), ("mera", "mera")]:
            out.append(Workload(f"{kind}, {modes} modes", "generators.tn", f"{kind}_weight", {"modes": modes}, {},
                                {"y": 1 << modes}, f"{peer}{modes}", lambda v: True))
    out.append(Workload("brick wall, 20 modes, 6 layers", "generators.tn", "brick_wall_weight", {}, {}, {"y": 1 << 20}, "brickwall20", lambda v: True, 0.7))
    for batch in [1, 32] if quick else [1, 32, 512]:
        out.append(Workload(f"layer 4096 = 8^4, rank 8, batch {batch}", "layers.tn", "layer_4096", {"batch": batch}, {"x": 4096 * batch},
                            {"y": 4096 * batch}, "mpo4096_8", lambda v, b=batch: v.endswith(f"r8_b{b}")))
    out.append(Workload("overlap, 100 sites, bond 64", "physics.tn", "overlap", {}, {}, {"z": 1}, "mps", lambda v: True, 0.182))
    out.append(Workload("PEPS 4 x 4, bond 4", "physics.tn", "peps_norm", {}, {}, {"z": 1}, "peps", lambda v: True, 0.5))
    return out


HARNESS = """
    pub mod {tag} {{
        use crate::{{{module} as m, {module}_alone as alone}};
        struct Data {{ params: Vec<f32>, {in_fields} {out_fields} saved: Vec<f32>, workspace: Vec<f32>, grads: Vec<f32>, {gin_fields} }}
        impl Data {{
            fn new(saved: usize, workspace: usize) -> Data {{
                Data {{ params: crate::drawn(1, m::PARAM_COUNT, {scale}), {in_inits} {out_inits} saved: vec![1.5; saved], workspace: vec![1.5; workspace], grads: vec![1.5; m::PARAM_COUNT], {gin_inits} }}
            }}
        }}
        macro_rules! entries {{ ($m:ident, $d:expr) => {{{{
            let d: &mut Data = $d;
            $m::forward_saving(&d.params, {in_args} &mut $m::Outputs {{ {outs} }}, &mut d.saved, &mut d.workspace).unwrap();
            $m::vjp(&d.params, {in_args} &d.saved, &$m::Cotangents {{ {cts} }}, &mut d.grads, {gin_args} &mut d.workspace).unwrap();
        }}}} }}
        pub fn measure(rounds: usize, sample: f64) {{
            let mut a = Data::new(alone::SAVED_LEN, alone::WORKSPACE_LEN);
            entries!(alone, &mut a);
            let mut d = Data::new(m::SAVED_LEN, m::WORKSPACE_LEN);
            entries!(m, &mut d);
            let worst = [{compare}].into_iter().fold(0f64, |a, b| if b > a || b.is_nan() {{ b }} else {{ a }});
            drop(a);
            let bytes = {out_entries};
            let (mut to, from) = (vec![1f32; bytes], vec![1f32; bytes]);
            let mut times: [Vec<f64>; 4] = Default::default();
            let mut counts = [0usize; 4];
            for round in 0..=rounds {{
                for what in 0..4 {{
                    let mut call = || match what {{
                        0 => {{ m::forward(&d.params, {in_args} &mut m::Outputs {{ {outs} }}, &mut d.workspace).unwrap(); }}
                        1 => entries!(m, &mut d),
                        2 => {{ to.fill(std::hint::black_box(2.5)); std::hint::black_box(&mut to); }}
                        _ => crate::read(&from),
                    }};
                    call();
                    if round == 0 {{ counts[what] = crate::fitting(&mut call, sample); continue; }}
                    times[what].push(crate::seconds(&mut call, counts[what]));
                }}
            }}
            let t = times.map(crate::median);
            println!("{{{{\\"name\\": \\"{name}\\", \\"difference\\": {{:e}}, \\"forward\\": {{:e}}, \\"both\\": {{:e}}, \\"write\\": {{:e}}, \\"read\\": {{:e}}}}}}", worst, t[0], t[1], t[2], t[3]);
        }}
    }}
"""

MAIN = """#![allow(warnings)]
{mods}
use std::time::Instant;
fn drawn(seed: u64, n: usize, scale: f64) -> Vec<f32> {{
    let mut s = seed;
    (0..n).map(|_| {{
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (scale * ((s >> 11) as f64 / (1u64 << 52) as f64 - 1.0)) as f32
    }}).collect()
}}
fn seconds(f: &mut dyn FnMut(), n: usize) -> f64 {{ let t = Instant::now(); for _ in 0..n {{ f(); }} t.elapsed().as_secs_f64() / n as f64 }}
fn fitting(f: &mut dyn FnMut(), sample: f64) -> usize {{ let one = seconds(f, 1); ((sample / one.max(1e-9)) as usize).clamp(1, 100_000) }}
fn median(mut v: Vec<f64>) -> f64 {{ v.sort_by(f64::total_cmp); v[v.len() / 2] }}
fn read(v: &[f32]) {{
    let mut sums = [0f32; 128];
    let (parts, rest) = v.as_chunks::<128>();
    for part in parts {{ for (s, x) in sums.iter_mut().zip(part) {{ *s += x; }} }}
    std::hint::black_box((sums, rest.iter().sum::<f32>()));
}}
fn apart(a: &[f32], b: &[f32]) -> f64 {{
    let size = a.iter().map(|x| x.abs() as f64).fold(0.0, f64::max);
    if size == 0.0 || !a.iter().chain(b).all(|x| x.is_finite()) {{ return f64::NAN; }}
    a.iter().zip(b).map(|(x, y)| ((x - y) as f64).abs()).fold(0.0, f64::max) / size
}}
mod cases {{ {cases} }}
fn main() {{
    let mut args = std::env::args().skip(1);
    let (rounds, sample) = (args.next().unwrap().parse().unwrap(), args.next().unwrap().parse().unwrap());
    {calls}
}}
"""


def emit(tnc, work, w, k):
    """Both modules of a workload and the text around them."""
    src = work / "src"
    module = f"w{k}"
    for runtime, name in [("crate", module), ("inline", f"{module}_alone")]:
        out = work / "emitted" / name
        sets = [x for key, v in w.sets.items() for x in ("--set", f"{key}={v}")]
        run([tnc, "emit", HERE / "networks" / w.file, "--network", w.network, *sets, "--grad", "--target", "rust", "--runtime", runtime, "-o", out])
        [file] = out.glob("*.rs")
        shutil.copy(file, src / f"{name}.rs")
    ins, outs = w.inputs, w.outputs
    spaced = lambda parts: " ".join(parts)
    in_args = "&m::Inputs { %s }," % spaced(f"{n}: &d.in_{n}," for n in ins) if ins else ""
    fields = dict(
        tag=f"case{k}", module=module, name=w.name,
        scale=w.scale, out_entries=sum(outs.values()),
        in_fields=spaced(f"in_{n}: Vec<f32>," for n in ins), in_inits=spaced(f"in_{n}: crate::drawn(2, {c}, 1.0)," for n, c in ins.items()),
        gin_fields=spaced(f"gin_{n}: Vec<f32>," for n in ins), gin_inits=spaced(f"gin_{n}: vec![1.5; {c}]," for n, c in ins.items()),
        out_fields=spaced(f"out_{n}: Vec<f32>, ct_{n}: Vec<f32>," for n in outs),
        out_inits=spaced(f"out_{n}: vec![1.5; {c}], ct_{n}: crate::drawn(3, {c}, 1.0)," for n, c in outs.items()),
        outs=spaced(f"{n}: &mut d.out_{n}," for n in outs), cts=spaced(f"{n}: &d.ct_{n}," for n in outs),
        in_args=in_args, gin_args="&mut m::InputGrads { %s }," % spaced(f"{n}: &mut d.gin_{n}," for n in ins) if ins else "",
        compare=", ".join([f"crate::apart(&a.out_{n}, &d.out_{n})" for n in outs] + ["crate::apart(&a.grads, &d.grads)"]
                          + [f"crate::apart(&a.gin_{n}, &d.gin_{n})" for n in ins]),
    )
    text = HARNESS.format(**fields)
    # inside the macro the module is its argument
    head, tail = text.split("macro_rules! entries", 1)
    macro, rest = tail.split("pub fn measure", 1)
    macro = macro.replace("&m::", "&$m::").replace("&mut m::", "&mut $m::")
    return f"mod {module}; mod {module}_alone;\n", head + "macro_rules! entries" + macro + "pub fn measure" + rest, f"cases::case{k}::measure(rounds, sample);\n"


def run(command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(str(c) for c in command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def ours(tnc, chosen, work, args):
    """Times of the emitted kernels, by workload."""
    shutil.rmtree(work / "src", ignore_errors=True)
    (work / "src").mkdir(parents=True)
    parts = [emit(tnc, work, w, k) for k, w in enumerate(chosen)]
    main = MAIN.format(mods="".join(p[0] for p in parts), cases="".join(p[1] for p in parts), calls="".join(p[2] for p in parts))
    (work / "src" / "main.rs").write_text(main)
    (work / "Cargo.toml").write_text(
        '[package]\nname = "measured-kernels"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[dependencies]\n'
        f'tn-runtime = {{ path = "{ROOT / "crates" / "tn-runtime"}", features = ["std"] }}\n')
    shutil.copy(ROOT / "Cargo.lock", work / "Cargo.lock")
    env = {**os.environ, "CARGO_TARGET_DIR": str(work / "target")}
    env.pop("RUSTFLAGS", None)
    run(["cargo", "build", "--release", "--offline", "--quiet"], cwd=work, env=env)
    rounds, sample = ("5", "0.005") if args.quick else ("21", "0.05")
    text = run(["taskset", "-c", "0", work / "target" / "release" / "measured-kernels", rounds, sample])
    return {row["name"]: row for row in map(json.loads, text.splitlines())}


def peers(python, chosen, args):
    """The fastest of each workload, forward and with the gradient: milliseconds and who."""
    best, missing = {}, set()
    for name in dict.fromkeys(w.peer for w in chosen):
        for framework in FRAMEWORKS:
            budget = ["--budget", "0.3"] if args.quick else []
            done = subprocess.run([python, HERE / "peers.py", name, "--fw", framework, "--threads", "1", *budget],
                                  capture_output=True, text=True, env={**os.environ, **TUNED})
            if done.returncode:
                missing.add(framework)
                continue
            for row in map(json.loads, filter(lambda l: l.startswith("{"), done.stdout.splitlines())):
                if "median_ms" in row:
                    for w in chosen:
                        if w.peer == name and w.variants(row["variant"]):
                            key = (w.name, row["mode"])
                            best[key] = min(best.get(key, (float("inf"), "")), (row["median_ms"], framework))
    for framework in sorted(missing):
        print(f"{framework} is not installed, or failed: it is left out somewhere", file=sys.stderr)
    return best


def table(chosen, mine, theirs):
    rows = ["| workload | forward | × floor | fastest peer | ratio | forward and vjp | fastest peer | ratio |", "| --- | --: | --: | --: | --: | --: | --: | --: |"]
    ms = lambda x: f"{x:.3g} ms" if x >= 1 else f"{1e3 * x:.3g} µs"
    for w in chosen:
        m = mine[w.name]
        cells = [w.name, ms(1e3 * m["forward"]), f"{m['forward'] / m['write']:.2f}" if max(w.outputs.values()) > 1 << 16 else "–"]
        for mode, own in [("fwd", m["forward"]), ("fwdbwd", m["both"])]:
            if mode == "fwdbwd":
                cells.append(ms(1e3 * own))
            time, who = theirs.get((w.name, mode), (None, ""))
            cells += [f"{ms(time)} ({who})", f"{time / (1e3 * own):.2f}"] if time else ["–", "–"]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer workloads and rounds: a check that everything works")
    parser.add_argument("--filter", default="", help="only workloads whose name contains this")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python with the frameworks")
    parser.add_argument("--tnc", default=ROOT / "target" / "release" / "tnc", help="the program")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target" / "bench-kernels")
    parser.add_argument("--update-docs", action="store_true", help="write docs/kernels.md")
    args = parser.parse_args()
    chosen = [w for w in workloads(args.quick) if args.filter in w.name]
    if not chosen:
        sys.exit(f"no workload is called like `{args.filter}`")
    mine = ours(args.tnc, chosen, args.work, args)
    wrong = [f"{n}: with and without the crate differ by {m['difference']:.1e}" for n, m in mine.items() if not m["difference"] < 2e-3]
    if wrong:
        sys.exit("\n".join(wrong))
    theirs = peers(args.peers, chosen, args) if args.peers else {}
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
    text = (f"{table(chosen, mine, theirs)}\n\n{datetime.date.today()}, {cpu}, one thread, `f32`{', --quick' if args.quick else ''}. A ratio above 1: "
            "the peer takes longer. The floor is a fill of the output. Emitted with `--runtime crate`, built without flags for the machine.")
    print(text)
    if args.update_docs:
        page = ROOT / "docs" / "kernels.md"
        begin, end = "<!-- table -->\n", "<!-- end -->"
        head, rest = page.read_text().split(begin)
        page.write_text(head + begin + text + "\n" + end + rest.split(end)[1])


if __name__ == "__main__":
    main()
