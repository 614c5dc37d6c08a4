//! Why a line is refused, in InfluxDB's words where it has some.

use crate::time::Timestamp;

/// Sorts of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineErrorKind {
    /// The text is not line protocol.
    Syntax,
    /// A tag key is reserved: 2.x refuses the line as it does a syntax error, 1.x drops the point.
    ReservedTagKey,
    /// The text is line protocol, but InfluxDB would parse the point and then drop it, answering
    /// `partial write: <reason> dropped=1`: a point whose only field is named `time`.
    Dropped,
    /// One of our own limits.
    Limit,
    /// The line is good, but the request as a whole holds more than one batch can: to be sent in parts.
    RequestTooLarge,
    /// Bytes that are not UTF-8.
    NotUtf8,
}

/// Why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("missing measurement")]
    MissingMeasurement,
    #[error("missing tag key")]
    MissingTagKey,
    #[error("missing tag value")]
    MissingTagValue,
    #[error("invalid tag format")]
    InvalidTagFormat,
    #[error("cannot use reserved tag key \"{0}\"")]
    ReservedTagKey(&'static str),
    #[error("duplicate tags")]
    DuplicateTags,
    #[error("missing fields")]
    MissingFields,
    #[error("missing field key")]
    MissingFieldKey,
    #[error("missing field value")]
    MissingFieldValue,
    #[error("invalid field format")]
    InvalidFieldFormat,
    #[error("unbalanced quotes")]
    UnbalancedQuotes,
    #[error("invalid number")]
    InvalidNumber,
    #[error("invalid float")]
    InvalidFloat,
    #[error("invalid boolean")]
    InvalidBoolean,
    #[error("unable to parse integer {0}: strconv.ParseInt: parsing \"{0}\": value out of range")]
    IntegerRange(Box<str>),
    #[error("unable to parse unsigned {0}: strconv.ParseUint: parsing \"{0}\": value out of range")]
    UnsignedRange(Box<str>),
    #[error("bad timestamp")]
    BadTimestamp,
    #[error("strconv.ParseInt: parsing \"-\": invalid syntax")]
    TimestampOnlySign,
    #[error("strconv.ParseInt: parsing \"{0}\": value out of range")]
    TimestampDigits(Box<str>),
    #[error("time outside range {} - {}", Timestamp::MIN.0, Timestamp::MAX.0)]
    TimeOutOfRange,
    #[error("point is invalid")]
    PointInvalid,
    #[error("max key length exceeded: {0} > 65535")]
    KeyTooLong(usize),
    #[error("invalid field name: input field \"time\" on measurement \"{0}\" is invalid")]
    OnlyTime(Box<str>),
    #[error("input field \"{}\" on measurement \"{}\" is too long, {} > {}", .0.field, .0.measurement, .0.bytes, .0.bytes_max)]
    StringTooLong(Box<StringTooLong>),
    #[error("too many tags: {0} > {max}", max = super::TAGS_MAX)]
    TooManyTags(usize),
    #[error("too many fields: more than {max} in one point", max = super::FIELDS_MAX)]
    TooManyFields,
    #[error("line too long: {0} > {1} bytes")]
    LineTooLong(usize, usize),
    #[error("more points times fields than one request may hold: send fewer points at once")]
    TooManyCells,
    #[error("request too long: {0} bytes")]
    BodyTooLong(usize),
    #[error("invalid UTF-8 at byte {0} of the line")]
    NotUtf8(usize),
}

/// The parts of [`Reason::StringTooLong`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StringTooLong {
    pub(super) field: Box<str>,
    pub(super) measurement: Box<str>,
    pub(super) bytes: usize,
    pub(super) bytes_max: usize,
}

impl Reason {
    pub(super) const fn kind(&self) -> LineErrorKind {
        match self {
            Self::ReservedTagKey(_) => LineErrorKind::ReservedTagKey,
            Self::OnlyTime(_) => LineErrorKind::Dropped,
            Self::StringTooLong(_)
            | Self::TooManyTags(_)
            | Self::TooManyFields
            | Self::LineTooLong(..)
            | Self::KeyTooLong(_) => LineErrorKind::Limit,
            Self::TooManyCells | Self::BodyTooLong(_) => LineErrorKind::RequestTooLarge,
            Self::NotUtf8(_) => LineErrorKind::NotUtf8,
            _ => LineErrorKind::Syntax,
        }
    }
}
