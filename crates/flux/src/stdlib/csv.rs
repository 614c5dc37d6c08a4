//! Package csv.

use super::{Builtin, Functions};

pub(super) static FUNCTIONS: Functions = Functions::new(|| vec![
]);
