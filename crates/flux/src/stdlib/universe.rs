//! The universe: what every script sees without an import.

mod aggregates;
mod columns;
mod groups;
mod histograms;
mod inputs;
mod pick;
mod pivot;
pub(super) mod rows;
mod selectors;
mod sequence;
mod states;
mod values;
mod windows;

pub(super) use groups::extended;
pub(super) use pivot::pivoted;
pub(super) use rows::split_by;

use super::{Builtin, Functions};
use crate::error::FluxError;
use crate::value::{Duration, Record, Value};

/// The functions of `influxdata/influxdb`: those of the universe that read stored data.
pub(super) fn influxdb() -> &'static [Builtin] {
    &inputs::STORED
}

/// The functions of the universe, part by part.
fn parts() -> [&'static [Builtin]; 14] {
    [
        &aggregates::FUNCTIONS,
        &columns::FUNCTIONS,
        &groups::FUNCTIONS,
        &histograms::FUNCTIONS,
        &inputs::FUNCTIONS,
        &inputs::STORED,
        &pick::FUNCTIONS,
        &pivot::FUNCTIONS,
        &rows::FUNCTIONS,
        &selectors::FUNCTIONS,
        &sequence::FUNCTIONS,
        &states::FUNCTIONS,
        &values::FUNCTIONS,
        &windows::FUNCTIONS,
    ]
}

macro_rules! not_yet {
    ($($name:ident)*) => {
        /// Functions of Flux that are not here yet: naming them is allowed, calling them says so.
        static NOT_YET: Functions = Functions::new(|| vec![$(Builtin::new(
            stringify!($name),
            "*",
            |_, _| Err(FluxError::NotImplemented(stringify!($name).to_owned())),
        )),*
]);
    };
}

not_yet! {
    chandeMomentumOscillator cov doubleEMA exponentialMovingAverage highestAverage highestCurrent highestMax
    holtWinters integral kaufmansAMA kaufmansER keyValues lowestAverage lowestCurrent lowestMin pearsonr
    relativeStrengthIndex sample timeWeightedAvg timedMovingAverage to tripleEMA tripleExponentialDerivative
    wideTo
}

/// A value of the universe.
pub(super) fn lookup(name: &str) -> Option<Value> {
    match name {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        "inf" => return Some(Value::Duration(Duration::INFINITE)),
        "location" => {
            let zone = ("zone", Value::string("UTC"));
            return Some(Record::of([zone, ("offset", Value::Duration(Duration::ZERO))]));
        }
        _ => {}
    }
    let found = parts().into_iter().find_map(|functions| super::find(functions, name));
    found.or_else(|| super::find(&NOT_YET, name))
}
