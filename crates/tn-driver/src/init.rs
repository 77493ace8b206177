//! Initial parameters by the language's rules.

use crate::data::{DataArray, Elements, NamedArrays};
use crate::error::Error;
use crate::given::outside_shape;
use num_complex::Complex64;
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::program::{Init, Structure};
use tn_ir::size::Dim;
use tn_plan::ir::LeafInfo;
use tn_runtime::random::{self, Stream};

/// One array for each parameter, in the flattened order, with its outside shape. Equal seeds give equal bytes.
///
/// # Errors
/// A parameter's rule cannot be followed (an isometry without structure, say).
pub fn initial_parameters(leaves: &[LeafInfo], dtype: DType, seed: u64) -> Result<NamedArrays, Error> {
    let mut out = NamedArrays::new();
    for (position, leaf) in leaves.iter().enumerate().filter(|(_, l)| l.role == ArrayRole::Param) {
        let legs = fixed_legs(leaf);
        let values = initial_values(leaf, position, dtype, seed)?;
        let shape = outside_shape(&legs, &leaf.axes);
        out.push((leaf.name.clone(), DataArray { shape, elements: Elements::from_complex(dtype, &values) }));
    }
    Ok(out)
}

fn fixed_legs(leaf: &LeafInfo) -> Vec<u64> {
    leaf.dims.iter().map(|d| if let Dim::Const(n) = d { *n } else { 0 }).collect()
}

/// The row-major initial entries of the leaf at `position`: stream `position` of the seed, entry `i` its number `i` (in a complex
/// network numbers `2i` and `2i + 1`, each with half the variance).
///
/// # Errors
/// The rule does not fit the leaf.
pub fn initial_values(
    leaf: &LeafInfo,
    position: usize,
    dtype: DType,
    seed: u64,
) -> Result<Vec<Complex64>, Error> {
    let legs = fixed_legs(leaf);
    let n = legs.iter().try_fold(1u64, |p, &d| p.checked_mul(d)).and_then(|n| usize::try_from(n).ok());
    let n =
        n.filter(|&n| n < 1 << 40).ok_or_else(|| Error::Input(format!("`{}` is too large", leaf.name)))?;
    let stream = Stream::new(seed, position as u64);
    let normal = |mean: f64, std: f64| -> Vec<Complex64> {
        let one = |i: u64| {
            if dtype.is_complex() {
                let (re, im) = stream.normal_pair(i);
                let half = std / std::f64::consts::SQRT_2;
                Complex64::new(mean + half * re, half * im)
            } else {
                Complex64::new(mean + std * stream.normal(i), 0.0)
            }
        };
        (0..n as u64).map(one).collect()
    };
    let real = |x: f64| Complex64::new(x, 0.0);
    Ok(match leaf.init.as_ref().unwrap_or(&Init::Zeros) {
        Init::Normal { mean, std } => normal(*mean, *std),
        Init::Uniform { low, high } => {
            (0..n as u64).map(|i| real(low + (high - low) * stream.uniform(i))).collect()
        }
        Init::Zeros => vec![real(0.0); n],
        Init::Ones => vec![real(1.0); n],
        Init::Values(values) if values.len() == n => values.iter().map(|&x| real(x)).collect(),
        Init::Values(values) => {
            return Err(Error::internal(
                "init",
                format!("`{}` has {n} entries and {} values", leaf.name, values.len()),
            ));
        }
        Init::Identity { noise } => {
            let half = legs.len() / 2;
            let columns: usize = legs[half..].iter().product::<u64>() as usize;
            let mut out = if *noise == 0.0 { vec![real(0.0); n] } else { normal(0.0, *noise) };
            for i in 0..(n / columns.max(1)).min(columns) {
                out[i * columns + i] += 1.0;
            }
            out
        }
        Init::Isometry => {
            let Some(structure) = &leaf.structure else {
                return Err(Error::internal("init", format!("`{}` is no isometry", leaf.name)));
            };
            let mut out = normal(0.0, 1.0);
            orthonormalise(&mut out, &legs, structure);
            out
        }
    })
}

/// Makes the columns (one for each value of the domain's legs) orthonormal.
fn orthonormalise(values: &mut [Complex64], legs: &[u64], structure: &Structure) {
    let mut pairs: Vec<f64> = values.iter().flat_map(|v| [v.re, v.im]).collect();
    let axes = |which: &[u32]| axes_of(legs, which);
    random::orthonormalise(&mut pairs, &axes(&structure.from), &axes(&structure.to));
    for (v, pair) in values.iter_mut().zip(pairs.chunks(2)) {
        *v = Complex64::new(pair[0], pair[1]);
    }
}

/// Lengths and row-major steps of some legs.
fn axes_of(legs: &[u64], which: &[u32]) -> Vec<(usize, usize)> {
    let step = |leg: usize| legs[leg + 1..].iter().product::<u64>() as usize;
    which.iter().map(|&leg| (legs[leg as usize] as usize, step(leg as usize))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tn_ir::program::FoldAxis;

    fn leaf(dims: &[u64], init: Init, structure: Option<Structure>) -> LeafInfo {
        LeafInfo {
            name: "w".into(),
            role: ArrayRole::Param,
            dims: dims.iter().map(|&n| Dim::Const(n)).collect(),
            axes: dims.iter().map(|_| FoldAxis { label: "a".into(), legs: 1 }).collect(),
            value: None,
            init: Some(init),
            structure,
            needs_grad: false,
        }
    }

    #[test]
    fn isometries_are_isometries() {
        for dtype in [DType::F64, DType::C128] {
            let s = Structure { from: vec![2], to: vec![0, 1], unitary: false };
            let v = initial_values(&leaf(&[3, 2, 4], Init::Isometry, Some(s)), 0, dtype, 9).unwrap();
            for p in 0..4 {
                for q in 0..4 {
                    let dot: Complex64 = (0..6).map(|r| v[r * 4 + p].conj() * v[r * 4 + q]).sum();
                    let want = if p == q { 1.0 } else { 0.0 };
                    assert!((dot - want).norm() < 1e-14, "{p} {q}: {dot}");
                }
            }
        }
    }

    #[test]
    fn rules_give_their_moments_and_streams_differ() {
        let of =
            |init, position| initial_values(&leaf(&[50, 40], init, None), position, DType::F64, 1).unwrap();
        let v = of(Init::Normal { mean: 0.5, std: 0.1 }, 0);
        let mean = v.iter().map(|z| z.re).sum::<f64>() / 2000.0;
        let var = v.iter().map(|z| (z.re - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!((mean - 0.5).abs() < 0.01 && (var.sqrt() - 0.1).abs() < 0.005);
        assert_ne!(v, of(Init::Normal { mean: 0.5, std: 0.1 }, 1));
        assert!(of(Init::Uniform { low: 2.0, high: 3.0 }, 0).iter().all(|z| (2.0..3.0).contains(&z.re)));
        let eye = initial_values(&leaf(&[2, 3, 2, 3], Init::Identity { noise: 0.0 }, None), 0, DType::F64, 1)
            .unwrap();
        assert!((0..36).all(|i| eye[i].re == if i / 6 == i % 6 { 1.0 } else { 0.0 }));
    }
}
