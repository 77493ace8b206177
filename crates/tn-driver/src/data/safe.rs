//! `.safetensors`, through the crate of that name. The format has no complex type here: complex arrays have a last axis of 2 (re, im).

use super::{DataArray, Elements, NamedArrays, numel};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tn_ir::dtype::DType;

/// Reads all arrays, sorted by name. Complex arrays come as real ones with a last axis of 2; [`DataArray::pairs_to_complex`] folds it.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_safetensors(bytes: &[u8]) -> Result<NamedArrays, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("it is no safetensors file ({e})"))?;
    let mut out = NamedArrays::new();
    for (name, view) in file.tensors() {
        let shape: Vec<u64> = view.shape().iter().map(|&d| d as u64).collect();
        let dtype = match view.dtype() {
            Dtype::F32 => Some(DType::F32),
            Dtype::F64 => Some(DType::F64),
            _ => None,
        };
        let elements = match dtype {
            None => Elements::Foreign(format!("{:?}", view.dtype())),
            Some(dtype) => Elements::from_bytes(dtype, view.data()),
        };
        if dtype.is_some() && numel(&shape) != Some(elements.len()) {
            return Err(format!("array `{name}` has another number of entries than its shape"));
        }
        out.push((name, DataArray { shape, elements }));
    }
    // The crate keeps them in a hash map.
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

/// The file of these arrays; complex ones get a last axis of 2.
///
/// # Errors
/// A sentence: a name twice, or a type the format lacks.
pub fn write_safetensors(arrays: &[(String, DataArray)]) -> Result<Vec<u8>, String> {
    let mut names: Vec<&String> = arrays.iter().map(|(n, _)| n).collect();
    names.sort();
    if let Some(w) = names.windows(2).find(|w| w[0] == w[1]) {
        return Err(format!("array `{}` is there twice", w[0]));
    }
    let mut parts = Vec::new();
    for (name, array) in arrays {
        let mut shape: Vec<usize> = array.shape.iter().map(|&d| d as usize).collect();
        let dtype = match &array.elements {
            Elements::F32(_) => Dtype::F32,
            Elements::F64(_) => Dtype::F64,
            Elements::C64(_) | Elements::C128(_) => {
                shape.push(2);
                if matches!(array.elements, Elements::C64(_)) { Dtype::F32 } else { Dtype::F64 }
            }
            Elements::Foreign(kind) => return Err(format!("array `{name}` has the type `{kind}`")),
        };
        parts.push((name, dtype, shape, array.elements.bytes()));
    }
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        view.map(|v| (name.as_str(), v)).map_err(|e| format!("array `{name}` cannot be written ({e})"))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>()?;
    safetensors::serialize(views, None).map_err(|e| format!("the file cannot be written ({e})"))
}

impl DataArray {
    /// A real array with a last axis of 2 as the complex array that it stands for.
    pub fn pairs_to_complex(&self) -> Option<DataArray> {
        let (&last, shape) = self.shape.split_last()?;
        let dtype = match self.elements {
            Elements::F32(_) => DType::C64,
            Elements::F64(_) => DType::C128,
            _ => return None,
        };
        (last == 2).then(|| DataArray {
            shape: shape.to_vec(),
            elements: Elements::from_bytes(dtype, &self.elements.bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex32;
    use proptest::prelude::*;

    fn sample() -> NamedArrays {
        vec![
            ("a".into(), DataArray { shape: vec![3], elements: Elements::F32(vec![1.0, 2.0, 3.0]) }),
            (
                "z".into(),
                DataArray { shape: vec![1], elements: Elements::C64(vec![Complex32::new(1.0, -2.0)]) },
            ),
        ]
    }

    #[test]
    fn complex_arrays_have_a_last_axis_of_two() {
        let file = write_safetensors(&sample()).unwrap();
        let back = parse_safetensors(&file).unwrap();
        assert_eq!(back[0], sample()[0]);
        assert_eq!(back[1].1.shape, [1, 2]);
        assert_eq!(back[1].1.pairs_to_complex().unwrap(), sample()[1].1);
        assert!(back[0].1.pairs_to_complex().is_none());
    }

    proptest! {
        #[test]
        fn damaged_files_do_not_panic(at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
            let mut file = write_safetensors(&sample()).unwrap();
            let at = at % file.len();
            file[at] = byte;
            let _ = parse_safetensors(&file);
            file.truncate(cut % (file.len() + 1));
            let _ = parse_safetensors(&file);
        }
    }
}
