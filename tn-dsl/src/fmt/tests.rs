use super::*;

#[test]
fn subscripts_are_tight_and_tensors_are_not() {
    let text =
        "topology t(n:int=3)->[s]{index s[k in 0..n]:2*n\nreturn [s[..]]prod k in 0..n{A[k - 1]*B[k]}}";
    let want = "topology t(n: int = 3) -> [s] {\n    index s[k in 0..n]: 2 * n\n    return [s[..]] prod k in 0..n { A[k-1] * B[k] }\n}\n";
    assert_eq!(format(text), want);
}

#[test]
fn comments_stay_where_they_are() {
    let text = "// head\n\n\n/// Doc.\nnetwork n { // open\n  index i: 2 // size\n  index long_name: 3 // another\n\n\n  // own line\n  output z[] = a[i] // first\n    // second\n    * b[i]\n  // end\n}\n// tail";
    let want = "// head\n\n/// Doc.\nnetwork n {  // open\n    index i: 2          // size\n    index long_name: 3  // another\n\n    // own line\n    output z[] = a[i]  // first\n        // second\n        * b[i]\n    // end\n}\n// tail\n";
    assert_eq!(format(text), want);
}

#[test]
fn a_text_with_mistakes_is_left_alone() {
    let text = "network n {  index i  16 }";
    assert_eq!(format(text), text);
}
