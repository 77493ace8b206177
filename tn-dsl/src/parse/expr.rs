//! Expressions, by precedence climbing.

use super::{MAX_CHAIN, Parsed, Parser};
use crate::ast::*;
use crate::diag::{Code, Diagnostic};
use crate::lex::Tok;
use tn_ir::span::Span;

/// Binding strength of `^` and of the unary operators between it and `*`.
const POW: u8 = 7;
const UNARY: u8 = 6;

impl Parser {
    /// A whole expression.
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        let (e, height) = self.nested(|p| p.measured(|p| p.binary(1)))?;
        self.grown(height + 1)?;
        Ok(e)
    }

    fn infix(&self) -> Option<(BinaryOp, u8)> {
        let Tok::Punct(p) = self.peek() else { return None };
        Some(match *p {
            "||" => (BinaryOp::Or, 1),
            "&&" => (BinaryOp::And, 2),
            "<" => (BinaryOp::Lt, 3),
            "<=" => (BinaryOp::Le, 3),
            ">" => (BinaryOp::Gt, 3),
            ">=" => (BinaryOp::Ge, 3),
            "==" => (BinaryOp::Eq, 3),
            "!=" => (BinaryOp::Ne, 3),
            "+" => (BinaryOp::Add, 4),
            "-" => (BinaryOp::Sub, 4),
            "*" => (BinaryOp::Mul, 5),
            "/" => (BinaryOp::Div, 5),
            "%" => (BinaryOp::Rem, 5),
            "^" => (BinaryOp::Pow, POW),
            _ => return None,
        })
    }

    fn binary(&mut self, least: u8) -> Parsed<Expr> {
        let start = self.here();
        let (mut lhs, mut height) = self.measured(|p| p.unary())?;
        let mut chain = 0;
        while let Some((op, strength)) = self.infix() {
            if strength < least {
                break;
            }
            chain += 1;
            if chain > MAX_CHAIN {
                let d = Diagnostic::error(
                    Code::TooDeep,
                    self.here(),
                    format!("more than {MAX_CHAIN} operators in a row"),
                );
                self.push(d.with_help("write `sum k in 0..n { … }` or `prod k in 0..n { … }`"));
                return Err(super::Failed);
            }
            self.bump();
            // `^` is right-associative, and its right side may carry a sign
            let least = if op == BinaryOp::Pow { UNARY } else { strength + 1 };
            let (rhs, rhs_height) = self.nested(|p| p.measured(|p| p.binary(least)))?;
            height = height.max(rhs_height) + 1;
            self.grown(height)?;
            if strength == 3 && self.infix().is_some_and(|(_, s)| s == 3) {
                let d = Diagnostic::error(Code::Syntax, self.here(), "comparisons cannot be chained");
                self.push(d.with_help("write `a < b && b < c`"));
                return Err(super::Failed);
            }
            let kind = ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) };
            lhs = Expr { kind, span: self.since(start) };
        }
        self.grown(height)?;
        Ok(lhs)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.here();
        let op = match self.peek() {
            Tok::Punct("-") => UnaryOp::Neg,
            Tok::Punct("!") => UnaryOp::Not,
            _ => return self.postfix(),
        };
        self.bump();
        // tighter than `*`, looser than `^`
        let arg = self.nested(|p| p.binary(POW))?;
        Ok(Expr { kind: ExprKind::Unary { op, arg: Box::new(arg) }, span: self.since(start) })
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let start = self.here();
        let base = self.primary()?;
        let mut brackets = vec![];
        while self.is("[") {
            brackets.push(self.bracket()?);
        }
        if brackets.is_empty() {
            return Ok(base);
        }
        Ok(Expr { kind: ExprKind::Index { base: Box::new(base), brackets }, span: self.since(start) })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let start = self.here();
        let kind = match self.peek().clone() {
            Tok::Int(v) => self.literal(ExprKind::Int(v)),
            Tok::Float(v) => self.literal(ExprKind::Float(v)),
            Tok::Imag(v) => self.literal(ExprKind::Imag(v)),
            Tok::Str(s) => self.literal(ExprKind::Str(s)),
            Tok::Punct("(") => {
                self.bump();
                let inner = self.expr()?;
                self.close(")", start)?;
                ExprKind::Paren(Box::new(inner))
            }
            Tok::Punct("[") => self.list(start)?,
            Tok::Word(w) => match w.as_str() {
                "true" | "false" => self.literal(ExprKind::Bool(w == "true")),
                "if" => self.if_expr()?,
                "prod" => self.big(BigOp::Prod)?,
                "sum" => self.big(BigOp::Sum)?,
                "stack" => self.big(BigOp::Stack)?,
                _ => {
                    let name = self.ident("an expression")?;
                    if self.is("(") { self.call(name)? } else { ExprKind::Name(name) }
                }
            },
            _ => return Err(self.unexpected("an expression")),
        };
        Ok(Expr { kind, span: self.since(start) })
    }

    fn literal(&mut self, kind: ExprKind) -> ExprKind {
        self.bump();
        kind
    }

    fn call(&mut self, callee: Ident) -> Parsed<ExprKind> {
        let open = self.bump().span;
        let args = self.args()?;
        let scalars = if self.eat(";") { Some(self.args()?) } else { None };
        self.close(")", open)?;
        Ok(ExprKind::Call { callee, args, scalars })
    }

    fn args(&mut self) -> Parsed<Vec<Arg>> {
        let mut args = vec![];
        while !self.is(")") && !self.is(";") {
            let named = matches!(self.peek(), Tok::Word(_)) && self.is_at(1, "=");
            let name = if named {
                let name = self.ident("an argument's name")?;
                self.bump();
                Some(name)
            } else {
                None
            };
            args.push(Arg { name, value: self.expr()? });
            if !self.eat(",") {
                break;
            }
        }
        Ok(args)
    }

    fn list(&mut self, open: Span) -> Parsed<ExprKind> {
        self.bump();
        let mut entries = vec![];
        while !self.is("]") {
            entries.push(self.expr()?);
            if entries.len() == 1 && self.eat(";") {
                let count = Box::new(self.expr()?);
                self.close("]", open)?;
                return Ok(ExprKind::Fill { value: Box::new(entries.remove(0)), count });
            }
            if entries.len() == 1 && self.eat_word("for") {
                let binders = self.binders()?;
                self.close("]", open)?;
                return Ok(ExprKind::Comprehension { body: Box::new(entries.remove(0)), binders });
            }
            if !self.eat(",") {
                break;
            }
        }
        self.close("]", open)?;
        Ok(ExprKind::List(entries))
    }

    fn braced(&mut self, context: &str) -> Parsed<Box<Expr>> {
        let open = self.expect("{", context)?;
        let inner = self.expr()?;
        self.close("}", open)?;
        Ok(Box::new(inner))
    }

    fn if_expr(&mut self) -> Parsed<ExprKind> {
        self.bump();
        let cond = Box::new(self.expr()?);
        let then = self.braced("and the value")?;
        self.expect_word("else", "(an `if` that is a value has both branches)")?;
        let otherwise = if self.is_word("if") {
            let start = self.here();
            let kind = self.nested(|p| p.if_expr())?;
            Box::new(Expr { kind, span: self.since(start) })
        } else {
            self.braced("and the other value")?
        };
        Ok(ExprKind::If { cond, then, otherwise })
    }

    fn big(&mut self, op: BigOp) -> Parsed<ExprKind> {
        self.bump();
        let binders = self.binders()?;
        let body = self.braced("and what is repeated")?;
        Ok(ExprKind::Big { op, binders, body })
    }
}
