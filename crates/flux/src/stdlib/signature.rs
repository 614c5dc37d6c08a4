//! Signatures of functions, as text and parsed.

use std::sync::Arc;

use crate::value::Type;

/// The parameters and the result of a function.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) parameters: Vec<SignatureParameter>,
    pub(crate) result: Type,
    /// Takes anything: nothing is known of it.
    pub(crate) open: bool,
}

/// A parameter.
#[derive(Debug, Clone)]
pub(crate) struct SignatureParameter {
    pub(crate) name: Arc<str>,
    pub(crate) ty: Type,
    pub(crate) required: bool,
    /// Takes what is piped in.
    pub(crate) pipe: bool,
}

impl Signature {
    /// Reads `name<-type, name:type, ?name:type => type`.
    pub(super) fn parse(text: &str) -> Self {
        let (parameters, result) = text.split_once("=>").unwrap_or((text, "any"));
        let parameters = parameters.split(',').map(str::trim).filter(|p| !p.is_empty()).map(|part| {
            let pipe = part.contains("<-");
            let optional = part.starts_with('?');
            let (name, ty) = part.split_once(if pipe { "<-" } else { ":" }).unwrap_or((part, "any"));
            SignatureParameter {
                name: Arc::from(name.trim_start_matches('?').trim()),
                ty: Type::from_name(ty.trim()),
                required: !optional && !pipe,
                pipe,
            }
        });
        Self { parameters: parameters.collect(), result: Type::from_name(result.trim()), open: text == "*" }
    }
}
