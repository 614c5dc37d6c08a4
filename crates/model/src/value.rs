//! Field types and single field values.

use std::fmt;

/// The type of a field, fixed per bucket, measurement and field name by the first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldType {
    /// IEEE 754 double.
    Float,
    /// Signed 64-bit integer.
    Integer,
    /// Unsigned 64-bit integer.
    Unsigned,
    /// UTF-8 text.
    String,
    /// true or false.
    Boolean,
}

impl FieldType {
    /// InfluxDB's word for the type, as in partial-write errors and SHOW FIELD KEYS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
        }
    }

    /// The number of the type in stored formats.
    pub const fn code(self) -> u8 {
        match self {
            Self::Float => 1,
            Self::Integer => 2,
            Self::Unsigned => 3,
            Self::String => 4,
            Self::Boolean => 5,
        }
    }

    /// The type with a number; `None` when there is none.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Float),
            2 => Some(Self::Integer),
            3 => Some(Self::Unsigned),
            4 => Some(Self::String),
            5 => Some(Self::Boolean),
            _ => None,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// See [`FieldType::Float`].
    Float(f64),
    /// See [`FieldType::Integer`].
    Integer(i64),
    /// See [`FieldType::Unsigned`].
    Unsigned(u64),
    /// See [`FieldType::String`].
    String(String),
    /// See [`FieldType::Boolean`].
    Boolean(bool),
}

impl FieldValue {
    /// The type of the value.
    pub const fn field_type(&self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::String(_) => FieldType::String,
            Self::Boolean(_) => FieldType::Boolean,
        }
    }
}
