//! What a generated module needs besides its kernels: the element type, functions, checks, cuts of arrays.

use super::Names;
use std::collections::BTreeSet;
use tn_kernel::Module;

/// What the printed text refers to.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    functions: BTreeSet<&'static str>,
}

impl Wanted {
    /// Notes the use of a function.
    pub(super) fn function(&mut self, name: &'static str) {
        self.functions.insert(name);
    }
    /// A constant of the element type.
    pub(super) fn constant(&self, names: &Names, re: f64, im: f64) -> String {
        if names.elem == names.real {
            real(names.real, re)
        } else {
            format!("{}::new({}, {})", names.elem, real(names.real, re), real(names.real, im))
        }
    }
    /// A real expression as an element of a complex network.
    pub(super) fn from_real(&self, names: &Names, text: &str) -> String {
        format!("{}::new({text}, 0.0)", names.elem)
    }
}

/// A literal of a real type.
pub(super) fn real(ty: &str, x: f64) -> String {
    let x = if ty == "f32" { f64::from(x as f32) } else { x };
    if x.is_nan() {
        format!("{ty}::NAN")
    } else if x.is_infinite() {
        format!("{ty}::{}", if x > 0.0 { "INFINITY" } else { "NEG_INFINITY" })
    } else if ty == "f32" {
        format!("{:?}", x as f32)
    } else {
        format!("{x:?}")
    }
}

const CHECKS: &str = r#"
fn check(name: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { name, expected, found }) }
}
fn check_at_least(name: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found >= expected { Ok(()) } else { Err(Error::Length { name, expected, found }) }
}
"#;

const CUT: &str = r#"
fn cut<T>(all: &mut [T], at: usize, len: usize) -> (&[T], &mut [T], &[T]) {
    let (before, rest) = all.split_at_mut(at);
    let (y, after) = rest.split_at_mut(len);
    (before, y, after)
}
"#;

const PART: &str = r#"
fn part<'a, T>(before: &'a [T], after: &'a [T], gap: usize, at: usize, len: usize) -> &'a [T] {
    if at < before.len() { &before[at..][..len] } else { &after[at - before.len() - gap..][..len] }
}
"#;

const CUT_FAMILY: &str = r#"
fn cut_family<'a, 'b, T>(all: &'a mut [&'b mut [T]], at: usize) -> (&'a [&'b mut [T]], &'a mut [T], &'a [&'b mut [T]]) {
    let (before, rest) = all.split_at_mut(at);
    let (y, after) = rest.split_at_mut(1);
    (before, &mut *y[0], after)
}
"#;

const OF_FAMILY: &str = r#"
fn of_family<'a, T>(before: &'a [&mut [T]], after: &'a [&mut [T]], at: usize) -> &'a [T] {
    if at < before.len() { &*before[at] } else { &*after[at - before.len() - 1] }
}
"#;

/// The complex type; `Real` stands for the real one, `Cx` for its own name.
const COMPLEX: &str = r#"
#[doc = " A complex number."]
#[allow(dead_code)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Cx {
    #[doc = " Real part."]
    pub re: Real,
    #[doc = " Imaginary part."]
    pub im: Real,
}
#[allow(dead_code, clippy::all)]
impl Cx {
    #[doc = " `re + im·i`."]
    #[inline(always)]
    pub const fn new(re: Real, im: Real) -> Cx {
        Cx { re, im }
    }
    #[doc = " The complex conjugate."]
    #[inline(always)]
    pub const fn conj(self) -> Cx {
        Cx { re: self.re, im: -self.im }
    }
}
impl core::ops::Neg for Cx {
    type Output = Cx;
    #[inline(always)]
    fn neg(self) -> Cx {
        Cx { re: -self.re, im: -self.im }
    }
}
impl core::ops::Add for Cx {
    type Output = Cx;
    #[inline(always)]
    fn add(self, o: Cx) -> Cx {
        Cx { re: self.re + o.re, im: self.im + o.im }
    }
}
impl core::ops::AddAssign for Cx {
    #[inline(always)]
    fn add_assign(&mut self, o: Cx) {
        *self = *self + o;
    }
}
impl core::ops::Sub for Cx {
    type Output = Cx;
    #[inline(always)]
    fn sub(self, o: Cx) -> Cx {
        Cx { re: self.re - o.re, im: self.im - o.im }
    }
}
impl core::ops::Mul for Cx {
    type Output = Cx;
    #[inline(always)]
    fn mul(self, o: Cx) -> Cx {
        Cx { re: self.re * o.re - self.im * o.im, im: self.re * o.im + self.im * o.re }
    }
}
impl core::ops::Div for Cx {
    type Output = Cx;
    #[inline(always)]
    fn div(self, o: Cx) -> Cx {
        // Smith's division: the larger part of the divisor is divided out first, so that nothing overflows on the way.
        let (a, b) = (if o.re < 0.0 { -o.re } else { o.re }, if o.im < 0.0 { -o.im } else { o.im });
        if a >= b {
            let (r, d) = (o.im / o.re, o.re + o.im * (o.im / o.re));
            Cx { re: (self.re + self.im * r) / d, im: (self.im - self.re * r) / d }
        } else {
            let (r, d) = (o.re / o.im, o.im + o.re * (o.re / o.im));
            Cx { re: (self.re * r + self.im) / d, im: (self.im * r - self.re) / d }
        }
    }
}
"#;

/// A function: its name, the functions that it calls, its text (`Real`, `Cx` as in [`COMPLEX`]).
pub(super) type Function = (&'static str, &'static [&'static str], &'static str);

/// Functions of complex numbers, from those of their parts.
const COMPLEX_FUNCTIONS: &[Function] = &[
    ("c_abs", &["hypot"], "fn c_abs(a: Cx) -> Real { hypot(a.re, a.im) }"),
    (
        "c_exp",
        &["exp", "sin", "cos"],
        "fn c_exp(a: Cx) -> Cx {
            let size = exp(a.re);
            Cx::new(size * cos(a.im), size * sin(a.im))
        }",
    ),
    (
        "c_ln",
        &["ln", "hypot", "atan2"],
        "fn c_ln(a: Cx) -> Cx { Cx::new(ln(hypot(a.re, a.im)), atan2(a.im, a.re)) }",
    ),
    (
        "c_sin",
        &["sin", "cos", "sinh", "cosh"],
        "fn c_sin(a: Cx) -> Cx { Cx::new(sin(a.re) * cosh(a.im), cos(a.re) * sinh(a.im)) }",
    ),
    (
        "c_cos",
        &["sin", "cos", "sinh", "cosh"],
        "fn c_cos(a: Cx) -> Cx { Cx::new(cos(a.re) * cosh(a.im), -(sin(a.re) * sinh(a.im))) }",
    ),
    (
        "c_sqrt",
        &["sqrt", "hypot"],
        "fn c_sqrt(a: Cx) -> Cx {
            let large = sqrt((hypot(a.re, a.im) + if a.re < 0.0 { -a.re } else { a.re }) / 2.0);
            if large == 0.0 {
                return Cx::new(0.0, a.im);
            }
            let small = (if a.im < 0.0 { -a.im } else { a.im }) / (2.0 * large);
            let (re, im) = if a.re >= 0.0 { (large, small) } else { (small, large) };
            Cx::new(re, if a.im < 0.0 { -im } else { im })
        }",
    ),
    (
        "c_pow",
        &["c_exp", "c_ln", "pow"],
        "fn c_pow(a: Cx, b: Cx) -> Cx {
            if a == Cx::new(0.0, 0.0) {
                return Cx::new(if b == Cx::new(0.0, 0.0) { 1.0 } else { 0.0 }, 0.0);
            }
            if a.im == 0.0 && b.im == 0.0 && a.re > 0.0 {
                return Cx::new(pow(a.re, b.re), 0.0);
            }
            c_exp(b * c_ln(a))
        }",
    ),
];

/// The functions that are wanted and those that they call, each once, in a fixed order.
fn functions(wanted: &BTreeSet<&'static str>) -> Vec<(&'static str, &'static str)> {
    let all: Vec<&Function> = COMPLEX_FUNCTIONS.iter().chain(super::math::REAL_FUNCTIONS).collect();
    let mut need: BTreeSet<&str> = wanted.clone();
    loop {
        let before = need.len();
        let called: Vec<&str> =
            all.iter().filter(|f| need.contains(f.0)).flat_map(|f| f.1.iter().copied()).collect();
        need.extend(called);
        if need.len() == before {
            break;
        }
    }
    all.iter().filter(|f| need.contains(f.0)).map(|f| (f.0, f.2)).collect()
}

/// Replaces whole words.
fn replace_words(text: &str, words: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let found = words.iter().find(|(w, _)| *w == word);
        out.push_str(found.map_or(word.as_str(), |(_, to)| to));
        word.clear();
        out.push(c);
    }
    out
}

/// The text of everything that is wanted.
pub(super) fn text(wanted: &Wanted, m: &Module, names: &Names) -> String {
    let mut out = String::new();
    if !m.entries.is_empty() {
        out.push_str(CHECKS);
    }
    for (name, text) in [("cut", CUT), ("part", PART), ("cut_family", CUT_FAMILY), ("of_family", OF_FAMILY)] {
        if wanted.functions.contains(name) {
            out.push_str(text);
        }
    }
    let words = [("Cx", names.elem), ("Real", names.real)];
    if names.elem != names.real {
        out.push_str(&replace_words(COMPLEX, &words));
    }
    for (_, text) in functions(&wanted.functions) {
        out.push_str("#[allow(clippy::all)]\n#[inline]\n");
        out.push_str(&replace_words(text, &words));
    }
    out
}
