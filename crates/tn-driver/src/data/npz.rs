//! `.npz`: a zip archive with one `.npy` a name.

use super::{DataArray, NamedArrays, parse_npy, write_npy};
use std::io::{Cursor, Read, Write};

/// No file holds more arrays than a network may have leaves.
const MAX_ARRAYS: usize = 10_000_000;

/// Reads all arrays, in the archive's order. Names are those of the members without `.npy`.
///
/// # Errors
/// A sentence that names the member at fault.
pub fn parse_npz(bytes: &[u8]) -> Result<NamedArrays, String> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("it is no zip archive ({e})"))?;
    if archive.len() > MAX_ARRAYS {
        return Err(format!("it has more than `{MAX_ARRAYS}` members"));
    }
    let mut out = NamedArrays::new();
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).map_err(|e| format!("member `{i}` cannot be read ({e})"))?;
        if member.is_dir() {
            continue;
        }
        let full = member.name().to_owned();
        let Some(name) = full.strip_suffix(".npy") else {
            return Err(format!("member `{full}` is no `.npy`"));
        };
        if !seen.insert(name.to_owned()) {
            return Err(format!("array `{name}` is there twice"));
        }
        // The stated size is only a claim: read one byte past it and no further, and let the vector grow with what comes.
        let claim = member.size();
        let mut data = Vec::new();
        let got = member.by_ref().take(claim.saturating_add(1)).read_to_end(&mut data);
        got.map_err(|e| format!("array `{name}` cannot be unpacked ({e})"))?;
        if data.len() as u64 != claim {
            return Err(format!("array `{name}` has another size than the archive says"));
        }
        let array = parse_npy(&data).map_err(|why| format!("array `{name}`: {why}"))?;
        out.push((name.to_owned(), array));
    }
    Ok(out)
}

/// The archive of these arrays: stored without compression, without time stamps, so that equal arrays give equal bytes.
///
/// # Errors
/// A sentence: a name twice, or more bytes than an archive holds.
pub fn write_npz(arrays: &[(String, DataArray)]) -> Result<Vec<u8>, String> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let data = write_npy(array);
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(data.len() as u64 >= u32::MAX as u64);
        archive
            .start_file(format!("{name}.npy"), options)
            .and_then(|()| Ok(archive.write_all(&data)?))
            .map_err(|e| format!("array `{name}` cannot be written ({e})"))?;
    }
    archive.finish().map(Cursor::into_inner).map_err(|e| format!("the archive cannot be written ({e})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Elements;
    use proptest::prelude::*;

    fn sample() -> NamedArrays {
        vec![
            ("psi.core[0]".into(), DataArray { shape: vec![2, 3], elements: Elements::F64(vec![1.0; 6]) }),
            ("param/l1.core0".into(), DataArray { shape: vec![], elements: Elements::F32(vec![0.5]) }),
        ]
    }

    #[test]
    fn round_trip_and_equal_bytes() {
        let file = write_npz(&sample()).unwrap();
        assert_eq!(parse_npz(&file).unwrap(), sample());
        assert_eq!(write_npz(&sample()).unwrap(), file);
    }

    #[test]
    fn a_name_twice_is_an_error() {
        let mut twice = sample();
        twice[1].0 = twice[0].0.clone();
        assert!(write_npz(&twice).is_err());
    }

    #[test]
    fn a_member_that_is_no_array_is_named() {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("w.npy", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"hello").unwrap();
        let file = archive.finish().unwrap().into_inner();
        assert!(parse_npz(&file).unwrap_err().contains("`w`"));
    }

    proptest! {
        #[test]
        fn damaged_archives_do_not_panic(at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
            let mut file = write_npz(&sample()).unwrap();
            let at = at % file.len();
            file[at] = byte;
            let _ = parse_npz(&file);
            file.truncate(cut % (file.len() + 1));
            let _ = parse_npz(&file);
        }
    }
}
