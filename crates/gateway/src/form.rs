//! `multipart/form-data` bodies as parameters, as `curl -F` sends them. The body has been read whole, within its limit.

use std::convert::Infallible;

use bytes::Bytes;

use crate::error::ApiError;
use crate::params::Params;

/// Adds the fields of a form to the parameters of the URL, which win, as in Go's `Request.FormValue`. A file counts
/// only as the query (`q`), and only when no parameter is.
pub(crate) async fn read(
    content_type: &str,
    body: Bytes,
    params: &mut Params,
    params_max: usize,
) -> Result<(), ApiError> {
    let wrong = |error: multer::Error| ApiError::invalid(format!("error parsing multipart form: {error}"));
    let boundary = multer::parse_boundary(content_type).map_err(wrong)?;
    let body = futures::stream::once(async { Ok::<_, Infallible>(body) });
    let mut form = multer::Multipart::new(body, boundary);
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(wrong)? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let bytes = field.bytes().await.map_err(wrong)?;
        let text = String::from_utf8(bytes.into())
            .map_err(|error| ApiError::invalid(format!("the form field {name:?} is not UTF-8: {error}")))?;
        match is_file {
            true if name == "q" => file = file.or(Some(text)),
            true => {}
            false => params.append(name, text, params_max)?,
        }
    }
    match file {
        Some(text) if params.get("q").is_none() => params.append("q".to_owned(), text, params_max),
        _ => Ok(()),
    }
}
