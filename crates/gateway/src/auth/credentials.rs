//! Reads credentials from headers and URL, in InfluxDB's order. Nothing here judges them.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, header};

use crate::params::Params;

/// Some clients leave the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "influxdb-oss-session";

/// What a request brings along.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    None,
    Token(String),
    Password { user: String, password: String },
    Session(String),
}

impl Credentials {
    /// Of a request to `/api/v2`.
    pub(crate) fn v2(headers: &HeaderMap) -> Self {
        match scheme(headers) {
            Some((scheme, rest)) if is(scheme, "token") || is(scheme, "bearer") => Self::token(rest),
            _ => session(headers).map_or(Self::None, Self::Session),
        }
    }

    /// Of a request to the 1.x routes: `u` and `p`, `Token t`, `Token user:password`, Basic.
    pub(crate) fn v1(headers: &HeaderMap, params: &Params) -> Self {
        if let (Some(user), Some(password)) = (params.get("u"), params.get("p")) {
            return Self::Password { user: user.to_owned(), password: password.to_owned() };
        }
        match scheme(headers) {
            Some((scheme, rest)) if is(scheme, "token") => match rest.split_once(':') {
                Some((user, password)) => {
                    Self::Password { user: user.to_owned(), password: password.to_owned() }
                }
                None => Self::token(rest),
            },
            Some((scheme, rest)) if is(scheme, "bearer") => Self::token(rest),
            _ => Self::basic(headers),
        }
    }

    /// Of Basic authorization only.
    pub(crate) fn basic(headers: &HeaderMap) -> Self {
        let decoded = scheme(headers)
            .filter(|(scheme, _)| is(scheme, "basic"))
            .and_then(|(_, rest)| LENIENT.decode(rest).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            Some((user, password)) => Self::Password { user: user.to_owned(), password: password.to_owned() },
            None => Self::None,
        }
    }

    fn token(text: &str) -> Self {
        if text.is_empty() { Self::None } else { Self::Token(text.to_owned()) }
    }
}

fn is(scheme: &str, name: &str) -> bool {
    scheme.eq_ignore_ascii_case(name)
}

fn scheme(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = value.split_once(' ')?;
    Some((scheme, rest.trim()))
}

/// The key of the session cookie.
pub(crate) fn session(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == SESSION_COOKIE && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests;
