//! Element types.

use serde::{Deserialize, Serialize};

/// The element type of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit real.
    #[default]
    F32,
    /// 64-bit real.
    F64,
    /// Two 32-bit reals (re, im).
    C64,
    /// Two 64-bit reals (re, im).
    C128,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            DType::F32 => 4,
            DType::F64 | DType::C64 => 8,
            DType::C128 => 16,
        }
    }
    /// Whether elements have an imaginary part.
    pub fn is_complex(self) -> bool {
        matches!(self, DType::C64 | DType::C128)
    }
    /// The name used in `.tn` files and options.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::C64 => "c64",
            DType::C128 => "c128",
        }
    }
    /// The type of that name.
    pub fn parse(name: &str) -> Option<DType> {
        [DType::F32, DType::F64, DType::C64, DType::C128].into_iter().find(|d| d.name() == name)
    }
    /// The type of the real and imaginary parts.
    pub fn real(self) -> DType {
        match self {
            DType::F32 | DType::C64 => DType::F32,
            DType::F64 | DType::C128 => DType::F64,
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
