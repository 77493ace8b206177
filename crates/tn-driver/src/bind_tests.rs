use super::*;
use tn_ir::size::SymbolKind;
use tn_plan::ir::{LeafInfo, OutputInfo, PLAN_VERSION, Summary};

/// y[(o, p) as rows] = W[o, p, i] x[b, i], with `b` known at run time.
fn plan(dtype: DType) -> Plan {
    let mut symbols = Arena::new();
    let b = symbols.push(Symbol { name: "b".into(), kind: SymbolKind::Dyn { hint: 4, max: None } });
    let axis = |label: &str, legs| FoldAxis { label: label.into(), legs };
    let leaf = |name: &str, role, dims: Vec<Dim>, axes| LeafInfo {
        name: name.into(),
        role,
        dims,
        axes,
        value: None,
        init: None,
        structure: None,
        needs_grad: true,
    };
    use Dim::{Const, Dyn};
    Plan {
        version: PLAN_VERSION,
        name: "layer".into(),
        doc: String::new(),
        source: "layer.tn".into(),
        source_hash: String::new(),
        dtype,
        symbols,
        leaves: vec![
            leaf(
                "w",
                ArrayRole::Param,
                vec![Const(2), Const(3), Const(5)],
                vec![axis("rows", 2), axis("i", 1)],
            ),
            leaf("x", ArrayRole::Input, vec![Dyn(b), Const(5)], vec![axis("b", 1), axis("i", 1)]),
            leaf("v", ArrayRole::Input, vec![Const(2), Dyn(b)], vec![axis("f", 2)]),
        ],
        outputs: vec![OutputInfo { name: "y".into(), dims: vec![], axes: vec![] }],
        bodies: vec![],
        entries: vec![],
        regions: vec![],
        summary: Summary::default(),
        regimes: None,
    }
}

fn given(name: &str, shape: &[u64], elements: Elements) -> Given {
    Given {
        name: name.into(),
        array: DataArray { shape: shape.to_vec(), elements },
        pairs: false,
        file: String::new(),
    }
}

fn f64s(name: &str, shape: &[u64]) -> Given {
    given(name, shape, Elements::F64(vec![0.5; shape.iter().product::<u64>() as usize]))
}

fn all() -> Vec<Given> {
    vec![f64s("w", &[6, 5]), f64s("x", &[7, 5]), f64s("v", &[14])]
}

#[test]
fn outside_shapes_are_accepted_and_decide_run_time_sizes() {
    let bound = bind(&plan(DType::F64), all(), Wanted::default()).unwrap();
    let shapes: Vec<_> = bound.leaves.iter().flatten().map(|a| a.shape.clone()).collect();
    assert_eq!(shapes, [vec![2, 3, 5], vec![7, 5], vec![2, 7]]);
    assert_eq!(bound.dyn_sizes.into_values().collect::<Vec<_>>(), [7]);
    let mut legs = all();
    legs[0] = f64s("w", &[2, 3, 5]);
    assert!(bind(&plan(DType::F64), legs, Wanted::default()).is_ok());
}

#[test]
fn faults_name_their_array() {
    let cases: Vec<(Vec<Given>, &str)> = vec![
        (all().split_off(1), "parameter `w` is missing"),
        (all().into_iter().take(1).collect(), "inputs `x`, `v` are missing"),
        ([all(), vec![f64s("W", &[1])]].concat(), "did you mean `w`"),
        ([all(), vec![f64s("w", &[6, 5])]].concat(), "`w` is given a second time"),
        (vec![f64s("w", &[5, 6]), f64s("x", &[7, 5]), f64s("v", &[14])], "`w` has the shape `[5, 6]`"),
        (
            vec![f64s("w", &[6, 5]), f64s("x", &[7, 5]), f64s("v", &[16])],
            "`v` makes `b` `8`, but `x` makes it `7`",
        ),
        (vec![f64s("w", &[6, 5]), f64s("x", &[7, 5]), f64s("v", &[15])], "`v` has the shape"),
        (
            vec![
                f64s("w", &[6, 5]),
                given("x", &[1, 5], Elements::F64(vec![1., 2., f64::NAN, 0., 0.])),
                f64s("v", &[2]),
            ],
            "`x` has the entry `NaN` at position `2`",
        ),
        (
            vec![given("w", &[6, 5], Elements::Foreign("<i8".into())), f64s("x", &[7, 5]), f64s("v", &[14])],
            "`w` has the type `<i8`",
        ),
        (
            vec![
                given("w", &[6, 5], Elements::C128(vec![0.0.into(); 30])),
                f64s("x", &[7, 5]),
                f64s("v", &[14]),
            ],
            "`w` has the type `c128`",
        ),
    ];
    for (arrays, want) in cases {
        let faults = bind(&plan(DType::F64), arrays, Wanted::default()).unwrap_err();
        let [fault] = &faults[..] else { panic!("one fault each: {faults:?}") };
        assert!(fault.to_string().contains(want), "{fault}");
    }
}

#[test]
fn every_fault_is_reported() {
    let of_a_file = |given: Given| Given { file: "in.npz".into(), ..given };
    let arrays = vec![
        of_a_file(f64s("x", &[7, 4])),
        of_a_file(given("v", &[14], Elements::F64(vec![f64::NAN; 14]))),
        f64s("other", &[1]),
        of_a_file(f64s("x", &[7, 5])),
    ];
    let faults = bind(&plan(DType::F64), arrays, Wanted::default()).unwrap_err();
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let wanted = [
        "`x` of `in.npz` is given a second time",
        "`other` is not used",
        "`w` is missing",
        "`x` of `in.npz` has the shape",
        "`v` of `in.npz` has the entry `NaN`",
    ];
    assert_eq!(texts.len(), wanted.len(), "{texts:?}");
    for (text, want) in texts.iter().zip(wanted) {
        assert!(text.contains(want), "{text}");
    }
}

#[test]
fn the_sign_beside_a_logarithm_needs_no_cotangent() {
    let output = |name: &str| OutputInfo { name: name.into(), dims: vec![], axes: vec![] };
    let outputs = vec![output("z.phase"), output("z.log")];
    let real = Plan { outputs: outputs.clone(), ..plan(DType::F64) };
    let wanted = Wanted { cotangents: true, ..Wanted::default() };
    let bound = bind(&real, all(), wanted).unwrap();
    let values: Vec<_> = bound.cotangents.into_iter().map(|c| c.elements).collect();
    assert_eq!(values, [Elements::F64(vec![0.0]), Elements::F64(vec![1.0])]);
    // A complex phase has a derivative.
    assert!(bind(&Plan { outputs, ..plan(DType::C128) }, all(), wanted).is_err());
}

#[test]
fn rounding_must_be_asked_for() {
    let exact = bind(&plan(DType::F32), all(), Wanted::default()).unwrap();
    assert_eq!(exact.leaves[2].as_ref().unwrap().elements.dtype(), Some(DType::F32));
    let mut fine = all();
    fine[0] = given("w", &[6, 5], Elements::F64(vec![0.1; 30]));
    let faults = bind(&plan(DType::F32), fine.clone(), Wanted::default()).unwrap_err();
    assert!(faults[0].to_string().contains("--cast"));
    assert!(bind(&plan(DType::F32), fine.clone(), Wanted { cast: true, ..Wanted::default() }).is_ok());
    fine[0] = given("w", &[6, 5], Elements::F64(vec![1e300; 30]));
    assert!(bind(&plan(DType::F32), fine, Wanted { cast: true, ..Wanted::default() }).is_err());
}

#[test]
fn complex_arrays_as_pairs() {
    let mut arrays = all();
    arrays[0] = Given { pairs: true, ..f64s("w", &[6, 5, 2]) };
    let bound = bind(&plan(DType::C128), arrays, Wanted::default()).unwrap();
    assert_eq!(
        bound.leaves[0].as_ref().unwrap().elements.to_complex()[3],
        num_complex::Complex64::new(0.5, 0.5)
    );
}

#[test]
fn cotangents_and_tangents() {
    let wanted = Wanted { cotangents: true, tangents: true, ..Wanted::default() };
    let bound = bind(&plan(DType::F64), all(), wanted).unwrap();
    assert_eq!(bound.cotangents[0].elements, Elements::F64(vec![1.0]));
    assert_eq!(bound.tangents, [None, None, None]);
    let faults = bind(&plan(DType::C128), all(), wanted).unwrap_err();
    assert!(matches!(faults[..], [BindError::MissingCotangent { .. }]));
    let extra = [all(), vec![f64s("ct.y", &[])]].concat();
    let faults = bind(&plan(DType::F64), extra, Wanted::default()).unwrap_err();
    assert!(matches!(faults[..], [BindError::Extra { .. }]));
}
