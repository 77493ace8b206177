//! Values of options: byte counts, durations, sizes, sweeps. Each parser's error is a sentence for the user.

use std::time::Duration;

/// A number of bytes: `65536`, `64MiB`, `1.5GB`, `512k`. `K M G T` with `iB` or alone are powers of 1024, with `B` of 1000.
///
/// # Errors
/// The text is no such number.
pub fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no byte count, help: write one such as `64MiB`, `1.5GB` or `65536`");
    let (number, unit) = split_unit(text);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "ki" | "kib" => 1024f64,
        "m" | "mi" | "mib" => 1024f64.powi(2),
        "g" | "gi" | "gib" => 1024f64.powi(3),
        "t" | "ti" | "tib" => 1024f64.powi(4),
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(bad()),
    };
    let value = number * factor;
    if value >= u64::MAX as f64 {
        return Err(too_large(text));
    }
    if value >= 0.0 { Ok(value as u64) } else { Err(bad()) }
}

fn too_large(text: &str) -> String {
    format!("`{text}` is more than `2^64 - 1`, help: without the option there is no limit")
}

/// A duration: `10s`, `500ms`, `2m`, `1h`, `1.5` (seconds).
///
/// # Errors
/// The text is no duration, or is longer than a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no duration, help: write one such as `10s`, `500ms` or `2m`");
    let (number, unit) = split_unit(text);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let seconds = number
        * match unit {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(bad()),
        };
    if (0.0..3.2e7).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(bad()) }
}

/// A count of elements: `1000`, `1e6`, `2^27`.
///
/// # Errors
/// The text is no such number.
pub fn count(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no count, help: write one such as `134217728`, `2^27` or `1e8`");
    if let Some((base, power)) = text.split_once('^') {
        let base: u64 = base.trim().parse().map_err(|_| bad())?;
        let power: u32 = power.trim().parse().map_err(|_| bad())?;
        return base.checked_pow(power).ok_or_else(|| too_large(text));
    }
    if let Ok(n) = text.parse() {
        return Ok(n);
    }
    let value: f64 = text.parse().map_err(|_| bad())?;
    if value >= u64::MAX as f64 {
        return Err(too_large(text));
    }
    if value >= 0.0 && value.fract() == 0.0 { Ok(value as u64) } else { Err(bad()) }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |p| p + 1);
    (text[..end].trim(), text[end..].trim())
}

/// `k=v` as a pair.
///
/// # Errors
/// There is no `=`, or nothing before it.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((k, v)) if !k.trim().is_empty() => Ok((k.trim().to_owned(), v.trim().to_owned())),
        _ => Err(format!("`{text}` is no setting, help: write `NAME=VALUE`")),
    }
}

/// Sizes of einsum indices: `a=2,b=3`. Names may be any text without `=` and `,`.
///
/// # Errors
/// An entry is malformed, or a name is given twice.
pub fn sizes(text: &str) -> Result<Vec<(String, u64)>, String> {
    let mut out: Vec<(String, u64)> = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
        let (name, value) =
            pair(entry).map_err(|_| format!("`{entry}` is no size, help: write `--sizes a=2,b=3`"))?;
        let value =
            value.parse().map_err(|_| format!("the size `{value}` of index `{name}` is no number"))?;
        if out.iter().any(|(n, _)| *n == name) {
            return Err(format!("index `{name}` has two sizes"));
        }
        out.push((name, value));
    }
    Ok(out)
}

/// Which values `--sweep` goes through: `chi=4..64` or `chi=4..64:4`, half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The network's parameter.
    pub param: String,
    /// Its values, increasing; at least one.
    pub values: Vec<i64>,
}

/// No table is longer; it would be a mistake.
const MAX_SWEEP: usize = 100_000;

/// Parses [`Sweep`].
///
/// # Errors
/// The text has another form, or there are no values.
pub fn sweep(text: &str) -> Result<Sweep, String> {
    let bad = || format!("`{text}` is no sweep, help: write `chi=4..64` or `chi=4..64:4`");
    let (param, range) = pair(text).map_err(|_| bad())?;
    let (range, step) = match range.split_once(':') {
        Some((r, s)) => (r, s.trim().parse().map_err(|_| bad())?),
        None => (range.as_str(), 1i64),
    };
    let (from, to) = range.split_once("..").ok_or_else(bad)?;
    let from: i64 = from.trim().parse().map_err(|_| bad())?;
    let to: i64 = to.trim().parse().map_err(|_| bad())?;
    if step < 1 {
        return Err(bad());
    }
    if to <= from {
        return Err(format!(
            "the sweep `{text}` is empty, help: ranges are half-open, `4..5` is the value 4 alone"
        ));
    }
    let n = (to as i128 - from as i128 + step as i128 - 1) / step as i128;
    if n > MAX_SWEEP as i128 {
        return Err(format!("the sweep `{text}` has more than `{MAX_SWEEP}` values"));
    }
    let values = (0..n as i64).map(|k| from + k * step).collect();
    Ok(Sweep { param, values })
}

/// Bytes for people: `1.50 MiB`.
pub fn show_bytes(n: u128) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.2} {}", units[unit]) }
}

/// A count of at least one.
pub fn positive(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err(format!("`{text}` leaves no room for any number, help: give at least 1")),
        n => Ok(n),
    }
}

/// A power of ten for people: `123456`, `1.23e45`.
pub fn show_log10(log10: f64) -> String {
    if !log10.is_finite() {
        return "0".into();
    }
    if log10 < 7.0 {
        return format!("{:.0}", 10f64.powf(log10));
    }
    let exponent = log10.floor();
    format!("{:.2}e{exponent}", 10f64.powf(log10 - exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn byte_counts() {
        assert_eq!(bytes("64MiB").unwrap(), 64 << 20);
        assert_eq!(bytes("1.5 GB").unwrap(), 1_500_000_000);
        assert_eq!(bytes("0").unwrap(), 0);
        assert_eq!(bytes("12k").unwrap(), 12 << 10);
        for bad in ["", "MiB", "-1", "1XB", "1e400", "nan", "inf"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_and_counts() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert!(duration("-3s").is_err() && duration("1e300").is_err());
        assert_eq!(count("2^27").unwrap(), 1 << 27);
        assert_eq!(count("1e6").unwrap(), 1_000_000);
        assert!(count("2^64").is_err() && count("1.5").is_err() && count("-1").is_err());
    }

    #[test]
    fn sweeps_are_half_open() {
        assert_eq!(sweep("chi=4..7").unwrap().values, [4, 5, 6]);
        assert_eq!(sweep("chi = 4..64:20").unwrap().values, [4, 24, 44]);
        for bad in ["chi", "chi=4", "chi=4..4", "chi=5..4", "chi=0..9:0", "chi=0..99999999"] {
            assert!(sweep(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_of_indices() {
        assert_eq!(sizes("a=2, β=3").unwrap(), [("a".to_owned(), 2), ("β".to_owned(), 3)]);
        assert!(sizes("a=2,a=2").is_err() && sizes("a").is_err() && sizes("a=x").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,20}") {
            let _ = (bytes(&text), duration(&text), count(&text), sizes(&text), sweep(&text), pair(&text));
        }
    }
}
