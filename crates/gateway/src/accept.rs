//! What a client takes, as its `Accept` headers list it, in the order of the list.

use http::{HeaderMap, HeaderName, header};

/// The items of all headers of a name.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(','))
}

/// The media types, without their parameters.
pub(crate) fn media_types(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    listed(headers, &header::ACCEPT).map(|item| item.split(';').next().unwrap_or_default().trim())
}

/// Whether it takes gzip.
pub(crate) fn gzip(headers: &HeaderMap) -> bool {
    listed(headers, &header::ACCEPT_ENCODING).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        matches!(name.trim(), "gzip" | "x-gzip" | "*") && !refused
    })
}
