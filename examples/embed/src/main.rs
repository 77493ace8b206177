//! Two generated modules at work, each against a plain computation with loops.

mod fc2 {
    include!(concat!(env!("OUT_DIR"), "/vgg16_fc2.rs"));
}
mod tt {
    include!(concat!(env!("OUT_DIR"), "/tt_linear.rs"));
}
mod reference;

use std::error::Error;

/// Some deterministic numbers, neither small integers nor symmetric.
fn numbers(n: usize, scale: f64, shift: f64) -> Vec<f32> {
    (0..n).map(|k| (scale * (0.37 * k as f64 + shift).sin()) as f32).collect()
}

fn wide(v: &[f32]) -> Vec<f64> {
    v.iter().map(|&x| x as f64).collect()
}

/// The largest difference, relative to the largest entry.
fn difference(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let top = want.iter().fold(1e-30f64, |m, x| m.max(x.abs()));
    got.iter().zip(want).fold(0.0f64, |m, (&g, w)| m.max((g as f64 - w).abs())) / top
}

fn dot(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&x, y)| x as f64 * y).sum()
}

/// 536 parameters stand for the 4096 × 4096 weights of VGG-16's second dense layer.
fn generator() -> Result<(), Box<dyn Error>> {
    use fc2::vgg16_fc2 as net;
    assert_eq!(net::PARAM_COUNT, 536);
    let params = numbers(net::PARAM_COUNT, 0.8, 0.4);
    let mut workspace = vec![0.0; net::WORKSPACE_LEN];
    let mut w = vec![0.0; 4096 * 4096];
    net::forward(&params, &mut net::Outputs { w: &mut w }, &mut workspace).map_err(|e| format!("{e:?}"))?;
    let want = reference::mera(&wide(&params));
    let off = difference(&w, &want);
    println!("vgg16_fc2 forward: relative difference {off:.1e}");
    assert!(off < 2e-5);
    // The first number, so that a change of reference and kernel at once would show.
    let total: f64 = want.iter().sum();
    println!("vgg16_fc2 sum of all weights: {total:.6}");

    let mut saved = vec![0.0; net::SAVED_LEN];
    net::forward_saving(&params, &mut net::Outputs { w: &mut w }, &mut saved, &mut workspace)
        .map_err(|e| format!("{e:?}"))?;
    let ct: Vec<f32> = (0..w.len()).map(|k| (0.001 * (k % 4099) as f64 + 0.3).sin() as f32).collect();
    let mut grad = vec![0.0; net::PARAM_COUNT];
    net::vjp(&params, &saved, &net::Cotangents { w: &ct }, &mut grad, &mut workspace).map_err(|e| format!("{e:?}"))?;
    // <ct, J t> by a central difference of the plain computation, against <grad, t>.
    let tangent = wide(&numbers(net::PARAM_COUNT, 1.0, 1.9));
    let step = 1e-5;
    let moved = |sign: f64| {
        let at: Vec<f64> = params.iter().zip(&tangent).map(|(&p, t)| p as f64 + sign * step * t).collect();
        dot(&ct, &reference::mera(&at))
    };
    let (have, want) = (dot(&grad, &tangent), (moved(1.0) - moved(-1.0)) / (2.0 * step));
    println!("vgg16_fc2 vjp: {have:.6} against {want:.6}");
    assert!((have - want).abs() < 1e-3 * want.abs());
    Ok(())
}

/// A tensor-train layer with a batch that is known at run time only.
fn layer(batch: usize) -> Result<(), Box<dyn Error>> {
    use tt::tt_linear as net;
    const RANK: usize = 6;
    let sizes = net::Sizes { b: batch };
    let params = numbers(net::PARAM_COUNT, 0.5, 0.1);
    let x = numbers(batch * 4096, 1.0, 0.7);
    let mut workspace = vec![0.0; net::workspace_len(sizes)];
    let mut saved = vec![0.0; net::saved_len(sizes)];
    let mut y = vec![0.0; batch * 4096];
    let inputs = net::Inputs { x: &x };
    net::forward_saving(sizes, &params, &inputs, &mut net::Outputs { y: &mut y }, &mut saved, &mut workspace)
        .map_err(|e| format!("{e:?}"))?;
    let layer = reference::TensorTrain::new(&wide(&params), RANK);
    let before = layer.before(&wide(&x), batch);
    let want: Vec<f64> = before.iter().map(|&z| reference::gelu(z).0).collect();
    let off = difference(&y, &want);

    let ct = numbers(batch * 4096, 1.0, 2.3);
    let mut grad = vec![0.0; net::PARAM_COUNT];
    let mut grad_x = vec![0.0; x.len()];
    let mut grad_inputs = net::InputGrads { x: &mut grad_x };
    let cotangents = net::Cotangents { y: &ct };
    net::vjp(sizes, &params, &inputs, &saved, &cotangents, &mut grad, &mut grad_inputs, &mut workspace)
        .map_err(|e| format!("{e:?}"))?;
    let inner: Vec<f64> = ct.iter().zip(&before).map(|(&c, &z)| c as f64 * reference::gelu(z).1).collect();
    let off_x = difference(&grad_x, &layer.transposed(&inner, batch));
    let bias: Vec<f64> = (0..4096).map(|o| (0..batch).map(|b| inner[b * 4096 + o]).sum()).collect();
    let off_bias = difference(&grad[net::PARAM_COUNT - 4096..], &bias);
    println!("tt_linear batch {batch}: y {off:.1e}, grad x {off_x:.1e}, grad bias {off_bias:.1e}");
    assert!(off < 1e-4 && off_x < 1e-4 && off_bias < 1e-4);

    // A length that does not fit is an error value.
    assert!(net::forward(sizes, &params[1..], &inputs, &mut net::Outputs { y: &mut y }, &mut workspace).is_err());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    generator()?;
    layer(1)?;
    layer(33)?;
    println!("ok");
    Ok(())
}
