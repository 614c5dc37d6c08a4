//! influxql
