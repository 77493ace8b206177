//! The arguments of `--data`.

use crate::bind::Given;
use crate::data::{FileKind, read_array, read_arrays};
use crate::error::Error;
use std::path::Path;
use tn_ir::program::FoldAxis;

/// Reads what `--data` names: files of named arrays, or `NAME=FILE.npy` for one.
///
/// # Errors
/// A file that cannot be read or is malformed, or a `.npy` without a name.
pub fn read_given(specs: &[String]) -> Result<Vec<Given>, Error> {
    let mut out = Vec::new();
    for spec in specs {
        // A path may have a `=` of its own; a name never has a `/`.
        let named = spec.split_once('=').filter(|(name, _)| !name.contains('/') && !Path::new(spec).exists());
        match named {
            Some((name, path)) => {
                let path = Path::new(path);
                if FileKind::of(path)? != FileKind::Npy {
                    return Err(Error::Usage(format!(
                        "`{spec}` gives a file of several arrays one name, help: write `--data {}` alone",
                        path.display()
                    )));
                }
                let array = read_array(path)?;
                let file = path.display().to_string();
                out.push(Given { name: name.to_owned(), array, pairs: false, file });
            }
            None => {
                let path = Path::new(spec);
                let pairs = FileKind::of(path)? == FileKind::Safetensors;
                let arrays = read_arrays(path)?;
                let given = |(name, array)| Given { name, array, pairs, file: spec.clone() };
                out.extend(arrays.into_iter().map(given));
            }
        }
    }
    Ok(out)
}

/// The shape that files have: the legs of each outside axis multiplied.
pub fn outside_shape(legs: &[u64], axes: &[FoldAxis]) -> Vec<u64> {
    let mut at = 0;
    let axis = |a: &FoldAxis| {
        let end = (at + a.legs as usize).min(legs.len());
        let run = legs[at..end].iter().product();
        at = end;
        run
    };
    axes.iter().map(axis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataArray, Elements, write_npy};

    #[test]
    fn one_array_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        let array = DataArray { shape: vec![2], elements: Elements::F32(vec![1.0, 2.0]) };
        std::fs::write(&path, write_npy(&array)).unwrap();
        let given = read_given(&[format!("t[0]={}", path.display())]).unwrap();
        assert_eq!((given[0].name.as_str(), &given[0].array), ("t[0]", &array));
        assert!(matches!(read_given(&[path.display().to_string()]), Err(Error::Usage(_))));
        assert!(matches!(read_given(&["none.npz".into()]), Err(Error::Io(_))));
        assert!(matches!(read_given(&["x=none.npz".into()]), Err(Error::Usage(_))));
        assert!(matches!(read_given(&["data.csv".into()]), Err(Error::Usage(_))));
    }

    #[test]
    fn folds_multiply_their_legs() {
        let axis = |label: &str, legs| FoldAxis { label: label.into(), legs };
        assert_eq!(outside_shape(&[2, 3, 5], &[axis("a", 2), axis("b", 0), axis("c", 1)]), [6, 1, 5]);
    }
}
