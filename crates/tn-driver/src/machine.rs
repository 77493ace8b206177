//! Machine descriptions: the built-in one, or a file that `tnc calibrate` wrote.

use crate::error::Error;
use tn_plan::cost::Machine;

/// The machine of that name, or of that file; the built-in one without a name.
///
/// # Errors
/// The file cannot be read or is no machine description.
pub fn load(name: Option<&str>) -> Result<Machine, Error> {
    let builtin = Machine::default();
    match name {
        None => Ok(builtin),
        Some(n) if n == builtin.name => Ok(builtin),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| {
                Error::Io(format!(
                    "cannot read the machine file `{path}`: {e}, help: the built-in machine is `{}`, and `tnc calibrate -o FILE` writes another",
                    builtin.name
                ))
            })?;
            Machine::from_ron(&text).map_err(|why| Error::Input(format!("`{path}`: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_by_name_and_files() {
        assert_eq!(load(None).unwrap(), load(Some("default")).unwrap());
        assert!(matches!(load(Some("/nowhere/m.ron")), Err(Error::Io(_))));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.ron");
        let fast = Machine { name: "fast".into(), ..Machine::default() };
        std::fs::write(&path, fast.to_ron().unwrap()).unwrap();
        assert_eq!(load(path.to_str()).unwrap(), fast);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(load(path.to_str()), Err(Error::Input(_))));
    }
}
