//! Scripts against a small in-memory bucket; expected tables follow from Flux's documentation of each function.

mod errors;
mod functions;
mod harness;
mod hostile;
mod language;
mod pipeline;
mod random;
mod windows;

use crate::test_source::{Memory, output};

/// Two hosts with two fields; one of them also in another measurement.
pub(crate) const CPU: &str = "
    cpu,host=a usage=1,idle=9i 0
    cpu,host=a usage=2,idle=8i 10
    cpu,host=a usage=3,idle=7i 20
    cpu,host=a usage=4 30
    cpu,host=b usage=10,idle=1i 5
    cpu,host=b usage=20,idle=2i 25
    mem used=5u 0
    mem used=6u 30
";

pub(crate) fn check(script: &str, expected: &expect_test::Expect) {
    expected.assert_eq(&output(&Memory::of(CPU), script));
}
