//! `selector_first`, `selector_last`, `selector_min` and `selector_max` of InfluxDB 3: the row of a group that a rule
//! selects, as a struct of its `value` and `time`.
//!
//! NULLs are passed over. Of several rows that the rule would take, `first` and `last` take the greater value and `min`
//! and `max` the earlier time, so that an answer does not depend on the order of rows.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, StructArray, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimestampNanosecondType};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::columns::TIME;

/// Which row is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    First,
    Last,
    Min,
    Max,
}

impl Rule {
    pub(super) const ALL: [Self; 4] = [Self::First, Self::Last, Self::Min, Self::Max];

    const fn name(self) -> &'static str {
        match self {
            Self::First => "selector_first",
            Self::Last => "selector_last",
            Self::Min => "selector_min",
            Self::Max => "selector_max",
        }
    }

    /// The rule of a function.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Whether a row is taken instead of another, by how their values and their times compare.
    fn prefers(self, values: impl FnOnce() -> Ordering, times: impl FnOnce() -> Ordering) -> bool {
        let order = match self {
            Self::First => times().reverse().then_with(values),
            Self::Last => times().then_with(values),
            Self::Min => values().reverse().then_with(|| times().reverse()),
            Self::Max => values().then_with(|| times().reverse()),
        };
        order.is_gt()
    }
}

/// All of them.
pub(super) fn all() -> Vec<Arc<AggregateUDF>> {
    Rule::ALL.map(|rule| Arc::new(AggregateUDF::from(Selector::new(rule)))).to_vec()
}

/// The fields of the struct that a selector of values of a type answers.
pub(super) fn fields(value: &DataType) -> Fields {
    vec![Field::new("value", value.clone(), true), Field::new("time", TIME, true)].into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Selector {
    rule: Rule,
    signature: Signature,
}

impl Selector {
    fn new(rule: Rule) -> Self {
        Self { rule, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Selector {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [value, DataType::Timestamp(_, _)] => {
                let value = match value {
                    DataType::Dictionary(_, values) => values.as_ref().clone(),
                    DataType::Null => DataType::Float64,
                    other => other.clone(),
                };
                Ok(vec![value, TIME])
            }
            _ => plan_err!("{}(value, time) takes a column and its times", self.rule.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value, _] => Ok(DataType::Struct(fields(value))),
            _ => plan_err!("{}(value, time) takes two arguments", self.rule.name()),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return plan_err!("{} answers a struct", self.rule.name());
        };
        let [value, _time] = fields.as_ref() else { return plan_err!("a selector answers two fields") };
        let value = ScalarValue::try_from(value.data_type())?;
        let time = ScalarValue::try_from(&TIME)?;
        Ok(Box::new(Selected { rule: self.rule, fields: fields.clone(), value, time }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return plan_err!("{} answers a struct", self.rule.name());
        };
        let named = |field: &FieldRef| {
            Arc::new(field.as_ref().clone().with_name(format!("{}[{}]", args.name, field.name())))
        };
        Ok(fields.iter().map(named).collect())
    }
}

/// The row that was taken up to now; NULL where there was none.
#[derive(Debug)]
struct Selected {
    rule: Rule,
    fields: Fields,
    value: ScalarValue,
    time: ScalarValue,
}

impl Selected {
    /// The best row of some.
    fn best(&self, values: &ArrayRef, times: &ArrayRef) -> Result<Option<usize>> {
        let compare = make_comparator(values, values, SortOptions::default())?;
        let at = times.as_primitive::<TimestampNanosecondType>();
        let nulls = values.logical_nulls();
        let is_there = |row: &usize| nulls.as_ref().is_none_or(|n| n.is_valid(*row)) && at.is_valid(*row);
        let better = |best: usize, row: usize| {
            self.rule.prefers(|| compare(row, best), || at.value(row).cmp(&at.value(best)))
        };
        let rows = (0..values.len()).filter(is_there);
        Ok(rows.reduce(|best, row| if better(best, row) { row } else { best }))
    }

    fn take(&mut self, values: &ArrayRef, times: &ArrayRef) -> Result<()> {
        let Some(row) = self.best(values, times)? else { return Ok(()) };
        let value = ScalarValue::try_from_array(values, row)?;
        let time = ScalarValue::try_from_array(times, row)?;
        let order = |a: &ScalarValue, b: &ScalarValue| a.partial_cmp(b).unwrap_or(Ordering::Equal);
        let is_better = self.value.is_null()
            || self.rule.prefers(|| order(&value, &self.value), || order(&time, &self.time));
        if is_better {
            (self.value, self.time) = (value, time);
        }
        Ok(())
    }
}

impl Accumulator for Selected {
    fn update_batch(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        let [values, times] = arrays else { return plan_err!("a selector has two columns") };
        self.take(values, times)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), self.time.clone()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let arrays = vec![self.value.to_array()?, self.time.to_array()?];
        let one = StructArray::try_new(self.fields.clone(), arrays, None)?;
        Ok(ScalarValue::Struct(Arc::new(one)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() + self.time.size()
    }
}
