//! The `.npy` format, versions 1 to 3: a magic string, a header that is a Python dictionary, the entries.

use super::{DataArray, Elements, numel};
use tn_ir::dtype::DType;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers are one line; anything longer is not written by any tool.
const MAX_HEADER: usize = 1 << 20;
/// As many axes as NumPy itself allows.
const MAX_AXES: usize = 64;

struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
}

/// Reads one array. Column-major arrays are brought into row-major order, big-endian ones into this machine's.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_npy(bytes: &[u8]) -> Result<DataArray, String> {
    let (header, data) = split(bytes)?;
    let count = numel(&header.shape)
        .ok_or_else(|| format!("a shape of `{:?}` does not fit in memory", header.shape))?;
    let (big, kind) = match header.descr.as_bytes().first() {
        Some(b'>') => (true, &header.descr[1..]),
        Some(b'<' | b'=' | b'|') => (false, &header.descr[1..]),
        _ => (false, header.descr.as_str()),
    };
    let dtype = match kind {
        "f4" => DType::F32,
        "f8" => DType::F64,
        "c8" => DType::C64,
        "c16" => DType::C128,
        _ => {
            return Ok(DataArray { shape: header.shape, elements: Elements::Foreign(header.descr) });
        }
    };
    let want = count as u64 * dtype.bytes();
    if data.len() as u64 != want {
        return Err(format!("the header promises `{want}` bytes of entries and there are `{}`", data.len()));
    }
    let elements = if big {
        let mut swapped = data.to_vec();
        swapped.chunks_exact_mut(dtype.real().bytes() as usize).for_each(<[u8]>::reverse);
        Elements::from_bytes(dtype, &swapped)
    } else {
        Elements::from_bytes(dtype, data)
    };
    let elements = if header.fortran { to_row_major(elements, &header.shape) } else { elements };
    Ok(DataArray { shape: header.shape, elements })
}

fn split(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as a `.npy` file does")?;
    let [major, _minor, rest @ ..] = rest else { return Err("it ends inside its header".into()) };
    let (len, rest) = match (major, rest) {
        (1, [a, b, rest @ ..]) => (u16::from_le_bytes([*a, *b]) as usize, rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        (1..=3, _) => return Err("it ends inside its header".into()),
        _ => return Err(format!("version `{major}` of the format is unknown")),
    };
    if len > MAX_HEADER || len > rest.len() {
        return Err("it ends inside its header".into());
    }
    let (head, data) = rest.split_at(len);
    let text = std::str::from_utf8(head).map_err(|_| "its header is not text")?;
    Ok((parse_header(text)?, data))
}

/// Reads `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_header(text: &str) -> Result<Header, String> {
    let mut cursor = Cursor { rest: text.trim() };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    cursor.expect('{')?;
    while !cursor.eat('}') {
        let key = cursor.string()?;
        cursor.expect(':')?;
        match key.as_str() {
            // A list here describes records, which no network has.
            "descr" if cursor.peek('[') => {
                return Err("it holds records, help: write one plain array a name".into());
            }
            "descr" => descr = Some(cursor.string()?),
            "fortran_order" => fortran = Some(cursor.boolean()?),
            "shape" => shape = Some(cursor.tuple()?),
            _ => return Err(format!("its header has the unknown key `{key}`")),
        }
        if !cursor.eat(',') {
            cursor.expect('}')?;
            break;
        }
    }
    match (descr, fortran, shape) {
        (Some(descr), Some(fortran), Some(shape)) => Ok(Header { descr, fortran, shape }),
        _ => Err("its header lacks one of `descr`, `fortran_order` and `shape`".into()),
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }
    fn peek(&mut self, c: char) -> bool {
        self.skip();
        self.rest.starts_with(c)
    }
    fn eat(&mut self, c: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.eat(c) { Ok(()) } else { Err(format!("its header lacks a `{c}`")) }
    }
    fn string(&mut self) -> Result<String, String> {
        let quote = if self.eat('\'') { '\'' } else { self.expect('"').map(|()| '"')? };
        let (inside, rest) = self.rest.split_once(quote).ok_or("a string of its header has no end")?;
        self.rest = rest;
        Ok(inside.to_owned())
    }
    fn boolean(&mut self) -> Result<bool, String> {
        self.skip();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("`fortran_order` is neither `True` nor `False`".into())
    }
    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        self.expect('(')?;
        let mut out = Vec::new();
        while !self.eat(')') {
            self.skip();
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            out.push(digits.parse().map_err(|_| "an axis of its shape is not a number")?);
            // Python 2 wrote long integers with a letter.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if out.len() > MAX_AXES {
                return Err(format!("its shape has more than `{MAX_AXES}` axes"));
            }
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(out)
    }
}

fn to_row_major(elements: Elements, shape: &[u64]) -> Elements {
    fn permute<T: Copy>(column: Vec<T>, shape: &[u64]) -> Vec<T> {
        let mut strides = Vec::with_capacity(shape.len());
        let mut stride = 1usize;
        for &d in shape {
            strides.push(stride);
            stride *= d as usize;
        }
        let mut index = vec![0u64; shape.len()];
        let mut at = 0usize;
        let mut out = Vec::with_capacity(column.len());
        for _ in 0..column.len() {
            out.push(column[at]);
            // Count up like an odometer: the last axis is the fastest.
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= strides[axis] * shape[axis] as usize;
                index[axis] = 0;
            }
        }
        out
    }
    match elements {
        Elements::F32(v) => Elements::F32(permute(v, shape)),
        Elements::F64(v) => Elements::F64(permute(v, shape)),
        Elements::C64(v) => Elements::C64(permute(v, shape)),
        Elements::C128(v) => Elements::C128(permute(v, shape)),
        foreign @ Elements::Foreign(_) => foreign,
    }
}

/// The file of one array: version 1, row-major, little-endian.
pub fn write_npy(array: &DataArray) -> Vec<u8> {
    let descr = match &array.elements {
        Elements::F32(_) => "<f4",
        Elements::F64(_) => "<f8",
        Elements::C64(_) => "<c8",
        Elements::C128(_) => "<c16",
        Elements::Foreign(name) => name,
    };
    let axes: Vec<String> = array.shape.iter().map(u64::to_string).collect();
    let comma = if axes.len() == 1 { "," } else { "" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", axes.join(", "));
    // The entries begin at a multiple of 64 bytes, the header ends with a newline.
    let begin = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64);
    header.extend(std::iter::repeat_n(' ', begin - MAGIC.len() - 4 - header.len() - 1));
    header.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(array.elements.bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::{Complex32, Complex64};
    use proptest::prelude::*;

    fn header(text: &str, data: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([1, 0]);
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.as_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn column_major_and_big_endian_arrays_are_turned() {
        let data: Vec<u8> = [1f64, 4., 2., 5., 3., 6.].iter().flat_map(|x| x.to_be_bytes()).collect();
        let file = header("{'descr': '>f8', 'fortran_order': True, 'shape': (2, 3), }", &data);
        let array = parse_npy(&file).unwrap();
        assert_eq!(array.shape, [2, 3]);
        assert_eq!(array.elements, Elements::F64(vec![1., 2., 3., 4., 5., 6.]));
    }

    #[test]
    fn foreign_types_are_kept_by_name() {
        let file = header("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", &[0; 8]);
        assert_eq!(parse_npy(&file).unwrap().elements, Elements::Foreign("<i8".into()));
    }

    #[test]
    fn malformed_files_are_errors() {
        for (text, data) in [
            ("", 0),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9),
            ("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", 8),
            ("{'descr': '<f4', 'shape': (2,), }", 8),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8),
        ] {
            assert!(parse_npy(&header(text, &vec![0; data])).is_err(), "{text}");
        }
        assert!(parse_npy(b"\x93NUMPY\x01").is_err());
        assert!(parse_npy(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").is_err());
    }

    fn arrays() -> impl Strategy<Value = DataArray> {
        (prop::collection::vec(0u64..4, 0..4), 0..4u8, any::<u32>()).prop_map(|(shape, kind, seed)| {
            let n = numel(&shape).unwrap();
            let at = |i: usize| f64::from(seed % 1000) + i as f64 * 0.5;
            let elements = match kind {
                0 => Elements::F32((0..n).map(|i| at(i) as f32).collect()),
                1 => Elements::F64((0..n).map(at).collect()),
                2 => Elements::C64((0..n).map(|i| Complex32::new(at(i) as f32, -1.5)).collect()),
                _ => Elements::C128((0..n).map(|i| Complex64::new(at(i), 2.5)).collect()),
            };
            DataArray { shape, elements }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(array in arrays()) {
            let file = write_npy(&array);
            prop_assert_eq!(file.iter().position(|&b| b == b'\n').map(|p| (p + 1) % 64), Some(0));
            prop_assert_eq!(parse_npy(&file).unwrap(), array);
        }

        #[test]
        fn no_bytes_make_it_panic(array in arrays(), at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
            let mut file = write_npy(&array);
            let at = at % file.len();
            file[at] = byte;
            let _ = parse_npy(&file);
            file.truncate(cut % (file.len() + 1));
            let _ = parse_npy(&file);
        }

        #[test]
        fn noise_is_no_array(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_npy(&noise);
            let mut file = MAGIC.to_vec();
            file.extend(noise);
            let _ = parse_npy(&file);
        }
    }
}
