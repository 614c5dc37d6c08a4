//! A look at a directory finds nothing in a sound one, and every flipped byte in every kind of file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use disk::Vfs as _;
use disk::vfs::sim::Random;
use model::FieldValue;

use super::support::{FIELDS, Point, World, bucket, key, position, random_value, write};
use crate::{Finding, Problem, Verified, verify};

/// Files with packs and series alone, of several shards and buckets, flushed and merged, and index segments.
pub(super) fn written() -> World {
    let world = World::new();
    let engine = world.open();
    let mut chance = Random::new(5);
    for index in 0..5 {
        let mut series = Vec::new();
        for host in 0..8_i64 {
            let rows = if host < 1 { 1100 } else { 3 };
            let points: Vec<Point> = (0..rows)
                .map(|row| {
                    let mut fields: Vec<(&'static str, FieldValue)> = Vec::new();
                    for (name, field_type) in FIELDS {
                        if !chance.one_in(4) {
                            fields.push((name, random_value(&mut chance, field_type)));
                        }
                    }
                    if fields.is_empty() {
                        fields.push(("v", FieldValue::Integer(row)));
                    }
                    (i64::from(u32::try_from(index).unwrap()) * 700 + row, fields)
                })
                .collect();
            let host = format!("host-{}", host + i64::from(u32::try_from(index).unwrap()));
            series.push((key("cpu", &[("host", &host), ("zone", "a")]), points));
        }
        engine.apply(position(index), &write(1 + index % 2, 2000, &series)).unwrap();
        engine.flush_now().unwrap();
        if index == 3 {
            engine.compact_now().unwrap();
        }
    }
    drop(engine);
    // The first tick removes the inputs of the merge.
    world.open().tick();
    world
}

pub(super) fn looked(world: &World) -> (Verified, Vec<Finding>) {
    let mut findings = Vec::new();
    let (verified, _) = verify(&world.vfs, &World::dir(), &mut |finding| findings.push(finding));
    (verified, findings)
}

/// All files below a directory.
pub(super) fn files(world: &World, dir: &Path) -> Vec<PathBuf> {
    let names = world.vfs.list(dir).unwrap();
    let paths = names.into_iter().map(|name| dir.join(name));
    paths
        .flat_map(|path| match world.vfs.open_read(&path) {
            Ok(_) => vec![path],
            Err(_is_a_directory) => files(world, &path),
        })
        .collect()
}

#[test]
fn a_sound_directory_has_no_findings() {
    let world = written();
    let (verified, findings) = looked(&world);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(verified.files > 3 && verified.segments > 1 && verified.pages > 100, "{verified:?}");
    assert_eq!(verified.leftovers, 0);
}

#[test]
fn every_flipped_byte_is_found_in_its_file() {
    let world = written();
    let (sound, _) = looked(&world);
    let mut kinds = BTreeSet::new();
    for path in files(&world, &World::dir()) {
        let len = world.vfs.open_read(&path).unwrap().len().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let kind = match path.extension() {
            Some(extension) => extension.to_str().unwrap(),
            None => name.split('-').next().unwrap(),
        };
        kinds.insert(kind.to_owned());
        // Each look reads the whole directory, so the flips are spread over long files.
        for offset in (0..len).step_by(usize::try_from(len / 80 + 1).unwrap()) {
            let mask = 1 << (offset % 8);
            world.vfs.corrupt(&path, offset, mask).unwrap();
            let (verified, findings) = looked(&world);
            let found = findings.iter().any(|finding| finding.path == path);
            // The end of a manifest may as well be an append that a crash tore.
            let is_torn = name.starts_with("MANIFEST") && verified.leftovers > sound.leftovers;
            assert!(found || is_torn, "{name} at {offset}: {findings:?}");
            world.vfs.corrupt(&path, offset, mask).unwrap();
        }
    }
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), ["MANIFEST", "idx", "tsm"]);
    assert_eq!(looked(&world).0, sound);
}

#[test]
fn files_that_are_missing_cut_or_left_over_are_told() {
    let world = written();
    let tsm = |path: &PathBuf| path.extension().is_some_and(|e| e == "tsm");
    let path = files(&world, &World::dir()).into_iter().find(tsm).unwrap();
    let file = world.vfs.open(&path).unwrap();
    let len = file.len().unwrap();
    file.set_len(len - 1).unwrap();
    let (_, findings) = looked(&world);
    let [Finding { problem: Problem::WrongFile { expected, found: Some(found) }, .. }] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!((*expected, *found), (len, len - 1));
    world.vfs.rename(&path, &path.with_extension("old")).unwrap();
    let (verified, findings) = looked(&world);
    assert!(matches!(&findings[..], [Finding { problem: Problem::WrongFile { found: None, .. }, .. }]));
    assert_eq!(verified.leftovers, 1, "the file under its other name");
    world.vfs.remove_file(&World::dir().join("MANIFEST-00000001")).unwrap();
    let (_, findings) = looked(&world);
    assert!(matches!(&findings[..], [Finding { problem: Problem::ManifestMissing, .. }]));
}

#[test]
fn a_look_tells_what_log_and_catalog_can_be_compared_with() {
    let world = written();
    let contents = |world: &World| verify(&world.vfs, &World::dir(), &mut |_| ()).1.unwrap();
    let found = contents(&world);
    assert_eq!(found.durable, Some(position(4)));
    assert_eq!(found.buckets, [1, 2].map(bucket).into());
    for bucket in &found.buckets {
        for (name, field_type) in FIELDS {
            let (found, path) = &found.fields[&(*bucket, "cpu".to_owned(), name.to_owned())];
            assert!(*found == field_type && world.vfs.exists(path).unwrap());
        }
    }
    // What a delete may have left nothing of says nothing about types.
    let engine = world.open();
    let (range, predicate) = (model::TimeRange::ALL, model::Predicate::Constant(true));
    let deletion = model::Deletion { bucket: bucket(1), range, predicate };
    engine.apply(position(5), &model::PartitionOp::Delete(deletion)).unwrap();
    engine.flush_now().unwrap();
    drop(engine);
    let found = contents(&world);
    assert!(found.buckets.contains(&bucket(1)) && found.fields.keys().all(|(id, ..)| *id == bucket(2)));
}
