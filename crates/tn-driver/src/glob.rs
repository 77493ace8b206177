//! Which leaves a pattern names: `--wrt 'w.*,bias'`.

/// Whether `name` matches `pattern`, where `*` stands for any text (also none) and `?` for one character. Brackets are plain
/// characters: names of families have them. A pattern without `*` also matches the members of a family or the leaves below a path:
/// `core` names `core[3]`, and `psi` names `psi.core[0]`.
pub fn matches(pattern: &str, name: &str) -> bool {
    if wild(pattern, name) {
        return true;
    }
    !pattern.contains(['*', '?'])
        && name.strip_prefix(pattern).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn wild(pattern: &str, name: &str) -> bool {
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut i, mut j) = (0, 0);
    // Where the last star stands and how much of the name it has taken: on a mismatch it takes one more.
    let mut star: Option<(usize, usize)> = None;
    while j < n.len() {
        match p.get(i) {
            Some('*') => {
                star = Some((i, j));
                i += 1;
            }
            Some(&c) if c == '?' || c == n[j] => {
                i += 1;
                j += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    i = at + 1;
                    j = taken + 1;
                }
                None => return false,
            },
        }
    }
    p[i..].iter().all(|&c| c == '*')
}

/// Flags for `names` that any of the comma-separated `patterns` matches.
///
/// # Errors
/// The first pattern that names nothing.
pub fn select(patterns: &str, names: &[&str]) -> Result<Vec<bool>, String> {
    let mut out = vec![false; names.len()];
    for pattern in split_outside_brackets(patterns) {
        let mut any = false;
        for (flag, name) in out.iter_mut().zip(names) {
            if matches(pattern, name) {
                *flag = true;
                any = true;
            }
        }
        if !any {
            return Err(pattern.to_owned());
        }
    }
    Ok(out)
}

/// Splits at commas that are not inside `[…]`: `core[0,1],bias`.
pub fn split_outside_brackets(text: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut out) = (0i64, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth <= 0 => {
                out.push(text[begin..i].trim());
                begin = i + 1;
            }
            _ => {}
        }
    }
    out.push(text[begin..].trim());
    out.retain(|p| !p.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_paths_and_families() {
        assert!(matches("w.*", "w.core[3]"));
        assert!(matches("*core*", "psi.core[0]"));
        assert!(matches("core", "core[3]"));
        assert!(matches("psi", "psi.core[0]"));
        assert!(matches("t[?]", "t[4]"));
        assert!(!matches("w.*", "bias"));
        assert!(!matches("cor", "core[3]"));
        assert!(!matches("", "core"));
        assert!(matches("a*b*c", "aXbXbc"));
        assert!(!matches("a*b*c", "aXbXb"));
    }

    #[test]
    fn commas_inside_brackets_belong_to_the_name() {
        let names = ["core[0,1]", "core[0,2]", "bias"];
        assert_eq!(select("core[0,1],bias", &names).unwrap(), [true, false, true]);
        assert_eq!(select("bias,nothing", &names).unwrap_err(), "nothing");
    }
}
