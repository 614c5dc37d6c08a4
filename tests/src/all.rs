//! The one integration-test binary: the house's own rules, and the product as its users meet it, from outside.

mod aggregates;
mod bad_input;
mod cluster;
mod cluster_growth;
mod cluster_moves;
mod cluster_reads;
mod command_line;
mod configuration;
mod corpus;
mod damage;
mod deletes;
mod disk_faults;
mod docs;
mod doctor;
mod durability;
mod failpoints;
mod first_minutes;
mod gateways;
mod manifests;
mod memory;
mod monitoring;
mod official_clients;
mod recover;
mod tidy;
mod traces;
mod upgrade;
