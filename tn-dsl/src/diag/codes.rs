//! The table of codes. A code never changes its meaning; add new ones at the end of their group.

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $id:literal, $title:literal, $example:literal, $fix:literal;)*) => {
        /// A stable code of a diagnostic.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }
        impl Code {
            /// Every code, in order.
            pub const ALL: &[Code] = &[$(Code::$name,)*];
            /// `TN0007`
            pub fn id(self) -> &'static str {
                match self { $(Code::$name => $id,)* }
            }
            /// What it means, in one sentence.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
            /// The page that `tnc explain` shows: what it means, an example, the fix.
            pub fn page(self) -> String {
                let (title, example, fix) = match self { $(Code::$name => ($title, $example, $fix),)* };
                format!("{}: {title}\n\nExample:\n\n    {}\n\nFix: {fix}\n", self.id(), example.replace('\n', "\n    "))
            }
            /// The edit that mends it in general.
            pub fn fix(self) -> &'static str {
                match self { $(Code::$name => $fix,)* }
            }
            /// The code of that id, in either case.
            pub fn parse(id: &str) -> Option<Code> {
                Code::ALL.iter().copied().find(|c| c.id().eq_ignore_ascii_case(id))
            }
        }
    };
}

codes! {
    // reading and syntax: TN00xx
    NotUtf8 = "TN0001", "the file is not UTF-8 text", "a file saved as Latin-1", "save it as UTF-8";
    SourceTooLong = "TN0002", "the source is longer than 16 MiB", "a generated file with millions of definitions", "use a family: `param core[k in 0..n][…]` instead of n definitions";
    UnexpectedCharacter = "TN0003", "a character that the language does not use", "let n = 3 $ 4", "remove it";
    BadNumber = "TN0004", "a number that cannot be read", "let n = 99999999999999999999", "integers have 64 bits; write a float";
    BadString = "TN0005", "a string that is not closed, or has an unknown escape", "use \"blocks.tn", "close it on the same line; the escapes are \\n \\t \\\" \\\\";
    Syntax = "TN0006", "something else was expected here", "index i 16", "write what the message says was expected: `index i: 16`";
    TooDeep = "TN0007", "nesting deeper than 256 levels", "((((…))))", "give inner parts a `let` of their own";
    Unclosed = "TN0008", "a bracket is not closed", "let n = len([1, 2)", "close it";
    MissingImport = "TN0009", "a file or library item that is imported does not exist", "use \"blokcs.tn\"", "check the path: file imports are relative to the importing file";
    NoNetwork = "TN0011", "there is no network of that name, none at all, or several to choose from", "tnc plan shapes.tn --network lyaer", "name one of the file's networks";
    ImportCycle = "TN0010", "files import each other in a circle", "a.tn: use \"b.tn\"    b.tn: use \"a.tn\"", "move what both need into a third file";
    UnusedDoc = "TN0012", "a `///` line that stands before nothing it could document", "let n = 3 +\n    /// three\n    4", "put it before an item or a statement, or write `//`";
    // names and compile time: TN01xx
    UnknownName = "TN0101", "a name that means nothing here", "let n = lenght(dims)", "declare it, import it, or correct the spelling";
    DuplicateName = "TN0102", "a name declared twice in one body", "index i: 2\nindex i: 3", "rename one of them";
    TypeMismatch = "TN0103", "a value of another type was expected", "let n = 1 + \"two\"", "write a value of the type that the message names";
    BadCall = "TN0104", "a call with wrong arguments, or of something that cannot be called here", "let t = chain(dims = [2; 4])", "give each parameter once, by position or by name";
    BadParameter = "TN0105", "a network's parameter is missing, unknown, or of the wrong type", "tnc plan a.tn --set chi=big", "set it with `--set name=value`";
    NotCompileTime = "TN0106", "a compile-time value was expected", "let n = A", "only ints, floats, bools, strings, lists and maps are values";
    Overflow = "TN0107", "an int leaves 64 bits, or a division by zero", "let n = 2 ^ 64", "use a float, or smaller numbers";
    BadRange = "TN0108", "a range ends before it begins, or a count is negative", "prod k in 3..1 { … }", "ranges are half-open: a..b with a <= b";
    BadSubscript = "TN0109", "a subscript that does not fit what it is applied to", "dims[9] of a list of 4", "entries are counted from 0; a family takes one subscript a rank";
    OutsideFamily = "TN0110", "a subscript outside its family", "a[k-1] at k = 0", "write `a[k-1]?` to drop the leg there";
    Assertion = "TN0111", "an `assert` of the source does not hold", "assert n >= 1, \"a chain has at least one site\"", "call it with arguments for which it holds";
    TooManyItems = "TN0112", "more than ten million items are elaborated", "let x = [0; 100000000]", "use smaller ranges";
    WrongPlace = "TN0113", "something stands where it cannot", "for k in 0..3 { param A[i] }", "declare families outside loops; outputs stand in networks";
    EmptySum = "TN0114", "a `sum` without terms", "sum k in 0..0 { A[k][i] }", "an empty `prod` is 1, an empty `sum` has no legs";
    // tensors: TN02xx
    SizeMismatch = "TN0201", "two sizes for one index", "A[i] with i of size 3 where A has a leg of size 4", "make the sizes equal";
    WrongLegs = "TN0202", "the wrong number of legs, or other legs than promised", "A[i] of a matrix", "write one index a leg";
    NoFactor = "TN0203", "an index on the left that no factor has", "let t[i, j] = A[i]", "remove it, or multiply by a tensor that has it";
    NoWidest = "TN0204", "a sum whose terms have different legs, none of which has all", "A[i] + B[j]", "give one term all legs";
    CutOff = "TN0205", "an index that a map or a term of a sum cuts off from its other use", "let z[] = exp(x[i])", "give the inner expression its own `let`";
    NotATensor = "TN0206", "a tensor with its legs was expected", "let t[i] = 2 * A", "write `A[i]`; a tensor without legs is `z[]`";
    NotAnIndex = "TN0207", "an index was expected", "A[B]", "declare it with `index`";
    BadLeftSide = "TN0208", "a left side that cannot be", "let t[i, i] = A[i]", "different indices only; numbers select entries on the right";
    BadSize = "TN0209", "an index of size zero or below", "index i: 0", "sizes are 1 or more";
    TooLarge = "TN0210", "a tensor that must be stored has too many entries", "output y[s[..]] with 100 legs of size 2", "keep it in a `let`, and contract it before it is stored";
    BadDyn = "TN0211", "`dyn` where it cannot stand", "param A[b] with b: dyn(32)", "`dyn` stands on inputs, definitions and outputs of a network";
    BadFold = "TN0212", "a fold where it cannot stand", "let t[(i, j) as r] = …", "folds stand on inputs, outputs, params and consts; they do not nest";
    BadConst = "TN0213", "a constant whose value does not fit or cannot be read", "const D[i, j] = [1, 2]", "nested lists in the shape of the legs";
    BadStructure = "TN0214", "an isometry or unitary that cannot be", "isometry([c] -> [d]) with size(c) > size(d)", "the domain is at most as large as the codomain";
    BadInit = "TN0215", "an initialisation that is not known", "param A[i]: init(hee)", "he, xavier, normal(mean, std), uniform(a, b), zeros, ones, identity + noise(std)";
    ComplexInReal = "TN0216", "a complex value in a real network, or a map that takes no complex arguments", "2i in an f32 network", "add `dtype c64`";
    NoOutput = "TN0217", "a network without output", "network a { index i: 2 }", "add `output y[…] = …`";
    NoReturn = "TN0218", "a topology that returns nothing", "topology t() -> [s] { }", "end it with `return [s] …`";
    BadInstance = "TN0219", "an einsum or JSON instance that cannot be read", "--einsum ab,bc->ad", "inputs, output and sizes must fit together";
    Unused = "TN0220", "something that has no effect", "param A[i] that no output uses", "use it or remove it";
}
