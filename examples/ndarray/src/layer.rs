//! The generated module behind a type with ndarray's arrays.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, s};

mod generated {
    include!(concat!(env!("OUT_DIR"), "/layer.rs"));
}
use generated::layer as net;

/// Columns of input and output.
pub const WIDTH: usize = 64;

/// A layer with its parameters, and the buffers that its passes reuse.
pub struct Layer {
    /// All parameters, one after the other.
    pub params: Array1<f32>,
    saved: Vec<f32>,
    workspace: Vec<f32>,
}

/// What `vjp` gives.
pub struct Gradients {
    /// Of the parameters.
    pub params: Array1<f32>,
    /// Of the input, `[batch, WIDTH]`.
    pub x: Array2<f32>,
}

impl Layer {
    /// A layer with initial parameters by the rules of `layer.tn`.
    pub fn new(seed: u64) -> Layer {
        let mut params = vec![0.0; net::PARAM_COUNT];
        net::init(seed, &mut params).expect("the length is the module's");
        Layer { params: params.into(), saved: vec![], workspace: vec![] }
    }

    /// A parameter by its name in the source, as a part of all.
    pub fn param(&mut self, name: &str) -> Option<ArrayViewMut1<'_, f32>> {
        let p = net::PARAMS.iter().find(|p| p.name == name)?;
        Some(self.params.slice_mut(s![p.offset..p.offset + p.len]))
    }

    /// `x` is `[batch, WIDTH]`, and so is the result; what [`Layer::backward`] needs is kept.
    ///
    /// # Errors
    /// If `x` has another width.
    pub fn forward(&mut self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>, net::Error> {
        let sizes = net::Sizes { b: x.nrows() };
        // buffers grow with the largest batch and stay
        let grow = |v: &mut Vec<f32>, n: usize| v.resize(n.max(v.len()), 0.0);
        grow(&mut self.workspace, net::workspace_len(sizes));
        self.saved.resize(net::saved_len(sizes), 0.0);
        let mut y = Array2::zeros((x.nrows(), WIDTH));
        let x = x.as_standard_layout();
        net::forward_saving(
            sizes,
            self.params.as_slice().expect("contiguous"),
            &net::Inputs { x: x.as_slice().expect("in standard layout") },
            &mut net::Outputs { y: y.as_slice_mut().expect("new") },
            &mut self.saved,
            &mut self.workspace,
        )?;
        Ok(y)
    }

    /// Gradients at the last [`Layer::forward`], which had the same `x`.
    ///
    /// # Errors
    /// If a shape is not that of the forward pass.
    pub fn backward(
        &mut self,
        x: ArrayView2<'_, f32>,
        ct: ArrayView2<'_, f32>,
    ) -> Result<Gradients, net::Error> {
        let sizes = net::Sizes { b: x.nrows() };
        let mut grad = Gradients { params: Array1::zeros(net::PARAM_COUNT), x: Array2::zeros(x.dim()) };
        let (x, ct) = (x.as_standard_layout(), ct.as_standard_layout());
        net::vjp(
            sizes,
            self.params.as_slice().expect("contiguous"),
            &net::Inputs { x: x.as_slice().expect("in standard layout") },
            &self.saved,
            &net::Cotangents { y: ct.as_slice().expect("in standard layout") },
            grad.params.as_slice_mut().expect("new"),
            &mut net::InputGrads { x: grad.x.as_slice_mut().expect("new") },
            &mut self.workspace,
        )?;
        Ok(grad)
    }
}
