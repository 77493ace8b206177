//! Statements.

use super::{Failed, Parsed, Parser};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::lex::Tok;

pub(super) const STATEMENT_WORDS: [&str; 12] =
    ["dtype", "index", "param", "input", "const", "let", "var", "for", "if", "assert", "return", "output"];

impl Parser {
    /// `{ statements }`
    pub(super) fn block(&mut self) -> Parsed<Block> {
        let open = self.expect("{", "and a body")?;
        let statements = self.nested(|p| Ok(p.statements()))?;
        self.close("}", open)?;
        Ok(Block { statements, span: self.since(open) })
    }

    pub(super) fn statements(&mut self) -> Vec<Stmt> {
        let mut out = vec![];
        loop {
            let doc = self.docs();
            if self.is("}") || *self.peek() == Tok::End {
                return out;
            }
            let start = self.here();
            let before = self.at;
            match self.statement() {
                Ok(kind) => out.push(Stmt { doc, kind, span: self.since(start) }),
                Err(Failed) => self.recover_statement(before, &mut out),
            }
        }
    }

    fn statement(&mut self) -> Parsed<StmtKind> {
        let Tok::Word(word) = self.peek().clone() else { return Err(self.unexpected("a statement")) };
        if STATEMENT_WORDS.contains(&word.as_str()) {
            self.bump();
        }
        match word.as_str() {
            "dtype" => Ok(StmtKind::DType(self.ident("`f32`, `f64`, `c64` or `c128`")?)),
            "index" => self.index_stmt(),
            "param" => self.leaf_stmt(LeafKind::Param),
            "input" => self.leaf_stmt(LeafKind::Input),
            "const" => self.leaf_stmt(LeafKind::Const),
            "let" => self.let_stmt(),
            "var" => {
                let name = self.ident("the variable's name")?;
                let (legs, value) = self.left_side()?;
                Ok(StmtKind::Define { kind: DefineKind::Var, name, legs, value })
            }
            "for" => {
                let binders = self.binders()?;
                Ok(StmtKind::For { binders, body: self.block()? })
            }
            "if" => self.if_stmt(),
            "assert" => {
                let cond = self.expr()?;
                let message = if self.eat(",") { Some(self.expr()?) } else { None };
                Ok(StmtKind::Assert { cond, message })
            }
            "return" => {
                if self.in_topology && self.is("[") {
                    let legs = Some(self.bracket()?);
                    return Ok(StmtKind::Return { legs, value: self.expr()? });
                }
                Ok(StmtKind::Return { legs: None, value: self.expr()? })
            }
            "output" => self.output_stmt(),
            _ if self.is_at(1, "[") => {
                // `= elu A[i]` reads as a statement that ends after `elu`
                let name = self.ident("a variable")?;
                let before = self.diagnostics.len();
                let made = self.left_side();
                if made.is_err()
                    && let Some(d) = self.diagnostics[before..].first_mut()
                    && d.help.is_none()
                {
                    let n = &name.name;
                    *d = d.clone().with_help(format!(
                        "an assignment is `{n}[…] = …`; a map takes its argument in parentheses, `elu({n}[…])`; a product is written with `*`"
                    ));
                }
                let (legs, value) = made?;
                Ok(StmtKind::Assign { name, legs, value })
            }
            _ => {
                let mut d = Diagnostic::error(
                    Code::Syntax,
                    self.here(),
                    format!("`{word}` does not begin a statement"),
                );
                let near = did_you_mean(&word, STATEMENT_WORDS);
                d = d.with_help(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a statement begins with a keyword, or is an assignment `name[legs] = …`".into(),
                });
                self.push(d);
                Err(Failed)
            }
        }
    }

    fn left_side(&mut self) -> Parsed<(Bracket, Expr)> {
        let legs = self.bracket()?;
        self.expect("=", "and the tensor's value")?;
        Ok((legs, self.expr()?))
    }

    fn index_stmt(&mut self) -> Parsed<StmtKind> {
        let mut done: Vec<IndexDecl> = vec![];
        let mut waiting: Vec<(Ident, Option<Bracket>)> = vec![];
        loop {
            let name = self.ident("an index's name")?;
            let family = if self.is("[") { Some(self.bracket()?) } else { None };
            waiting.push((name, family));
            if self.eat(":") {
                let size = self.expr()?;
                let last = waiting.len() - 1;
                for (i, (name, family)) in waiting.drain(..).enumerate() {
                    done.push(IndexDecl { name, family, size: size.clone(), own_size: i == last });
                }
                if !self.eat(",") {
                    return Ok(StmtKind::Index(done));
                }
            } else if !self.eat(",") {
                return Err(self.unexpected("`:` and the size of the index, as in `index i: 16`"));
            }
        }
    }

    fn leaf_stmt(&mut self, kind: LeafKind) -> Parsed<StmtKind> {
        let name = self.ident("the tensor's name")?;
        let mut first = if self.is("[") { Some(self.bracket()?) } else { None };
        let second = if first.is_some() && self.is("[") { Some(self.bracket()?) } else { None };
        let family =
            if second.is_some() || first.as_ref().is_some_and(is_family) { first.take() } else { None };
        let legs = second.or(first);
        let Some(legs) = legs else {
            if kind == LeafKind::Param {
                return Err(self.unexpected("the legs of the parameter, as in `param A[i, j]`"));
            }
            self.expect("=", "and a topology or value")?;
            let value = self.expr()?;
            let from = if self.eat_word("from") { Some(self.expr()?) } else { None };
            return Ok(StmtKind::Bind(Bind { kind, name, family, value, from }));
        };
        let mut attributes = vec![];
        if self.eat(":") {
            attributes.push(self.attribute()?);
            while self.is(",") && matches!(self.word_at(1), Some("init" | "isometry" | "unitary")) {
                self.bump();
                attributes.push(self.attribute()?);
            }
        }
        let value = if self.eat("=") { Some(self.expr()?) } else { None };
        Ok(StmtKind::Leaf(LeafDecl { kind, name, family, legs, attributes, value }))
    }

    fn attribute(&mut self) -> Parsed<Attribute> {
        let start = self.here();
        let word = self.ident("`init(…)`, `isometry(…)` or `unitary(…)`")?;
        let open = self.expect("(", "after it")?;
        let kind = match word.name.as_str() {
            "init" => AttributeKind::Init(self.expr()?),
            "isometry" | "unitary" => {
                let from = self.bracket()?;
                self.expect("->", "and the legs it maps to, as in `isometry([p] -> [c1, c2])`")?;
                AttributeKind::Structure { unitary: word.name == "unitary", from, to: self.bracket()? }
            }
            other => {
                let d = Diagnostic::error(Code::Syntax, word.span, format!("unknown attribute `{other}`"));
                let help = match did_you_mean(other, ["init", "isometry", "unitary"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "attributes are `init(…)`, `isometry(…)` and `unitary(…)`".to_string(),
                };
                self.push(d.with_help(help));
                return Err(Failed);
            }
        };
        self.close(")", open)?;
        Ok(Attribute { kind, span: self.since(start) })
    }

    fn let_stmt(&mut self) -> Parsed<StmtKind> {
        let materialize = self.is_word("materialize") && matches!(self.peek_at(1), Tok::Word(_));
        if materialize {
            self.bump();
        }
        let name = self.ident("a name")?;
        let bracket = if self.is("[") { Some(self.bracket()?) } else { None };
        self.expect("=", "and a value")?;
        let value = self.expr()?;
        Ok(match bracket {
            Some(legs) if materialize => {
                StmtKind::Define { kind: DefineKind::Materialize, name, legs, value }
            }
            Some(family) if is_family(&family) => StmtKind::Let { name, family: Some(family), value },
            Some(legs) => StmtKind::Define { kind: DefineKind::Let, name, legs, value },
            None if materialize => {
                let d = Diagnostic::error(Code::Syntax, name.span, "`let materialize` needs legs");
                self.push(d.with_help(format!("write `let materialize {}[legs] = …`", name.name)));
                return Err(Failed);
            }
            None => StmtKind::Let { name, family: None, value },
        })
    }

    fn if_stmt(&mut self) -> Parsed<StmtKind> {
        let cond = self.expr()?;
        let then = self.block()?;
        let otherwise = if self.eat_word("else") {
            if self.is_word("if") {
                let start = self.here();
                self.bump();
                let kind = self.nested(|p| p.if_stmt())?;
                let span = self.since(start);
                Some(Block { statements: vec![Stmt { doc: vec![], kind, span }], span })
            } else {
                Some(self.block()?)
            }
        } else {
            None
        };
        Ok(StmtKind::If { cond, then, otherwise })
    }

    fn output_stmt(&mut self) -> Parsed<StmtKind> {
        let name = self.ident("the output's name")?;
        let legs = if self.is("[") { Some(self.bracket()?) } else { None };
        let mode = if self.eat(":") { Some(self.ident("`log`")?) } else { None };
        let value = if legs.is_some() {
            self.expect("=", "and the output's value")?;
            Some(self.expr()?)
        } else {
            None
        };
        Ok(StmtKind::Output { name, legs, mode, value })
    }
}

/// A bracket of ranges declares a family.
pub(super) fn is_family(bracket: &Bracket) -> bool {
    !bracket.items.is_empty()
        && bracket
            .items
            .iter()
            .all(|i| matches!(i.kind, LegKind::Binder(_) | LegKind::Range { lo: Some(_), hi: Some(_) }))
}
