//! A plan on one page: its contraction trees, and under them what is live in memory, step by step.

use super::escape;
use super::svg::begin;
use super::tree::{Room, TreeDrawing, one_tree};
use crate::json::entry_name;
use crate::live::{Timeline, timeline};
use crate::region_plan::log10_sum;
use crate::report::show_seconds;
use crate::values::{show_bytes, show_log10};
use std::fmt::Write;
use tn_plan::cost::{Machine, hint, step_costs};
use tn_plan::ir::{Entry, Plan, RegionPlan};

const WIDTH: f64 = 1080.0;
/// Of the diagrams of memory: the left edge, the width and the height of the area.
const LEFT: f64 = 92.0;
const AREA: (f64, f64) = (680.0, 170.0);
/// Where the tensors at the peak are listed.
const LIST: f64 = LEFT + AREA.0 + 36.0;
/// Tensors listed.
const AT_PEAK: usize = 8;
/// Trees drawn; a program of many regions would fill the page with them.
const MAX_TREES: usize = 6;
/// Columns of memory over time; of more steps, each column is the most that its steps need.
const COLUMNS: usize = 2000;
/// A limit this many times above the peak is not drawn, but said.
const FAR: u128 = 4;

/// The page. `plan` is absent where a tensor is too large to be allocated; `limit` is that of `--memory`.
pub fn plot_svg(
    title: &str,
    regions: &[RegionPlan],
    trees: &[TreeDrawing<'_>],
    plan: Option<(&Plan, &Machine)>,
    limit: Option<u64>,
) -> String {
    let mut body = String::new();
    let _ = writeln!(
        body,
        "<text x=\"16\" y=\"46\" font-size=\"11\" fill=\"#555\">{}</text>",
        escape(&totals(regions, plan.map(|p| p.0)))
    );
    let mut y = 60.0;
    let mut largest: Vec<usize> = (0..trees.len()).collect();
    largest.sort_by_key(|&k| std::cmp::Reverse(trees[k].1.len()));
    let mut shown: Vec<usize> = largest.into_iter().take(MAX_TREES).collect();
    shown.sort_unstable();
    let high = if shown.len() > 2 { 200.0 } else { 380.0 };
    for &k in &shown {
        let (text, (_, h)) = one_tree(trees[k], Room { width: WIDTH - 96.0, height: high });
        let _ = writeln!(body, "<g transform=\"translate(0 {y:.1})\">\n{text}</g>");
        y += h;
    }
    if shown.len() < trees.len() {
        let _ = writeln!(
            body,
            "<text x=\"16\" y=\"{:.1}\" font-size=\"11\" fill=\"#555\">the {} largest of {} regions</text>",
            y + 4.0,
            shown.len(),
            trees.len()
        );
        y += 24.0;
    }
    match plan {
        Some((plan, machine)) => {
            for entry in &plan.entries {
                let _ = writeln!(body, "<g transform=\"translate(0 {y:.1})\">");
                diagram(&mut body, plan, entry, machine, limit);
                body.push_str("</g>\n");
                y += AREA.1 + 84.0;
            }
        }
        None => {
            let _ = writeln!(
                body,
                "<text x=\"16\" y=\"{:.1}\" font-size=\"12\" fill=\"#a33\">too large to be allocated: no steps, no memory over time</text>",
                y + 8.0
            );
            y += 32.0;
        }
    }
    begin(WIDTH, y, title) + &body + "</svg>\n"
}

fn totals(regions: &[RegionPlan], plan: Option<&Plan>) -> String {
    let macs = log10_sum(regions.iter().map(|r| r.log10_macs));
    let mut out = format!("{} multiply-adds", show_log10(macs));
    if let Some(p) = plan {
        let s = &p.summary;
        let _ = write!(
            out,
            " · peak memory {} · workspace {} · modelled time {}",
            show_bytes(s.peak_bytes),
            show_bytes(s.workspace_bytes),
            show_seconds(s.modelled_seconds)
        );
    }
    out
}

fn diagram(out: &mut String, plan: &Plan, entry: &Entry, machine: &Machine, limit: Option<u64>) {
    let t = timeline(plan, entry, &|s| hint(plan, s), AT_PEAK);
    let steps = step_costs(plan, entry, machine);
    let drawn_limit = limit.map(u128::from).filter(|l| *l <= t.allocated.saturating_mul(FAR));
    let top = t.allocated.max(drawn_limit.unwrap_or(0)).max(1) as f64 * 1.08;
    let (w, h) = AREA;
    let base = 28.0 + h;
    let x = |step: f64| LEFT + w * step / steps.len().max(1) as f64;
    let y = |bytes: u128| base - h * bytes as f64 / top;
    let _ = writeln!(
        out,
        "<text x=\"16\" y=\"14\" font-size=\"12\" fill=\"#222\">{}: memory over {} steps{}</text>",
        entry_name(entry.kind),
        steps.len(),
        match column(t.live.len()) {
            1 => String::new(),
            k => format!(", the most of every {k}"),
        }
    );
    grid(out, top, &x, &y, steps.len());
    area(out, &t, &x, &y);
    let far = limit.filter(|_| drawn_limit.is_none());
    let mut line = |bytes: u128, color: &str, dash: &str, text: String, above: bool| {
        let at = y(bytes);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT:.1} {at:.1} H{:.1}\" stroke=\"{color}\" stroke-width=\"1.2\" stroke-dasharray=\"{dash}\" fill=\"none\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\" text-anchor=\"end\" fill=\"{color}\">{text}</text>",
            LEFT + w,
            LEFT + w - 4.0,
            if above { at - 4.0 } else { at + 11.0 }
        );
    };
    // Two lines that are near each other have their names on different sides.
    let near = drawn_limit.is_some_and(|l| (y(t.allocated) - y(l)).abs() < 16.0);
    let below = near && drawn_limit.is_some_and(|l| l > t.allocated);
    line(t.allocated, "#444", "5 3", format!("allocated {}", show_bytes(t.allocated)), !below);
    if let Some(limit) = drawn_limit {
        line(limit, "#c0392b", "none", format!("limit {}", show_bytes(limit)), below || !near);
    }
    peak(out, &t, steps.get(t.peak_step).map_or("", |s| s.0.text.as_str()), far, &x, &y);
}

/// Steps of a column.
fn column(steps: usize) -> usize {
    steps.div_ceil(COLUMNS).max(1)
}

/// Ticks at round byte counts and step numbers.
fn grid(out: &mut String, top: f64, x: &dyn Fn(f64) -> f64, y: &dyn Fn(u128) -> f64, steps: usize) {
    out.push_str("<g font-size=\"10\" fill=\"#555\" stroke=\"none\">\n");
    for bytes in ticks(top) {
        let at = y(bytes as u128);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT:.1} {at:.1} h{:.1}\" stroke=\"#e3e3e3\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            AREA.0,
            LEFT - 6.0,
            at + 3.5,
            show_bytes(bytes as u128)
        );
    }
    let base = y(0);
    for step in (0..steps).step_by(stride(steps)) {
        let at = x(step as f64 + 0.5);
        let _ = writeln!(
            out,
            "<path d=\"M{at:.1} {base:.1} v4\" stroke=\"#999\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{step}</text>",
            base + 15.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">step</text>\n</g>",
        LEFT + AREA.0 / 2.0,
        base + 30.0
    );
}

/// Steps between two ticks: 1, 2 or 5 times a power of ten.
fn stride(steps: usize) -> usize {
    let mut ten = 1;
    loop {
        if let Some(s) = [1, 2, 5].map(|k| k * ten).into_iter().find(|s| steps / s <= 12) {
            return s;
        }
        ten *= 10;
    }
}

/// Round byte counts up to `top`, four or so: powers of two times 1, or their thousands.
fn ticks(top: f64) -> Vec<f64> {
    let mut stride = 1.0;
    while top / stride > 5.0 {
        stride *= 2.0;
    }
    (0..=(top / stride) as u32).map(|k| f64::from(k) * stride).collect()
}

fn area(out: &mut String, t: &Timeline, x: &dyn Fn(f64) -> f64, y: &dyn Fn(u128) -> f64) {
    let (base, held) = (y(0), y(t.held));
    let _ = writeln!(
        out,
        "<path d=\"M{:.1} {base:.1} V{held:.1} H{:.1} V{base:.1} Z\" fill=\"#d5d8dc\"><title>held throughout: {}</title></path>",
        x(0.0),
        x(t.live.len().max(1) as f64),
        show_bytes(t.held)
    );
    let mut path = format!("M{:.1} {held:.1}", x(0.0));
    let mut end = 0;
    for steps in t.live.chunks(column(t.live.len())) {
        end += steps.len();
        let most = steps.iter().copied().max().unwrap_or(t.held);
        let _ = write!(path, " V{:.1} H{:.1}", y(most), x(end as f64));
    }
    let _ = writeln!(
        out,
        "<path d=\"{path} V{held:.1} Z\" fill=\"#7fb3d5\" stroke=\"#2b5b84\" stroke-width=\"0.8\"/>\n<path d=\"M{LEFT:.1} {base:.1} h{:.1}\" stroke=\"#555\" fill=\"none\"/>",
        AREA.0
    );
}

fn peak(
    out: &mut String,
    t: &Timeline,
    text: &str,
    far: Option<u64>,
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(u128) -> f64,
) {
    if t.live.is_empty() {
        return;
    }
    let (px, py) = (x(t.peak_step as f64 + 0.5), y(t.peak()));
    let _ = writeln!(
        out,
        "<path d=\"M{px:.1} {:.1} V{py:.1}\" stroke=\"#d35400\" stroke-dasharray=\"2 2\"/>\
         <circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"4\" fill=\"#d35400\" stroke=\"#fff\"/>",
        y(0)
    );
    let mut at = 34.0;
    let mut say = |cells: &[(f64, &str)], size: u32, color: &str| {
        for (right, text) in cells {
            let text = escape(text);
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{at:.1}\" font-size=\"{size}\" fill=\"{color}\">{text}</text>",
                LIST + right
            );
        }
        at += 14.0;
    };
    say(&[(0.0, &format!("peak at step {}: {}", t.peak_step, show_bytes(t.peak())))], 11, "#d35400");
    say(&[(0.0, &cut(text, 44))], 10, "#555");
    for (name, bytes) in &t.at_peak {
        say(&[(0.0, &show_bytes(*bytes)), (64.0, &cut(name, 30))], 10, "#222");
    }
    say(&[(0.0, &format!("grey: held throughout, {}", show_bytes(t.held)))], 10, "#777");
    if let Some(limit) = far {
        say(&[(0.0, &format!("limit {}, far above", show_bytes(u128::from(limit))))], 10, "#c0392b");
    }
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::RegionNet;
    use crate::region_plan::drawing_of;
    use crate::{Options, Source, compile};

    fn page(n: usize, limit: Option<u64>) -> String {
        let letters: Vec<String> = (0..=n).map(|k| format!("i{k}")).collect();
        let source = Source::Einsum {
            expression: format!(
                "{}->",
                ('a'..='z')
                    .take(n)
                    .map(|c| format!("{c}{}", (c as u8 + 1) as char))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            sizes: ('a'..='{').take(letters.len()).map(|c| (c.to_string(), 4)).collect(),
        };
        let compiled =
            compile(&source, &Options { memory: limit, grad: true, ..Options::default() }).unwrap();
        let nets: Vec<RegionNet> =
            compiled.region_plans.iter().map(|r| drawing_of(r, &std::collections::BTreeSet::new())).collect();
        let trees: Vec<TreeDrawing<'_>> = nets
            .iter()
            .zip(&compiled.region_plans)
            .map(|(n, r)| (n, r.ssa_path.as_slice(), r.sliced.as_slice()))
            .collect();
        let plan = compiled.plan().unwrap();
        plot_svg("a & b", &compiled.region_plans, &trees, Some((plan, &compiled.machine)), limit)
    }

    #[test]
    fn the_peak_is_marked_in_every_entry_and_the_limit_drawn_where_it_is_near() {
        let text = page(8, None);
        assert_eq!(text.matches("peak at step").count(), 3);
        assert!(text.contains("a &amp; b") && !text.contains("NaN") && !text.contains("limit"));
        assert!(page(8, Some(4 << 10)).contains(">limit 4.00 KiB<"));
        assert!(page(8, Some(1 << 30)).contains("limit 1.00 GiB, far above"));
    }

    #[test]
    fn a_plan_that_cannot_be_allocated_has_its_trees() {
        assert!(plot_svg("t", &[], &[], None, None).contains("too large"));
    }

    #[test]
    fn of_many_steps_every_column_is_the_most() {
        let live: Vec<u128> = (0..50_000).map(|k| if k == 31_001 { 900 } else { 100 + k % 7 }).collect();
        let t = Timeline { held: 50, allocated: 1000, peak_step: 31_001, at_peak: vec![], live };
        let mut text = String::new();
        area(&mut text, &t, &|step| step, &|bytes| bytes as f64);
        assert!(text.len() < 50_000 && text.matches(" V106.0").count() == COLUMNS - 1);
        assert!(text.contains(" V900.0 H31025.0") && text.contains(" H50000.0 V50.0"));
        assert_eq!([1, 2000, 2001, 4000].map(column), [1, 1, 2, 2]);
    }

    #[test]
    fn strides_are_round() {
        assert_eq!([1, 12, 13, 60, 500, 99_999].map(stride), [1, 1, 2, 5, 50, 10_000]);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(4100.0), [0.0, 1024.0, 2048.0, 3072.0, 4096.0]);
        assert!((3..=6).contains(&ticks(1e15).len()) && ticks(1.0).len() <= 2);
    }
}
