//! The scrub finds what was damaged at rest, says where, and leaves the rest to be served.

use std::path::PathBuf;

use disk::Vfs as _;

use super::oracle::{collect, scanned};
use super::support::{World, integers, key, position, scan_all, write};
use crate::{Engine, Options, ReadError};

const HOSTS: i64 = 4;

fn filled() -> (World, Engine) {
    let mut world = World::new();
    world.options = Options {
        scrub_interval_ms: 3_600_000,
        scrub_bytes_per_second: 4_000,
        // Files stay as they are.
        compaction_files_min: 100,
        cold_after_ms: u64::MAX / 2,
        ..world.options.clone()
    };
    let engine = world.open();
    for index in 0..3 {
        let series: Vec<_> = (0..HOSTS)
            .map(|host| {
                let host = format!("host-{host}");
                let from = i64::try_from(index).unwrap() * 2000;
                (key("cpu", &[("host", &host)]), integers(from..from + 2000, |t| t * 7 % 1000))
            })
            .collect();
        engine.apply(position(index), &write(1, 2000, &series)).unwrap();
        engine.flush_now().unwrap();
    }
    (world, engine)
}

/// Seconds until a pass is over.
fn pass(world: &World, engine: &Engine) -> u64 {
    let before = engine.stats().scrubs;
    for second in 0..10_000 {
        engine.tick();
        world.jobs.run_all();
        if engine.stats().scrubs > before {
            return second;
        }
        world.clock.advance_ms(1000);
    }
    panic!("the scrub does not end: {:?}", engine.stats());
}

fn tsm_files(world: &World) -> Vec<PathBuf> {
    let mut dirs = vec![World::dir()];
    let mut found = Vec::new();
    while let Some(dir) = dirs.pop() {
        for name in world.vfs.list(&dir).unwrap() {
            let path = dir.join(name);
            match path.extension().and_then(|e| e.to_str()) {
                Some("tsm" | "idx") => found.push(path),
                _ if world.vfs.list(&path).is_ok() => dirs.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_pass_reads_everything_at_its_pace_and_waits_for_the_next() {
    let (world, engine) = filled();
    let seconds = pass(&world, &engine);
    let stats = engine.stats();
    let bytes: u64 = tsm_files(&world).iter().map(|p| world.vfs.open_read(p).unwrap().len().unwrap()).sum();
    assert_eq!(stats.scrub_bytes, bytes, "every file once");
    assert!(seconds >= stats.scrub_bytes / 4_000, "{seconds} s for {} bytes", stats.scrub_bytes);
    assert_eq!((stats.damaged, engine.damage().len()), (0, 0));
    for _ in 0..3599 {
        world.clock.advance_ms(1000);
        engine.tick();
        world.jobs.run_all();
        assert_eq!(engine.stats().scrub_bytes, bytes, "nothing until the interval is over");
    }
    pass(&world, &engine);
    assert_eq!(engine.stats().scrub_bytes, 2 * bytes);
}

#[test]
fn damage_at_rest_is_found_named_and_does_not_stop_what_is_sound() {
    let (world, engine) = filled();
    let path = tsm_files(&world).into_iter().find(|p| p.extension().is_some_and(|e| e == "tsm")).unwrap();
    world.vfs.corrupt(&path, 40, 0x10).unwrap();
    pass(&world, &engine);
    let damage = engine.damage();
    let [ReadError::Damaged { path: at, offset, .. }] = &damage[..] else { panic!("{damage:?}") };
    assert_eq!((at, engine.stats().damaged), (&path, 1));
    assert!(*offset <= 40 && *offset >= 8, "{offset}");

    let error = engine.scan(&scan_all(1)).and_then(collect).unwrap_err();
    assert_eq!(error.to_string(), damage[0].to_string(), "a query that needs the page names it");
    let mut later = scan_all(1);
    later.range.start.0 = 2000;
    assert_eq!(scanned(&engine, &later).len(), usize::try_from(HOSTS * 4000).unwrap(), "the rest is served");

    // What is as it was written again is no damage any more.
    world.vfs.corrupt(&path, 40, 0x10).unwrap();
    pass_after_interval(&world, &engine);
    assert!(engine.damage().is_empty());
    assert_eq!(scanned(&engine, &scan_all(1)).len(), usize::try_from(HOSTS * 6000).unwrap());
}

fn pass_after_interval(world: &World, engine: &Engine) {
    world.clock.advance_ms(3_600_000);
    pass(world, engine);
}

#[test]
fn a_query_that_meets_damage_tells_the_engine() {
    let (world, engine) = filled();
    let path = tsm_files(&world).into_iter().find(|p| p.extension().is_some_and(|e| e == "tsm")).unwrap();
    world.vfs.corrupt(&path, 40, 0x10).unwrap();
    assert!(engine.damage().is_empty());
    engine.scan(&scan_all(1)).and_then(collect).unwrap_err();
    engine.scan(&scan_all(1)).and_then(collect).unwrap_err();
    assert_eq!(engine.damage().len(), 1);
}

#[test]
fn a_damaged_index_segment_is_told_and_written_anew() {
    let (world, engine) = filled();
    let path = tsm_files(&world).into_iter().find(|p| p.extension().is_some_and(|e| e == "idx")).unwrap();
    world.vfs.corrupt(&path, 20, 1).unwrap();
    // Without room for another the damage stays, and is told.
    world.vfs.set_free_bytes(0);
    pass(&world, &engine);
    let damage = engine.damage();
    let [ReadError::Damaged { path: at, .. }] = &damage[..] else { panic!("{damage:?}") };
    assert_eq!((at, engine.stats().damaged), (&path, 1));
    assert_eq!(scanned(&engine, &scan_all(1)).len(), usize::try_from(HOSTS * 6000).unwrap());
    world.vfs.set_free_bytes(1 << 30);
    pass_after_interval(&world, &engine);
    assert!(engine.damage().is_empty());
    world.jobs.run_all();
    assert!(!world.vfs.exists(&path).unwrap(), "another has taken its place");
    drop(engine);
    assert!(super::verify::looked(&world).1.is_empty());
    assert_eq!(scanned(&world.open(), &scan_all(1)).len(), usize::try_from(HOSTS * 6000).unwrap());
}

#[test]
fn damage_of_what_is_in_memory_is_told_with_its_place_and_so_is_a_name_that_is_gone() {
    let (world, engine) = filled();
    let is_tsm = |path: &PathBuf| path.extension().is_some_and(|e| e == "tsm");
    let path = tsm_files(&world).into_iter().find(is_tsm).unwrap();
    let trailer = world.vfs.open_read(&path).unwrap().len().unwrap() - 32;
    world.vfs.corrupt(&path, trailer + 9, 1).unwrap();
    pass(&world, &engine);
    let damage = engine.damage();
    let [ReadError::Damaged { path: at, offset, .. }] = &damage[..] else { panic!("{damage:?}") };
    assert_eq!((at, *offset), (&path, trailer));
    world.vfs.corrupt(&path, trailer + 9, 1).unwrap();

    let aside = path.with_extension("aside");
    world.vfs.rename(&path, &aside).unwrap();
    pass_after_interval(&world, &engine);
    let damage = engine.damage();
    assert!(
        damage.iter().any(|error| matches!(error, ReadError::Io { path: at, .. } if at == &path)),
        "{damage:?}"
    );
    assert_eq!(
        scanned(&engine, &scan_all(1)).len(),
        usize::try_from(HOSTS * 6000).unwrap(),
        "it is open still"
    );
    world.vfs.rename(&aside, &path).unwrap();
    pass_after_interval(&world, &engine);
    assert!(engine.damage().is_empty());
}
