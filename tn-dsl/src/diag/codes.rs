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
    ImportCycle = "TN0010", "files import each other in a circle", "a.tn: use \"b.tn\"    b.tn: use \"a.tn\"", "move what both need into a third file";
}
