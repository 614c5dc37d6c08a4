//! What can be said about types and arguments before a script runs.

use std::rc::Rc;

use super::resolve::Typed;
use crate::stdlib::Signature;
use crate::syntax::Span;
use crate::syntax::ast::BinaryOperator;
use crate::value::Type;

/// An argument as written: its name, the place of its value and its type.
pub(super) struct Argument {
    pub(super) name: Rc<str>,
    pub(super) span: Span,
    pub(super) ty: Type,
}

/// What is wrong with a call: the places and messages.
pub(super) fn call(
    signature: &Signature,
    arguments: &[Argument],
    piped: Option<(Span, Type)>,
    span: Span,
) -> Vec<(Span, String)> {
    let mut errors = Vec::new();
    if signature.open {
        return errors;
    }
    for argument in arguments {
        match signature.parameters.iter().find(|p| *p.name == *argument.name) {
            None => errors.push((span, format!("found unexpected argument {}", argument.name))),
            Some(p) if !p.ty.takes(argument.ty) => errors.push((
                argument.span,
                format!("expected {} but found {} (argument {})", p.ty.name(), argument.ty.name(), p.name),
            )),
            Some(_) => {}
        }
    }
    for parameter in &signature.parameters {
        let given = arguments.iter().any(|a| *a.name == *parameter.name);
        if parameter.pipe {
            match piped {
                Some((_, ty)) if !parameter.ty.takes(ty) => errors.push((
                    span,
                    format!(
                        "expected {} but found {} (argument {})",
                        parameter.ty.name(),
                        ty.name(),
                        parameter.name
                    ),
                )),
                None if !given => errors.push((span, "missing pipe argument".to_owned())),
                _ => {}
            }
        } else if parameter.required && !given {
            errors.push((span, format!("missing required argument {}", parameter.name)));
        }
    }
    if piped.is_some() && !signature.parameters.iter().any(|p| p.pipe) {
        errors.push((span, "function does not take a pipe argument".to_owned()));
    }
    errors
}

/// The type of `left operator right`, or what is wrong with it.
pub(super) fn binary(operator: BinaryOperator, left: &Typed, right: &Typed) -> Result<Type, String> {
    use BinaryOperator as Op;
    let (a, b) = (left.ty, right.ty);
    let mismatch = || Err(format!("expected {} but found {}", a.name(), b.name()));
    match operator {
        Op::Matches | Op::NotMatches => match (a, b) {
            (Type::String | Type::Any, Type::Regexp | Type::Any) => Ok(Type::Bool),
            (Type::String | Type::Any, _) => Err(format!("expected regexp but found {}", b.name())),
            _ => Err(format!("expected string but found {}", a.name())),
        },
        Op::Equal | Op::NotEqual => {
            let comparable = a.takes(b) || b.takes(a) || (numeric(a) && numeric(b));
            if comparable { Ok(Type::Bool) } else { mismatch() }
        }
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => {
            let comparable = a.takes(b) || b.takes(a) || (numeric(a) && numeric(b));
            if !comparable {
                return mismatch();
            }
            let unordered =
                |t| matches!(t, Type::Bool | Type::Record | Type::Array | Type::Function | Type::Stream);
            match [a, b].into_iter().find(|t| unordered(*t)) {
                Some(ty) => Err(format!("{} is not Comparable", ty.name())),
                None => Ok(Type::Bool),
            }
        }
        _ => {
            let word = match operator {
                Op::Add => "Addable",
                Op::Subtract => "Subtractable",
                _ => "Divisible",
            };
            for ty in [a, b] {
                let fits = ty == Type::Any
                    || numeric(ty)
                    || (ty == Type::Duration && matches!(operator, Op::Add | Op::Subtract))
                    || (ty == Type::String && operator == Op::Add);
                if !fits {
                    return Err(format!("{} is not {word}", ty.name()));
                }
            }
            if a == Type::Any {
                Ok(Type::Any)
            } else if a.takes(b) {
                Ok(a)
            } else {
                mismatch()
            }
        }
    }
}

const fn numeric(ty: Type) -> bool {
    matches!(ty, Type::Int | Type::Uint | Type::Float)
}
