//! A layer is checked against ndarray's own product, its gradient against differences, and then trained to be like another one.

mod layer;

use layer::{Layer, WIDTH};
use ndarray::{Array2, Zip};
use std::error::Error;

/// Some deterministic numbers, neither small integers nor symmetric.
fn numbers(rows: usize, shift: f32) -> Array2<f32> {
    let number = |k: usize| ((k * 7919 % 100_003) as f32 * 0.71 + shift).sin();
    Array2::from_shape_fn((rows, WIDTH), |(r, c)| number(r * WIDTH + c))
}

fn largest(x: &Array2<f32>) -> f32 {
    x.iter().fold(0.0, |m, v| m.max(v.abs()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let fails = |e| format!("{e:?}");
    let mut student = Layer::new(1);

    // The matrix is what the layer does to unit vectors, as long as tanh is the identity: for small ones.
    const SMALL: f32 = 1e-3;
    let unit = Array2::from_diag_elem(WIDTH, SMALL);
    let w = student.forward(unit.view()).map_err(fails)?.mapv(|y| y.atanh()) / SMALL;
    student.param("bias").expect("it is in layer.tn").fill(0.25);
    let x = numbers(40, 0.1);
    let got = student.forward(x.view()).map_err(fails)?;
    let want = (x.dot(&w) + 0.25).mapv(f32::tanh);
    let off = largest(&(&got - &want));
    println!("forward, batch 40: off by {off:.1e} from ndarray's product");
    assert!(off < 1e-3);

    // A view in another layout is copied, not misread.
    let turned = x.t().to_owned();
    assert_eq!(student.forward(turned.t()).map_err(fails)?, got);

    // <ct, J t> by a central difference against <gradient, t>
    let ct = numbers(40, 2.3);
    let grad = student.backward(x.view(), ct.view()).map_err(fails)?;
    let tangent = numbers(40, 1.7);
    let mut moved = |step: f32| -> Result<f64, Box<dyn Error>> {
        let y = student.forward((&x + &(step * &tangent)).view()).map_err(fails)?;
        Ok(y.iter().zip(&ct).map(|(&y, &c)| f64::from(y) * f64::from(c)).sum())
    };
    let have: f64 = grad.x.iter().zip(&tangent).map(|(&g, &t)| f64::from(g) * f64::from(t)).sum();
    let want = (moved(1e-2)? - moved(-1e-2)?) / 2e-2;
    println!("gradient of x along a tangent: {have:.5} against {want:.5}");
    assert!((have - want).abs() < 2e-3 * want.abs().max(1.0));

    // Gradient descent towards another layer of the same kind.
    let mut teacher = Layer::new(2);
    let x = 0.25 * numbers(256, 0.4);
    let aim = teacher.forward(x.view()).map_err(fails)?;
    const STEPS: usize = 300;
    const RATE: f32 = 2e-3;
    let mut losses = vec![];
    for _ in 0..STEPS {
        let off = student.forward(x.view()).map_err(fails)? - &aim;
        losses.push(off.iter().map(|v| v * v).sum::<f32>() / off.len() as f32);
        let grad = student.backward(x.view(), off.view()).map_err(fails)?;
        Zip::from(&mut student.params).and(&grad.params).for_each(|p, g| *p -= RATE * g);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    println!("mean square of what is left to learn: {first:.4} at first, {last:.4} after {STEPS} steps");
    assert!(last < 0.1 * first);
    Ok(())
}
