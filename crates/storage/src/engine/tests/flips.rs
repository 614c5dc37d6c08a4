//! A million flips: each bit of every kind of file that an engine writes, and bursts of several. Each is found, in the
//! file it is in, or proven to be without effect.

use std::path::Path;

use disk::Vfs as _;
use disk::vfs::sim::Random;
use model::FieldValue;

use super::support::{FIELDS, Point, World, key, position, random_value, write};
use super::verify::{files, looked};
use crate::{Inspection, Verified};

const FLIPS: u64 = 1_000_000;
const THREADS: u64 = 4;

/// A small directory: a flushed and a merged file, with a pack and a series alone, all types; segments and manifest.
fn small(seed: u64) -> World {
    let world = World::new();
    let engine = world.open();
    let mut chance = Random::new(seed);
    for index in 0..3 {
        let mut series = Vec::new();
        for host in 0..3_u64 {
            let rows = if host == 0 { 260 } else { 1 + chance.below(5) };
            let points: Vec<Point> = (0..rows)
                .map(|row| {
                    let (name, field_type) = FIELDS[usize::try_from((host + seed) % 6).unwrap()];
                    let mut fields = vec![(name, random_value(&mut chance, field_type))];
                    if host > 0 {
                        fields.push(("w", FieldValue::Integer(i64::try_from(row * seed).unwrap())));
                    }
                    (i64::try_from(index * 300 + row).unwrap(), fields)
                })
                .collect();
            series.push((key("m", &[("host", &format!("{host}-{seed}"))]), points));
        }
        engine.apply(position(index), &write(1, 10_000, &series)).unwrap();
        engine.flush_now().unwrap();
        if index == 1 {
            engine.compact_now().unwrap();
        }
    }
    drop(engine);
    // Opening removes the inputs of the merge.
    drop(world.open());
    world
}

/// Whether damage of a file is found, or cannot have an effect.
fn is_noticed(world: &World, path: &Path, sound: &Verified) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    if path.extension().is_some_and(|e| e == "tsm") {
        // Without the manifest's checksum of the whole: each part must be known by its own.
        let mut found = false;
        return match Inspection::open(&world.vfs, path) {
            Err(_) => true,
            Ok(file) => file.verify(|_, _| found = true).is_err() || found,
        };
    }
    let (verified, findings) = looked(world);
    let same = Verified { leftovers: 0, ..verified } == Verified { leftovers: 0, ..*sound };
    if name.starts_with("MANIFEST") {
        // The state is the same, and the frame that seems torn is known.
        !findings.is_empty() || same && verified.leftovers > sound.leftovers
    } else {
        findings.iter().any(|finding| finding.path == path)
    }
}

fn flip(world: &World, path: &Path, flips: &[(u64, u8)]) {
    for (offset, mask) in flips {
        world.vfs.corrupt(path, *offset, *mask).unwrap();
    }
}

/// Flips until the budget is spent; returns how many of which files.
fn run(seed: u64, budget: u64) -> [u64; 3] {
    let mut chance = Random::new(seed);
    let mut done = [0; 3];
    for round in 0.. {
        let world = small(seed + round * THREADS);
        let (sound, findings) = looked(&world);
        assert!(findings.is_empty(), "{findings:?}");
        for path in files(&world, &World::dir()) {
            let len = world.vfs.open_read(&path).unwrap().len().unwrap();
            let kind = match path.extension().and_then(|e| e.to_str()) {
                Some("tsm") => 0,
                Some("idx") => 1,
                _ => 2,
            };
            let bits = (0..len).flat_map(|at| (0..8).map(move |bit| (at, 1_u8 << bit)));
            for single in bits {
                let mut flips = vec![single];
                if chance.one_in(4) {
                    // A burst within a few bytes, whose masks do not undo one another.
                    let more = chance.below(3);
                    flips.extend(
                        (1..=more).map(|i| (single.0 + i, u8::try_from(1 + chance.below(255)).unwrap())),
                    );
                    flips.retain(|(at, _)| *at < len);
                }
                flip(&world, &path, &flips);
                assert!(is_noticed(&world, &path, &sound), "{} {flips:?}, seed {seed}", path.display());
                flip(&world, &path, &flips);
                done[kind] += flips.len() as u64;
            }
            if done.iter().sum::<u64>() >= budget {
                return done;
            }
        }
    }
    done
}

#[test]
fn a_million_flips_are_found_or_have_no_effect() {
    let totals = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|seed| scope.spawn(move || run(seed, FLIPS / THREADS))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let by_kind: Vec<u64> = (0..3).map(|kind| totals.iter().map(|t| t[kind]).sum()).collect();
    println!("TSM files, segments, manifests: {by_kind:?}");
    assert!(by_kind.iter().sum::<u64>() >= FLIPS && by_kind.iter().all(|n| *n > 100), "{by_kind:?}");
}
