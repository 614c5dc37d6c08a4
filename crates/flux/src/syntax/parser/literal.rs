//! Literals: numbers, strings with and without interpolation, times, durations, regular expressions.

use super::super::ast::{Expr, ExprKind, StringPiece};
use super::super::lexer::StringPart;
use super::super::strings;
use super::super::token::{Kind, Token};
use super::Parser;

impl Parser<'_> {
    pub(super) fn literal(&mut self, token: &Token<'_>) -> ExprKind {
        let text = token.text;
        let value = match token.kind {
            Kind::Int => text.parse().ok().map(ExprKind::Integer),
            Kind::Float => text.parse().ok().map(ExprKind::Float),
            Kind::String => return ExprKind::String(self.string_value(token)),
            Kind::Time => strings::time(text).map(ExprKind::Time),
            Kind::Duration => strings::duration(text).map(ExprKind::Duration),
            _ => {
                let inside = text.get(1..text.len().saturating_sub(1)).unwrap_or("");
                let pattern = strings::regex_pattern(inside);
                self.regexes += 1;
                if self.regexes > super::REGEXES_MAX {
                    let message = format!("script has more than {} regular expressions", super::REGEXES_MAX);
                    self.error(token.span, message);
                } else if let Err(error) = model::Pattern::new(&pattern) {
                    self.error(token.span, format!("invalid regular expression: {error}"));
                }
                return ExprKind::Regex(pattern);
            }
        };
        value.unwrap_or_else(|| {
            let what = match token.kind {
                Kind::Int => "integer literal",
                Kind::Float => "float literal",
                Kind::Time => "date-time literal",
                _ => "duration literal",
            };
            self.error(token.span, format!("invalid {what} \"{text}\": value out of range"));
            ExprKind::Bad(text.to_owned())
        })
    }

    pub(super) fn string_value(&mut self, token: &Token<'_>) -> String {
        let inside = token.text.get(1..token.text.len().saturating_sub(1)).unwrap_or("");
        self.unescaped(inside, token.span)
    }

    fn unescaped(&mut self, inside: &str, span: super::Span) -> String {
        strings::unescape(inside).unwrap_or_else(|message| {
            self.error(span, message);
            String::new()
        })
    }

    pub(super) fn interpolation(&mut self) -> Expr {
        let start = self.consume().span.start;
        let mut pieces = Vec::new();
        loop {
            // The buffer is empty here: a part is read by the lexer itself.
            match self.lexer.string_part() {
                StringPart::Text(text, span) => {
                    let text = self.unescaped(text, span);
                    pieces.push(StringPiece::Text(text));
                    self.last_end = span.end;
                }
                StringPart::Expression => {
                    pieces.push(StringPiece::Expression(self.expression()));
                    if self.peek().kind != Kind::RBrace {
                        self.expect(Kind::RBrace, start);
                        break;
                    }
                    self.consume();
                }
                StringPart::Close(span) => {
                    self.last_end = span.end;
                    break;
                }
                StringPart::Unterminated => {
                    let end = self.lexer.position();
                    self.error(
                        super::Span { start, end },
                        "got unexpected token in string expression: EOF".to_owned(),
                    );
                    break;
                }
            }
        }
        Expr { span: self.span_from(start), kind: ExprKind::Interpolation(pieces) }
    }
}
