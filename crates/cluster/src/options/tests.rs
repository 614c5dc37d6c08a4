//! The number of partitions that a new cluster gets.

use super::*;

#[test]
fn partitions_follow_the_number_of_processes() {
    let table = [(1, 16), (2, 16), (3, 32), (4, 32), (5, 32), (8, 64), (16, 128), (30, 256), (100, 256)];
    for (processes, partitions) in table {
        assert_eq!(default_partitions(processes), partitions, "{processes} processes");
        assert!(default_partitions(processes).is_power_of_two());
    }
}
