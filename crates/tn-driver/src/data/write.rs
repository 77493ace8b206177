//! Files that are written whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file could not be written; nothing of it is there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {error}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: std::io::Error,
}

/// Writes `bytes` to a new file beside `path` and renames it into place, so that a reader sees the old file or the new one and
/// never a part. A path that is no regular file (`/dev/stdout`, a pipe) is written to directly.
///
/// # Errors
/// Whatever the file system says; the temporary file is removed again.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write(path, bytes, true)
}

/// The same for what may be lost: it does not wait for the disk.
///
/// # Errors
/// As for [`write_whole`].
pub(crate) fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write(path, bytes, false)
}

fn write(path: &Path, bytes: &[u8], sync: bool) -> Result<(), WriteError> {
    let fail = |error| WriteError { path: path.into(), error };
    if let Ok(meta) = std::fs::metadata(path) {
        if meta.is_dir() {
            return Err(fail(std::io::Error::other("it is a directory")));
        }
        if !meta.is_file() {
            let file = OpenOptions::new().write(true).open(path);
            return file.and_then(|mut f| f.write_all(bytes)).map_err(fail);
        }
    }
    // A link stays a link: its target is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let Some(name) = target.file_name() else {
        return Err(fail(std::io::Error::other("it has no file name")));
    };
    let (temporary, mut file) = create_beside(&target, name).map_err(fail)?;
    let done =
        file.write_all(bytes).and_then(|()| if sync { file.sync_all() } else { Ok(()) }).and_then(|()| {
            if let Ok(meta) = std::fs::metadata(&target) {
                file.set_permissions(meta.permissions())?;
            }
            std::fs::rename(&temporary, &target)
        });
    done.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        fail(error)
    })
}

fn create_beside(target: &Path, name: &std::ffi::OsStr) -> std::io::Result<(PathBuf, File)> {
    // Threads of a process write side by side.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let attempt = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{attempt}.tmp", std::process::id()));
        let temporary = target.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(e),
        }
    }
    Err(std::io::Error::other("no free name for a temporary file beside it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_whole(&dir.path().join("none/out.txt"), b"x").is_err());
        assert!(write_whole(dir.path(), b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
