//! A layer for a device without an operating system: no heap, no standard library, no dependencies at run time.
//!
//! `cargo build --lib --target thumbv7em-none-eabihf` makes it for a Cortex-M4F; the program beside it checks it where it is built.

#![no_std]

mod generated {
    include!(concat!(env!("OUT_DIR"), "/sensor.rs"));
}
mod params;

pub use generated::sensor as net;
pub use params::PARAMS;

/// Samples of the sensor, and scores.
pub const SAMPLES: usize = 64;
pub const SCORES: usize = 8;

// a parameter more or less is found when the crate is compiled
const _: () = assert!(PARAMS.len() == net::PARAM_COUNT);

/// The scores of one window of samples. The workspace is on the stack.
///
/// # Errors
/// None with these lengths: all of them are known when the crate is compiled.
pub fn scores(x: &[f32; SAMPLES]) -> Result<[f32; SCORES], net::Error> {
    let mut workspace = [0.0; net::WORKSPACE_LEN];
    let mut y = [0.0; SCORES];
    net::forward(&PARAMS, &net::Inputs { x }, &mut net::Outputs { y: &mut y }, &mut workspace)?;
    Ok(y)
}
