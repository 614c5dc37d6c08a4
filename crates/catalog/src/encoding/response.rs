//! Answers, as one node passes them on to another.

use super::messages::{self as m, Answer};
use super::{DecodeError, convert, open, seal};
use crate::command::{CatalogError, ErrorCode, FieldOutcome, Response};

impl Response {
    /// The bytes of the answer for another node.
    pub fn encode(&self) -> Vec<u8> {
        let answer = match self {
            Self::Done => Answer::Done(m::Nothing {}),
            Self::Fields(outcomes) => {
                Answer::Fields(m::Fields { outcomes: outcomes.iter().map(outcome).collect() })
            }
            Self::Refused(error) => {
                Answer::Refused(m::Refused { code: code(error.code), message: error.message.clone() })
            }
        };
        seal(&m::Response { answer: Some(answer) })
    }

    /// Reads what [`Response::encode`] wrote. Any bytes give an answer or an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: m::Response = open("response", bytes)?;
        Ok(match message.answer.ok_or(DecodeError::Missing("answer"))? {
            Answer::Done(m::Nothing {}) => Self::Done,
            Answer::Fields(fields) => {
                Self::Fields(fields.outcomes.into_iter().map(read_outcome).collect::<Result<_, _>>()?)
            }
            Answer::Refused(refused) => {
                Self::Refused(CatalogError { code: read_code(refused.code)?, message: refused.message })
            }
        })
    }
}

fn outcome(outcome: &FieldOutcome) -> m::FieldOutcome {
    let (kind, field_type) = match outcome {
        FieldOutcome::Has(field_type) => (1, field_type.code().into()),
        FieldOutcome::NoBucket => (2, 0),
        FieldOutcome::LimitReached => (3, 0),
    };
    m::FieldOutcome { kind, field_type }
}

fn read_outcome(outcome: m::FieldOutcome) -> Result<FieldOutcome, DecodeError> {
    match outcome.kind {
        1 => Ok(FieldOutcome::Has(convert::field_type(outcome.field_type)?)),
        2 => Ok(FieldOutcome::NoBucket),
        3 => Ok(FieldOutcome::LimitReached),
        _ => Err(DecodeError::Impossible("outcome of a field")),
    }
}

const fn code(code: ErrorCode) -> u32 {
    match code {
        ErrorCode::Conflict => 1,
        ErrorCode::NotFound => 2,
        ErrorCode::Invalid => 3,
        ErrorCode::Forbidden => 4,
        ErrorCode::UnprocessableEntity => 5,
    }
}

const fn read_code(code: u32) -> Result<ErrorCode, DecodeError> {
    match code {
        1 => Ok(ErrorCode::Conflict),
        2 => Ok(ErrorCode::NotFound),
        3 => Ok(ErrorCode::Invalid),
        4 => Ok(ErrorCode::Forbidden),
        5 => Ok(ErrorCode::UnprocessableEntity),
        _ => Err(DecodeError::Impossible("class of a refusal")),
    }
}
