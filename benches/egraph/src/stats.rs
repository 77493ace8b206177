//! Medians, and how well one order agrees with another.

/// The median; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut v = values.to_vec();
    v.sort_by(f64::total_cmp);
    match v.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => v[n / 2],
        n => 0.5 * (v[n / 2 - 1] + v[n / 2]),
    }
}

/// Kendall's tau-b of two figures of the same things (Kendall 1945): 1 if they order them alike, -1 if the other way round. Differences below
/// the relative `grain` are ties. NaN if one of them has ties only.
pub fn kendall(a: &[f64], b: &[f64], grain: f64) -> f64 {
    let sign = |x: f64, y: f64| {
        if (x - y).abs() <= grain * x.abs().max(y.abs()) { 0 } else { (x > y) as i32 - (x < y) as i32 }
    };
    let (mut agree, mut in_a, mut in_b) = (0, 0, 0);
    for i in 0..a.len() {
        for j in 0..i {
            let (s, t) = (sign(a[i], a[j]), sign(b[i], b[j]));
            agree += s * t;
            in_a += s * s;
            in_b += t * t;
        }
    }
    f64::from(agree) / (f64::from(in_a) * f64::from(in_b)).sqrt()
}

/// The geometric mean; NaN of nothing.
pub fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|x| x.ln()).sum::<f64>() / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn tau_of_equal_opposite_and_mixed_orders() {
        assert_eq!(kendall(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0], 0.0), 1.0);
        assert_eq!(kendall(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], 0.0), -1.0);
        // of six pairs one is the other way round
        assert!((kendall(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0], 0.0) - 4.0 / 6.0).abs() < 1e-12);
        // a tie in one of them
        assert!((kendall(&[1.0, 1.01, 3.0], &[1.0, 2.0, 3.0], 0.02) - 2.0 / 6f64.sqrt()).abs() < 1e-12);
        assert!((geometric_mean(&[1.0, 4.0]) - 2.0).abs() < 1e-12);
    }
}
