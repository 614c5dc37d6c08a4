//! URL and form parameters, in order, bounded in number.

use crate::error::ApiError;

/// Parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query part of a URL.
    pub(crate) fn of_uri(uri: &http::Uri, max: usize) -> Result<Self, ApiError> {
        let mut params = Self::default();
        params.extend(uri.query().unwrap_or_default().as_bytes(), max)?;
        Ok(params)
    }

    /// Puts the parameters of a urlencoded form before those of the URL: they win, as in Go's `Request.Form`.
    pub(crate) fn prepend(&mut self, form: &[u8], max: usize) -> Result<(), ApiError> {
        let url = std::mem::take(&mut self.0);
        self.extend(form, max)?;
        if self.0.len() + url.len() > max {
            return Err(too_many(max));
        }
        self.0.extend(url);
        Ok(())
    }

    /// Adds one parameter behind the others.
    pub(crate) fn append(&mut self, name: String, value: String, max: usize) -> Result<(), ApiError> {
        if self.0.len() >= max {
            return Err(too_many(max));
        }
        self.0.push((name, value));
        Ok(())
    }

    fn extend(&mut self, form: &[u8], max: usize) -> Result<(), ApiError> {
        for (name, value) in form_urlencoded::parse(form) {
            self.append(name.into_owned(), value.into_owned(), max)?;
        }
        Ok(())
    }

    /// The value of a parameter; `None` when it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// All values of a parameter that are not empty.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// Whether a flag is set, as Go's ParseBool reads it.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
    }
}

fn too_many(max: usize) -> ApiError {
    ApiError::invalid(format!("more than {max} parameters (params-max)"))
}
