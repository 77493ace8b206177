//! Arrays in files: `.npy`, `.npz` and `.safetensors`, read and written.
//!
//! A [`DataArray`] is what a file holds: a shape (row-major) and elements of one of the four types that networks use. An array
//! of any other type is kept by name, so that a file with, say, an index array beside the weights can be read,
//! and only the use of that array is an error. All readers check every length against what is there
//! before they allocate, and return errors that name the file and the array.

mod npy;
mod npz;
mod safe;
mod write;

pub use npy::{parse_npy, write_npy};
pub use npz::{parse_npz, write_npz};
pub use safe::{parse_safetensors, write_safetensors};
pub(crate) use write::write_unsynced;
pub use write::{WriteError, write_whole};

use num_complex::{Complex32, Complex64};
use std::path::{Path, PathBuf};
use tn_ir::dtype::DType;

/// The entries of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// 32-bit reals.
    F32(Vec<f32>),
    /// 64-bit reals.
    F64(Vec<f64>),
    /// Pairs of 32-bit reals.
    C64(Vec<Complex32>),
    /// Pairs of 64-bit reals.
    C128(Vec<Complex64>),
    /// A type that networks do not have, by the file's name for it (`<i8`, `BF16`); its bytes are not kept.
    Foreign(String),
}

impl Elements {
    /// Number of entries (0 for a foreign type).
    pub fn len(&self) -> usize {
        match self {
            Elements::F32(v) => v.len(),
            Elements::F64(v) => v.len(),
            Elements::C64(v) => v.len(),
            Elements::C128(v) => v.len(),
            Elements::Foreign(_) => 0,
        }
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The element type, if it is one that networks have.
    pub fn dtype(&self) -> Option<DType> {
        Some(match self {
            Elements::F32(_) => DType::F32,
            Elements::F64(_) => DType::F64,
            Elements::C64(_) => DType::C64,
            Elements::C128(_) => DType::C128,
            Elements::Foreign(_) => return None,
        })
    }
    /// The entries as bytes, little-endian.
    pub fn bytes(&self) -> Vec<u8> {
        fn pairs<T: Copy, const N: usize>(v: &[T], f: impl Fn(T) -> [[u8; N]; 2]) -> Vec<u8> {
            v.iter().flat_map(|&c| f(c)).flatten().collect()
        }
        match self {
            Elements::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Elements::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Elements::C64(v) => pairs(v, |c| [c.re.to_le_bytes(), c.im.to_le_bytes()]),
            Elements::C128(v) => pairs(v, |c| [c.re.to_le_bytes(), c.im.to_le_bytes()]),
            Elements::Foreign(_) => Vec::new(),
        }
    }
    /// Entries from little-endian bytes; what does not fill an entry is dropped.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Elements {
        fn f4(b: &[u8]) -> f32 {
            f32::from_le_bytes(std::array::from_fn(|i| b[i]))
        }
        fn f8(b: &[u8]) -> f64 {
            f64::from_le_bytes(std::array::from_fn(|i| b[i]))
        }
        match dtype {
            DType::F32 => Elements::F32(bytes.chunks_exact(4).map(f4).collect()),
            DType::F64 => Elements::F64(bytes.chunks_exact(8).map(f8).collect()),
            DType::C64 => {
                Elements::C64(bytes.chunks_exact(8).map(|b| Complex32::new(f4(b), f4(&b[4..]))).collect())
            }
            DType::C128 => {
                Elements::C128(bytes.chunks_exact(16).map(|b| Complex64::new(f8(b), f8(&b[8..]))).collect())
            }
        }
    }
    /// All entries as double-precision complex numbers (exact; nothing for a foreign type).
    pub fn to_complex(&self) -> Vec<Complex64> {
        match self {
            Elements::F32(v) => v.iter().map(|&x| Complex64::new(x as f64, 0.0)).collect(),
            Elements::F64(v) => v.iter().map(|&x| Complex64::new(x, 0.0)).collect(),
            Elements::C64(v) => v.iter().map(|c| Complex64::new(c.re as f64, c.im as f64)).collect(),
            Elements::C128(v) => v.clone(),
            Elements::Foreign(_) => Vec::new(),
        }
    }
    /// The entries rounded to `dtype`; imaginary parts are dropped for real types.
    pub fn from_complex(dtype: DType, values: &[Complex64]) -> Elements {
        match dtype {
            DType::F32 => Elements::F32(values.iter().map(|c| c.re as f32).collect()),
            DType::F64 => Elements::F64(values.iter().map(|c| c.re).collect()),
            DType::C64 => {
                Elements::C64(values.iter().map(|c| Complex32::new(c.re as f32, c.im as f32)).collect())
            }
            DType::C128 => Elements::C128(values.to_vec()),
        }
    }
}

/// An array as a file holds it, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct DataArray {
    /// Axis lengths; empty for a scalar.
    pub shape: Vec<u64>,
    /// Entries: as many as the product of `shape` (none for a foreign type).
    pub elements: Elements,
}

/// Arrays by name, in the file's order.
pub type NamedArrays = Vec<(String, DataArray)>;

/// What is wrong with a data file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not what its name says.
    #[error("`{}` is malformed: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The name's ending is not one of the three.
    #[error("`{}` is not a data file this program knows, help: use `.npz`, `.npy` or `.safetensors`", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// A single array where a file of several is wanted, or the reverse.
    #[error("`{}` holds one array without a name, help: write `--data NAME={}`", path.display(), path.display())]
    Nameless {
        /// The file.
        path: PathBuf,
    },
}

/// The three kinds of data files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// One array.
    Npy,
    /// Named arrays in a zip archive.
    Npz,
    /// Named arrays behind a JSON header.
    Safetensors,
}

impl FileKind {
    /// By the ending of the file's name.
    ///
    /// # Errors
    /// Another ending.
    pub fn of(path: &Path) -> Result<FileKind, DataError> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("npy") => Ok(FileKind::Npy),
            Some("npz") => Ok(FileKind::Npz),
            Some("safetensors") => Ok(FileKind::Safetensors),
            _ => Err(DataError::Kind { path: path.into() }),
        }
    }
}

/// Reads all arrays of a `.npz` or `.safetensors` file.
///
/// # Errors
/// The file cannot be read, is malformed, or is a `.npy` (which has no names).
pub fn read_arrays(path: &Path) -> Result<NamedArrays, DataError> {
    let kind = FileKind::of(path)?;
    if kind == FileKind::Npy {
        return Err(DataError::Nameless { path: path.into() });
    }
    let bytes = read(path)?;
    let malformed = |why| DataError::Malformed { path: path.into(), why };
    match kind {
        FileKind::Npz => parse_npz(&bytes).map_err(malformed),
        _ => parse_safetensors(&bytes).map_err(malformed),
    }
}

/// Reads the array of a `.npy` file.
///
/// # Errors
/// The file cannot be read or is malformed.
pub fn read_array(path: &Path) -> Result<DataArray, DataError> {
    let bytes = read(path)?;
    parse_npy(&bytes).map_err(|why| DataError::Malformed { path: path.into(), why })
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|error| DataError::Read { path: path.into(), error })
}

/// The bytes of a file of that kind. A `.npy` takes exactly one array.
///
/// # Errors
/// A sentence: several arrays for a `.npy`, a name twice, or a foreign type.
pub fn encode(kind: FileKind, arrays: &[(String, DataArray)]) -> Result<Vec<u8>, String> {
    if let Some((name, _)) = arrays.iter().find(|(_, a)| a.elements.dtype().is_none()) {
        return Err(format!("array `{name}` has a type that cannot be written"));
    }
    match (kind, arrays) {
        (FileKind::Npy, [(_, one)]) => Ok(write_npy(one)),
        (FileKind::Npy, _) => Err(format!(
            "a `.npy` file holds one array and there are `{}`, help: write a `.npz`",
            arrays.len()
        )),
        (FileKind::Npz, _) => write_npz(arrays),
        (FileKind::Safetensors, _) => write_safetensors(arrays),
    }
}

/// The number of entries of a shape, if it fits in memory addresses.
pub fn numel(shape: &[u64]) -> Option<usize> {
    // A zero anywhere makes the product zero, whatever the others are.
    if shape.contains(&0) {
        return Some(0);
    }
    let n = shape.iter().try_fold(1u64, |p, &d| p.checked_mul(d))?;
    usize::try_from(n).ok().filter(|&n| n <= isize::MAX as usize / 16)
}
