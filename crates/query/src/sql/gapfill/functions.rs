//! The functions of a query that fills gaps. `date_bin_gapfill` computes what `date_bin` does; `interpolate` and `locf` are
//! taken out of the plan before it runs.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::functions::datetime::date_bin::DateBinFunc;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::GAPFILL;
use super::fill::Fill;

/// All of them.
pub(in super::super) fn all() -> Vec<Arc<ScalarUDF>> {
    let mut all = vec![Arc::new(ScalarUDF::from(Bin::default()))];
    all.extend(Fill::ALL.map(|fill| Arc::new(ScalarUDF::from(Filled::new(fill)))));
    all
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bin {
    inner: DateBinFunc,
    /// That of `date_bin`; never computed beforehand.
    signature: Signature,
}

impl Default for Bin {
    fn default() -> Self {
        let inner = DateBinFunc::new();
        let mut signature = inner.signature().clone();
        signature.volatility = Volatility::Volatile;
        Self { inner, signature }
    }
}

impl ScalarUDFImpl for Bin {
    fn name(&self) -> &'static str {
        GAPFILL
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Filled {
    fill: Fill,
    signature: Signature,
}

impl Filled {
    fn new(fill: Fill) -> Self {
        Self { fill, signature: Signature::any(1, Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Filled {
    fn name(&self) -> &str {
        self.fill.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.fill, types) {
            (Fill::Interpolate, [kind]) if !kind.is_numeric() => {
                plan_err!("interpolate takes numbers, not {kind}")
            }
            (_, [kind]) => Ok(kind.clone()),
            _ => plan_err!("{} takes one argument", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let kind = self.return_type(&types)?;
        Ok(Arc::new(arrow::datatypes::Field::new(self.name(), kind, true)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        plan_err!("{} is for aggregates in the SELECT list of a query that groups by {GAPFILL}", self.name())
    }
}
