//! `tnc emit`: kernels as Rust or CUDA source.

use super::{Manner, planned};
use crate::Talk;
use crate::args::{Abi, Emit, Runtime, Target};
use tn_driver::Error;
use tn_driver::data::write_whole;
use tn_driver::emit::{Emission, emit};

/// Emits.
pub fn run(a: &Emit, talk: Talk) -> Result<(), Error> {
    let c_abi = a.abi == Some(Abi::C);
    let emission = match (a.target, a.runtime) {
        (Target::Rust, runtime) => Emission::Rust { runtime_crate: runtime == Runtime::Crate, c_abi },
        (Target::Cuda, Runtime::Crate) => {
            return Err(Error::Usage(
                "generated CUDA uses no runtime crate, help: leave out `--runtime crate`".into(),
            ));
        }
        (Target::Cuda, Runtime::Inline) if c_abi => {
            return Err(Error::Usage(
                "CUDA is called through the header that comes with it, help: leave out `--abi c`".into(),
            ));
        }
        (Target::Cuda, Runtime::Inline) => Emission::Cuda,
    };
    // Emitted text must depend on nothing but source and options: no cache.
    let planned = planned(&a.what, &a.search, |o| (o.grad, o.jvp) = (a.grad, a.jvp), Manner::Pure, talk)?;
    let files = emit(planned.plan()?, emission)?;
    if c_abi {
        is_ours(&a.output, &files)?;
    }
    std::fs::create_dir_all(&a.output)
        .map_err(|e| Error::Io(format!("cannot create `{}`: {e}", a.output.display())))?;
    for (name, text) in &files {
        let path = a.output.join(name);
        // A build that watches the folder is not disturbed by what has not changed.
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            continue;
        }
        write_whole(&path, text.as_bytes())?;
    }
    let names: Vec<&str> = files.iter().map(|(n, _)| n.as_str()).collect();
    talk.note(format!("wrote {} to {}", names.join(", "), a.output.display()));
    Ok(())
}

/// A manifest is only written over one of the same network.
fn is_ours(folder: &std::path::Path, files: &[(String, String)]) -> Result<(), Error> {
    let Some((name, text)) = files.iter().find(|(name, _)| name == "Cargo.toml") else { return Ok(()) };
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(old) if old.lines().next() != text.lines().next() => Err(Error::Input(format!(
            "`{}` is the manifest of something else, help: give the network a folder of its own with `-o`",
            path.display()
        ))),
        _ => Ok(()),
    }
}
