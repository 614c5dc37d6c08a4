//! Names of types: what messages call them, what signatures ask for.

/// A type, or a set of types that a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Not known, or anything.
    Any,
    Bool,
    Int,
    Uint,
    Float,
    String,
    Time,
    Duration,
    Regexp,
    Bytes,
    Array,
    Record,
    Dict,
    Function,
    Stream,
    Table,
    /// A time, or a duration relative to now.
    Timeable,
}

impl Type {
    /// Flux's name of the type.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Float => "float",
            Self::String => "string",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Regexp => "regexp",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Record => "record",
            Self::Dict => "dict",
            Self::Function => "function",
            Self::Stream => "stream",
            Self::Table => "table",
            Self::Timeable => "timeable",
        }
    }

    /// The type with a name in a signature.
    pub(crate) fn from_name(name: &str) -> Self {
        use Type::{Array, Bool, Bytes, Dict, Duration, Float, Function, Int, Record, Regexp, Stream};
        const ALL: [Type; 16] = [
            Bool,
            Int,
            Type::Uint,
            Float,
            Type::String,
            Type::Time,
            Duration,
            Regexp,
            Bytes,
            Array,
            Record,
            Dict,
            Function,
            Stream,
            Type::Table,
            Type::Timeable,
        ];
        ALL.into_iter().find(|t| t.name() == name).unwrap_or(Self::Any)
    }

    /// Whether a value of type `given` may stand where `self` is asked for.
    pub(crate) fn takes(self, given: Self) -> bool {
        self == Self::Any
            || given == Self::Any
            || self == given
            || (self == Self::Timeable && matches!(given, Self::Time | Self::Duration | Self::Int))
    }
}
