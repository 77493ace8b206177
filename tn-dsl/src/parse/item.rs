//! Items of a file.

use super::{Failed, Parsed, Parser};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::lex::Tok;

pub(super) const ITEM_WORDS: [&str; 6] = ["use", "const", "fn", "map", "topology", "network"];

impl Parser {
    pub(super) fn items(&mut self) -> Vec<Item> {
        let mut items = vec![];
        loop {
            let doc = self.docs();
            if *self.peek() == Tok::End {
                return items;
            }
            let start = self.here();
            match self.item() {
                Ok(kind) => items.push(Item { doc, kind, span: self.since(start) }),
                Err(Failed) => self.recover_item(),
            }
        }
    }

    fn item(&mut self) -> Parsed<ItemKind> {
        let Tok::Word(word) = self.peek().clone() else {
            let failed = self.unexpected("`use`, `const`, `fn`, `map`, `topology` or `network`");
            self.bump();
            return Err(failed);
        };
        if !ITEM_WORDS.contains(&word.as_str()) {
            let span = self.here();
            let mut d = Diagnostic::error(Code::Syntax, span, format!("`{word}` does not begin an item"));
            d = match did_you_mean(&word, ITEM_WORDS) {
                Some(near) => d.with_help(format!("did you mean `{near}`?")),
                None => d.with_help("items are `use`, `const`, `fn`, `map`, `topology` and `network`"),
            };
            self.push(d);
            self.bump();
            return Err(Failed);
        }
        self.bump();
        match word.as_str() {
            "use" => self.use_item(),
            "const" => {
                let name = self.ident("the constant's name")?;
                self.expect("=", "and the constant's value")?;
                Ok(ItemKind::Const { name, value: self.expr()? })
            }
            "fn" => Ok(ItemKind::Fn(self.callable(false, |p| {
                let result = if p.eat("->") { Some(p.ty()?) } else { None };
                Ok((result, None))
            })?)),
            "topology" => Ok(ItemKind::Topology(self.callable(true, |p| {
                p.expect("->", "and the legs, as in `-> [s]`")?;
                Ok((None, Some(p.bracket()?)))
            })?)),
            "network" => Ok(ItemKind::Network(self.callable(false, |_| Ok((None, None)))?)),
            _ => self.map_item(),
        }
    }

    fn use_item(&mut self) -> Parsed<ItemKind> {
        if let Tok::Str(path) = self.peek().clone() {
            let span = self.bump().span;
            return Ok(ItemKind::Use(Use::File { path, span }));
        }
        let mut prefix = vec![self.ident("a path such as `std::chain`, or a file name in quotes")?];
        let mut names = vec![];
        while self.eat("::") {
            if self.is("{") {
                let open = self.bump().span;
                while !self.is("}") {
                    let name = self.ident("a name to import")?;
                    let rename = if self.eat_word("as") { Some(self.ident("the new name")?) } else { None };
                    names.push((name, rename));
                    if !self.eat(",") {
                        break;
                    }
                }
                self.close("}", open)?;
                return Ok(ItemKind::Use(Use::Path { prefix, names }));
            }
            prefix.push(self.ident("a name")?);
        }
        let rename = if self.eat_word("as") { Some(self.ident("the new name")?) } else { None };
        let last = prefix.pop().ok_or(Failed)?;
        names.push((last, rename));
        Ok(ItemKind::Use(Use::Path { prefix, names }))
    }

    fn callable(
        &mut self,
        topology: bool,
        header: impl FnOnce(&mut Self) -> Parsed<(Option<Type>, Option<Bracket>)>,
    ) -> Parsed<Callable> {
        let name = self.ident("a name")?;
        let mut params = vec![];
        if self.is("(") {
            let open = self.bump().span;
            while !self.is(")") {
                let name = self.ident("a parameter's name")?;
                self.expect(":", "and the parameter's type")?;
                let ty = self.ty()?;
                let default = if self.eat("=") { Some(self.expr()?) } else { None };
                params.push(Param { name, ty, default });
                if !self.eat(",") {
                    break;
                }
            }
            self.close(")", open)?;
        }
        let (result, legs) = header(self)?;
        self.in_topology = topology;
        let body = self.block();
        self.in_topology = false;
        Ok(Callable { name, params, result, legs, body: body? })
    }

    fn ty(&mut self) -> Parsed<Type> {
        let start = self.here();
        let kind = self.nested(|p| p.ty_kind())?;
        Ok(Type { kind, span: self.since(start) })
    }

    fn ty_kind(&mut self) -> Parsed<TypeKind> {
        if self.is("[") {
            let open = self.bump().span;
            let inner = self.ty()?;
            self.close("]", open)?;
            return Ok(TypeKind::List(Box::new(inner.kind)));
        }
        let kind = match self.peek() {
            Tok::Word(w) => match w.as_str() {
                "int" => TypeKind::Int,
                "float" => TypeKind::Float,
                "bool" => TypeKind::Bool,
                "string" => TypeKind::String,
                "map" => TypeKind::Map,
                _ => {
                    return Err(self.unexpected(
                        "a type: `int`, `int*`, `float`, `bool`, `string`, `map` or a list `[int]`",
                    ));
                }
            },
            _ => return Err(self.unexpected("a type")),
        };
        self.bump();
        Ok(if kind == TypeKind::Int && self.eat("*") { TypeKind::PerPlace } else { kind })
    }

    fn map_item(&mut self) -> Parsed<ItemKind> {
        let name = self.ident("the map's name")?;
        let open = self.expect("(", "and the map's argument, as in `map f(x) = x * x`")?;
        let arg = self.ident("the map's argument")?;
        let mut scalars = vec![];
        if self.eat(";") {
            while !self.is(")") {
                let name = self.ident("a trainable scalar's name")?;
                let len = if self.is("[") {
                    let open = self.bump().span;
                    let n = self.expr()?;
                    self.close("]", open)?;
                    Some(n)
                } else {
                    None
                };
                let init = if self.eat("=") { Some(self.expr()?) } else { None };
                scalars.push(MapScalar { name, len, init });
                if !self.eat(",") {
                    break;
                }
            }
        }
        self.close(")", open)?;
        self.expect("=", "and what the map computes")?;
        Ok(ItemKind::Map(MapItem { name, arg, scalars, body: self.expr()? }))
    }
}
