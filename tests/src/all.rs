//! The one integration-test binary: the house's own rules, and the product as its users meet it.

mod tidy;
