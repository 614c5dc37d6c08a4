//! The `dialect` of a query: read and judged as InfluxDB does.

use serde::Deserialize;

use crate::csv::{Annotation, Dialect};
use crate::error::ApiError;

/// The dialect as a client writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DialectBody {
    header: Option<bool>,
    delimiter: Option<String>,
    annotations: Option<Vec<String>>,
    comment_prefix: Option<String>,
    date_time_format: Option<String>,
}

impl DialectBody {
    /// The dialect, when it makes sense.
    pub(crate) fn check(self) -> Result<Dialect, ApiError> {
        let delimiter = self.delimiter.filter(|d| !d.is_empty()).unwrap_or_else(|| ",".to_owned());
        let mut characters = delimiter.chars();
        let delimiter = match (characters.next(), characters.next()) {
            (Some(c), None) if !matches!(c, '"' | '\r' | '\n' | '\u{fffd}') => c,
            _ => return Err(ApiError::invalid("invalid dialect delimeter: must be length 1")),
        };
        if self.comment_prefix.is_some_and(|prefix| prefix.chars().count() > 1) {
            return Err(ApiError::invalid("invalid dialect comment prefix: must be length 0 or 1"));
        }
        if let Some(format) = self.date_time_format.as_deref()
            && !matches!(format, "" | "RFC3339" | "RFC3339Nano")
        {
            return Err(ApiError::invalid(format!("unknown dialect date time format: {format}")));
        }
        let mut annotations = Vec::new();
        for name in self.annotations.unwrap_or_default() {
            let annotation = match name.as_str() {
                "datatype" => Annotation::Datatype,
                "group" => Annotation::Group,
                "default" => Annotation::Default,
                _ => return Err(ApiError::invalid(format!("unknown dialect annotation type: {name}"))),
            };
            if !annotations.contains(&annotation) {
                annotations.push(annotation);
            }
        }
        Ok(Dialect { header: self.header.unwrap_or(true), delimiter, annotations })
    }
}
