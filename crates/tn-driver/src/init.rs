//! Initial parameters by the language's rules.

use crate::data::{DataArray, Elements, NamedArrays};
use crate::error::Error;
use crate::given::outside_shape;
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::size::Dim;
use tn_plan::ir::LeafInfo;

/// One array for each parameter, in the flattened order, with its outside shape. Equal seeds give equal bytes.
///
/// # Errors
/// A parameter's rule cannot be followed (an isometry without structure, say).
pub fn initial_parameters(leaves: &[LeafInfo], dtype: DType, seed: u64) -> Result<NamedArrays, Error> {
    let mut out = NamedArrays::new();
    for (position, leaf) in leaves.iter().enumerate().filter(|(_, l)| l.role == ArrayRole::Param) {
        let legs: Vec<u64> =
            leaf.dims.iter().map(|d| if let Dim::Const(n) = d { *n } else { 0 }).collect();
        let values = initial_values(leaf, position, dtype, seed)?;
        let shape = outside_shape(&legs, &leaf.axes);
        out.push((leaf.name.clone(), DataArray { shape, elements: Elements::from_complex(dtype, &values) }));
    }
    Ok(out)
}
