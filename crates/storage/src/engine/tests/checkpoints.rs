//! A checkpoint is an engine's directory of everything that was in files, whatever the engine does afterwards; and what
//! is wrong with one that came from elsewhere is noticed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Vfs as _;

use super::support::{World, position};
use super::verify::{files, written};
use crate::{Engine, OpenError, check_checkpoint};

fn copy() -> PathBuf {
    PathBuf::from("/data/copy")
}

fn open_copy(world: &World) -> Engine {
    let (clock, jobs) = (Arc::clone(&world.clock), Arc::clone(&world.jobs));
    let (commons, options) = (Arc::clone(&world.commons), world.options.clone());
    Engine::open(Arc::new(world.vfs.clone()), copy(), clock, jobs, commons, options, Arc::new(|_| {}))
        .unwrap()
}

fn rows(engine: &Engine) -> usize {
    engine.shards().iter().map(|shard| usize::try_from(shard.bytes).unwrap()).sum()
}

#[test]
fn a_checkpoint_is_what_was_in_files_and_stays_it() {
    let world = written();
    let engine = world.open();
    let before = rows(&engine);
    let (last, _) = engine.checkpoint(&copy()).unwrap();
    assert_eq!(last, Some(position(4)));
    // The engine goes on: it merges everything, and drops the inputs.
    engine.compact_now().unwrap();
    drop(engine);
    drop(world.open());
    assert_eq!(check_checkpoint(&world.vfs, &copy()).unwrap(), Some(position(4)));
    let opened = open_copy(&world);
    assert_eq!(opened.durable().0, Some(position(4)));
    assert_eq!(rows(&opened), before);
}

#[test]
fn an_engine_without_files_has_a_checkpoint_too() {
    let world = World::new();
    let engine = world.open();
    assert_eq!(engine.checkpoint(&copy()).unwrap(), (None, Vec::new()));
    assert_eq!(check_checkpoint(&world.vfs, &copy()).unwrap(), None);
    assert_eq!(rows(&open_copy(&world)), 0);
}

#[test]
fn whatever_is_wrong_with_a_checkpoint_is_noticed() {
    let sound = || {
        let world = written();
        world.open().checkpoint(&copy()).unwrap();
        world
    };
    let all = files(&sound(), &copy());
    assert!(all.len() > 4, "{all:?}");
    let is_data = |path: &Path| path.extension().is_some();
    for path in all {
        let world = sound();
        world.vfs.remove_file(&path).unwrap();
        assert!(check_checkpoint(&world.vfs, &copy()).is_err(), "{} is missing", path.display());
        if !is_data(&path) {
            continue;
        }
        let world = sound();
        let file = world.vfs.open(&path).unwrap();
        let middle = file.len().unwrap() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
        let error = check_checkpoint(&world.vfs, &copy()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        file.set_len(middle).unwrap();
        let error = check_checkpoint(&world.vfs, &copy()).unwrap_err();
        assert!(matches!(error, OpenError::WrongFile { .. }), "{error}");
    }
}
