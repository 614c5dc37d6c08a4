//! The one integration-test binary: the house's own rules, and the product as its users meet it, from outside.

mod bad_input;
mod cluster;
mod cluster_moves;
mod cluster_reads;
mod command_line;
mod configuration;
mod corpus;
mod damage;
mod deletes;
mod disk_faults;
mod durability;
mod first_minutes;
mod memory;
mod official_clients;
mod tidy;
