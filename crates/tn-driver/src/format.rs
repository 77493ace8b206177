//! `tnc fmt` on one file.

use crate::compile::source_errors;
use crate::error::Error;
use std::path::Path;
use tn_dsl::source::SourceMap;

/// What formatting makes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formatted {
    /// It is in the canonical form.
    Same,
    /// The canonical form.
    Changed(String),
}

/// The canonical form of a file. A file with syntax errors is not touched.
///
/// # Errors
/// The file cannot be read, or is not in the language.
pub fn format_file(path: &Path) -> Result<Formatted, Error> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::Io(format!("cannot read `{}`: {e}", path.display())))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::Input(format!("`{}` is not UTF-8 text, help: save it as UTF-8", path.display()))
    })?;
    if text.len() > tn_dsl::source::MAX_SOURCE_BYTES {
        return Err(Error::Input(format!("`{}` is longer than 16 MiB", path.display())));
    }
    let mut sources = SourceMap::default();
    let id = sources.add(path.display().to_string(), text.clone());
    let (_, diagnostics) = tn_dsl::parse::parse(id, &text);
    if diagnostics.iter().any(|d| d.is_error()) {
        return Err(source_errors(sources, diagnostics));
    }
    let formatted = tn_dsl::fmt::format(&text);
    Ok(if formatted == text { Formatted::Same } else { Formatted::Changed(formatted) })
}
