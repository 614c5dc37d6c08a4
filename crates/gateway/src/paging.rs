//! Paging of lists: `limit` (20, at most 100), `offset`, `after`, `descending`.

use crate::error::ApiError;
use crate::params::Params;

const LIMIT: usize = 20;
const LIMIT_MAX: usize = 100;

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Page {
    limit: usize,
    offset: usize,
    after: Option<u64>,
}

impl Page {
    pub(crate) fn of(params: &Params) -> Result<Self, ApiError> {
        let number = |name: &str| match params.get(name) {
            Some(text) => text
                .parse::<usize>()
                .map(Some)
                .map_err(|_digits| ApiError::invalid(format!("{name} is invalid: {text:?}"))),
            None => Ok(None),
        };
        let limit = number("limit")?.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(ApiError::invalid(format!("limit must be between 1 and {LIMIT_MAX}")));
        }
        let after = match params.get("after") {
            Some(text) => Some(
                u64::from_str_radix(text, 16)
                    .map_err(|_digits| ApiError::invalid(format!("after is not an id: {text:?}")))?,
            ),
            None => None,
        };
        Ok(Self { limit, offset: number("offset")?.unwrap_or(0), after })
    }

    /// The part of a list that is sorted by id.
    pub(crate) fn cut<'a, T>(&self, all: &'a [T], id: impl Fn(&T) -> u64) -> impl Iterator<Item = &'a T> {
        let after = self.after;
        all.iter().filter(move |item| after.is_none_or(|a| id(item) > a)).skip(self.offset).take(self.limit)
    }

    /// The `links` of a list at `path`; `filters` are repeated in them.
    pub(crate) fn links(&self, path: &str, filters: &Params, shown: usize) -> serde_json::Value {
        let link = |offset: usize| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("descending", "false");
            query.append_pair("limit", &self.limit.to_string());
            query.append_pair("offset", &offset.to_string());
            for name in ["org", "orgID", "name", "id"] {
                if let Some(value) = filters.get(name) {
                    query.append_pair(name, value);
                }
            }
            format!("{path}?{}", query.finish())
        };
        let mut links = serde_json::json!({ "self": link(self.offset) });
        if shown == self.limit {
            links["next"] = link(self.offset + self.limit).into();
        }
        if self.offset > 0 {
            links["prev"] = link(self.offset.saturating_sub(self.limit)).into();
        }
        links
    }
}
