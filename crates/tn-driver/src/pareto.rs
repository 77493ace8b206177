//! `--pareto`: what less memory costs in time.
//!
//! The network is planned without a limit, then under limits that leave less and less for what a plan may choose about: the workspace and what is saved
//! for the gradient. Under each limit, values are saved or made again, trees are searched anew and sliced, as `--memory` does; so `--memory` with a row's peak
//! gives that row's plan, a better one, or one that takes a few hundredths longer, since how much is saved goes in steps. A point is one schedule, that of the hints of run-time sizes. Rows that need more memory than another and are no faster are left out.

use crate::compile::compile;
use crate::draw::svg_page;
use crate::error::Error;
use crate::options::{Options, Source};
use crate::report::show_seconds;
use crate::rules::Rules;
use crate::table::Table;
use crate::values::show_bytes;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;

/// The parts of workspace and saved bytes that are left, in hundredths.
const PARTS: [u64; 10] = [75, 50, 35, 25, 17, 12, 10, 8, 6, 4];
/// So many limits in a row without a plan end the search.
const VAIN: usize = 2;

/// One plan of the frontier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Bytes at the worst moment.
    pub peak: u128,
    /// Of these: workspace.
    pub workspace: u128,
    /// Of these: saved for the gradient.
    pub saved: u128,
    /// Modelled seconds.
    pub seconds: f64,
    /// Bytes moved by all entries together.
    pub bytes: f64,
}

/// The frontier, the fastest plan first. A `--memory` among the options is an upper end.
///
/// # Errors
/// Those of [`compile`] without a tighter limit; a tighter limit without a plan is not one.
pub fn run_pareto(source: &Source, options: &Options) -> Result<Vec<Point>, Error> {
    let began = Instant::now();
    // a time limit is one for all points together
    let timed = |options: Options, left: usize| match options.max_time {
        Some(t) => Options { max_time: Some(t.saturating_sub(began.elapsed()) / left as u32), ..options },
        None => options,
    };
    let mut points = vec![point(source, &timed(options.clone(), 3))?];
    let first = points[0];
    let free = first.workspace.saturating_add(first.saved);
    let held = first.peak.saturating_sub(free);
    let mut vain = 0;
    for (k, part) in PARTS.into_iter().enumerate() {
        if options.max_time.is_some_and(|t| began.elapsed() >= t) {
            break;
        }
        let limit = held + free * u128::from(part) / 100;
        let Ok(limit) = u64::try_from(limit) else { continue };
        let limited = Options { memory: Some(limit), ..options.clone() };
        match point(source, &timed(limited, PARTS.len() - k)) {
            Ok(p) => {
                points.push(p);
                vain = 0;
            }
            Err(Error::Infeasible(_)) => vain += 1,
            Err(e) => return Err(e),
        }
        if vain == VAIN {
            break;
        }
    }
    Ok(frontier(points))
}

fn point(source: &Source, options: &Options) -> Result<Point, Error> {
    let rules = Rules { regimes: false, ..options.rules };
    let compiled = compile(source, &Options { rules, ..options.clone() })?;
    let s = &compiled.plan()?.summary;
    Ok(Point {
        peak: s.peak_bytes,
        workspace: s.workspace_bytes,
        saved: s.saved_bytes,
        seconds: s.modelled_seconds,
        bytes: s.entries.iter().map(|e| e.bytes_moved).sum(),
    })
}

/// The points that no other beats in both, the fastest first.
fn frontier(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(a.peak.cmp(&b.peak)));
    let mut out: Vec<Point> = vec![];
    for p in points {
        if out.last().is_none_or(|l| p.peak < l.peak) {
            out.push(p);
        }
    }
    out
}

/// The frontier as a table.
pub fn pareto_text(points: &[Point]) -> String {
    let mut table = Table::new(["peak", "workspace", "saved", "modelled time", "slower by"]);
    let best = points.first().map_or(0.0, |p| p.seconds);
    for p in points {
        let slower = if best > 0.0 { p.seconds / best } else { 1.0 };
        table.row([
            show_bytes(p.peak),
            show_bytes(p.workspace),
            show_bytes(p.saved),
            show_seconds(p.seconds),
            format!("{slower:.2}"),
        ]);
    }
    table.render()
}

/// The frontier as a JSON object: `{"pareto": [{"peak_bytes": …, …}]}`.
pub fn pareto_json(points: &[Point]) -> Value {
    let bytes = |b: u128| i64::try_from(b).ok();
    let one = |p: &Point| {
        json!({
            "peak_bytes": bytes(p.peak),
            "workspace_bytes": bytes(p.workspace),
            "saved_bytes": bytes(p.saved),
            "modelled_seconds": p.seconds,
            "bytes_moved": p.bytes,
        })
    };
    json!({ "pareto": points.iter().map(one).collect::<Vec<_>>() })
}

/// Of the diagram: the left edge, the top, the width and the height.
const AREA: (f64, f64, f64, f64) = (92.0, 70.0, 560.0, 300.0);

/// The frontier as a picture: time against peak, both logarithmic.
pub fn pareto_svg(name: &str, points: &[Point]) -> String {
    let (left, top, width, height) = AREA;
    let span = |values: Vec<f64>| {
        let (low, high) = values.iter().fold((f64::INFINITY, 0.0f64), |(l, h), &v| (l.min(v), h.max(v)));
        // a frontier of one point stands in the middle
        (low.max(1e-12).ln() - 0.1, high.max(1e-12).ln() + 0.1)
    };
    let (x0, x1) = span(points.iter().map(|p| p.peak as f64).collect());
    let (y0, y1) = span(points.iter().map(|p| p.seconds).collect());
    let at = |p: &Point| {
        let x = left + width * ((p.peak as f64).max(1e-12).ln() - x0) / (x1 - x0);
        let y = top + height * (1.0 - (p.seconds.max(1e-12).ln() - y0) / (y1 - y0));
        (x, y)
    };
    let mut body = String::new();
    let _ = writeln!(
        body,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#999\"/>"
    );
    let mut path = String::new();
    for (k, p) in points.iter().enumerate() {
        let (x, y) = at(p);
        let _ = write!(path, "{}{x:.1} {y:.1}", if k == 0 { "M" } else { " L" });
    }
    let _ = writeln!(body, "<path d=\"{path}\" fill=\"none\" stroke=\"#36c\" stroke-width=\"1.5\"/>");
    for p in points {
        let (x, y) = at(p);
        let (peak, time) = (show_bytes(p.peak), show_seconds(p.seconds));
        let _ = writeln!(
            body,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"#36c\"><title>{peak}, {time}</title></circle>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\" fill=\"#333\">{peak}, {time}</text>",
            x + 6.0,
            y - 5.0
        );
    }
    let _ = writeln!(
        body,
        "<text x=\"{left}\" y=\"{:.1}\" font-size=\"11\" fill=\"#555\">peak memory, logarithmic; upwards the modelled time</text>",
        top + height + 18.0
    );
    svg_page(&format!("time against memory of {name}"), (left + width + 190.0, top + height + 40.0), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_beats_in_both_is_left_out() {
        let p = |peak, seconds| Point { peak, workspace: 0, saved: 0, seconds, bytes: 0.0 };
        let all = vec![p(10, 1.0), p(8, 3.0), p(7, 2.0), p(12, 1.0), p(3, 9.0), p(3, 8.0)];
        assert_eq!(frontier(all), vec![p(10, 1.0), p(7, 2.0), p(3, 8.0)]);
        assert!(pareto_svg("n", &[p(10, 1.0)]).contains("10 B"));
    }
}
