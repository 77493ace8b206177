//! Where results go.

use std::io::{ErrorKind, Write};
use std::path::Path;
use tn_driver::Error;
use tn_driver::data::write_whole;

/// Writes the result to a file, whole or not at all, or to stdout. A reader that closed the pipe has what it wanted.
///
/// # Errors
/// The file system's.
pub fn result(bytes: &[u8], output: Option<&Path>) -> Result<(), Error> {
    match output {
        Some(path) => Ok(write_whole(path, bytes)?),
        None => {
            let mut stdout = std::io::stdout().lock();
            match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                    Err(Error::Io(format!("cannot write to stdout: {e}")))
                }
                _ => Ok(()),
            }
        }
    }
}

/// Says something on stderr. That nobody listens there is no reason to fail.
pub fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A JSON value as text with a newline.
pub fn json(value: &serde_json::Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}
