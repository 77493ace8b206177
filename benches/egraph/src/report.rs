//! Tables in Markdown, and their places in the docs.

use crate::case::{Settings, root};
use std::fmt::Write;

/// A table; all columns but the first `left` are numbers.
pub struct Table {
    text: String,
}

impl Table {
    /// With a head.
    pub fn new(left: usize, head: &[&str]) -> Table {
        let rule: String = (0..head.len()).map(|k| if k < left { " --- |" } else { " ---: |" }).collect();
        Table { text: format!("| {} |\n|{rule}\n", head.join(" | ")) }
    }
    /// Adds a row.
    pub fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }
    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Seconds with three digits.
pub fn seconds(s: f64) -> String {
    let (unit, name) = match s {
        s if !s.is_finite() => return "–".into(),
        s if s < 1e-3 => (1e-6, "µs"),
        s if s < 1.0 => (1e-3, "ms"),
        _ => (1.0, "s"),
    };
    let x = s / unit;
    let digits = if x < 10.0 { 2 } else { usize::from(x < 100.0) };
    format!("{x:.digits$} {name}")
}

/// Bytes in binary units.
pub fn bytes(b: u128) -> String {
    let x = b as f64;
    let (unit, name) = match x {
        x if x < 1024.0 => return format!("{b} B"),
        x if x < 1048576.0 => (1024.0, "KiB"),
        x if x < 1073741824.0 => (1048576.0, "MiB"),
        _ => (1073741824.0, "GiB"),
    };
    format!("{:.1} {name}", x / unit)
}

/// A ratio, or a dash where there is none.
pub fn ratio(x: f64) -> String {
    if x.is_finite() { format!("{x:.2}") } else { "–".into() }
}

/// When and on what the figures of a table were measured.
pub fn provenance(settings: &Settings) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = info.lines().find_map(|l| l.strip_prefix("model name")).and_then(|l| l.split_once(':'));
    let cpu = field.map_or("an unknown processor", |f| f.1.trim());
    let mode = if settings.quick { ", `--quick`" } else { "" };
    format!("Measured on {} (UTC): {cpu}, 1 thread{mode}.", today())
}

/// The date of today, by the civil calendar (Hinnant's days-to-civil).
fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let days = since.map_or(0, |d| d.as_secs() / 86_400) as i64;
    civil(days)
}

fn civil(days: i64) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + i64::from(month <= 2))
}

/// Replaces what stands between the markers of a section in docs/egraph.md.
pub fn put(section: &str, text: &str) -> Result<(), String> {
    let path = root().join("docs/egraph.md");
    let page = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let page =
        replaced(&page, section, text).ok_or(format!("docs/egraph.md has no markers for `{section}`"))?;
    std::fs::write(&path, page).map_err(|e| format!("{}: {e}", path.display()))
}

fn replaced(page: &str, section: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- egraph {section}: begin -->\n");
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find(&format!("<!-- egraph {section}: end -->"))?;
    Some(format!("{}{text}{}", &page[..from], &page[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_replaced_between_their_markers() {
        let page = "a\n<!-- egraph x: begin -->\nold\n<!-- egraph x: end -->\nb\n";
        let new = replaced(page, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- egraph x: begin -->\nnew\n<!-- egraph x: end -->\nb\n");
        assert_eq!(replaced(page, "y", ""), None);
    }

    #[test]
    fn figures_have_units() {
        assert_eq!(
            (seconds(1.234e-5), seconds(0.25), seconds(3.0)),
            ("12.3 µs".into(), "250 ms".into(), "3.00 s".into())
        );
        assert_eq!((bytes(1000), bytes(3 << 19)), ("1000 B".into(), "1.5 MiB".into()));
        assert_eq!((civil(0), civil(20_783)), ("1970-01-01".into(), "2026-11-26".into()));
    }
}
