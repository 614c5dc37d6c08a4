//! Looks at a log that nobody writes, and changes nothing: what recovery would refuse is reported, all of it and not
//! only the first, and a torn tail, which recovery would cut, is told.

use std::path::Path;

use super::recover::{Opened, io_error};
use super::{OpenError, Recovery, TornTail, segment_number, segment_path};
use crate::vfs::Vfs;

/// Reads every segment of the log in `dir`, compares every checksum, and hands over what is wrong, and each sound record
/// to `visit`. Returns how much of the log is sound.
pub fn verify(
    vfs: &dyn Vfs,
    dir: &Path,
    visit: &mut dyn FnMut(super::Location, &[u8]),
    on_problem: &mut dyn FnMut(OpenError),
) -> Recovery {
    let mut recovery = Recovery { torn: None, records: 0, bytes: 0 };
    let names = match vfs.list(dir).map_err(io_error("list", dir)) {
        Ok(names) => names,
        Err(error) => {
            on_problem(error);
            return recovery;
        }
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    for gap in numbers.windows(2) {
        if let [low, high] = *gap
            && low.checked_add(1) != Some(high)
        {
            let segment = low.saturating_add(1);
            on_problem(OpenError::Missing { path: segment_path(dir, segment), segment });
        }
    }
    let open = |number: &u64| {
        let path = segment_path(dir, *number);
        let file = vfs.open_read(&path).map_err(io_error("open", &path))?;
        Opened::of(file, path, *number)
    };
    let mut opened = Vec::new();
    for number in &numbers {
        match open(number) {
            Ok(segment) => opened.push((*number, Some(segment))),
            Err(error) => {
                on_problem(error);
                opened.push((*number, None));
            }
        }
    }
    for (i, (number, segment)) in opened.iter().enumerate() {
        let Some(segment) = segment else { continue };
        let mut count = |location: super::Location, record: &[u8]| {
            recovery.records += 1;
            recovery.bytes += u64::from(location.len);
            visit(location, record);
            Ok(())
        };
        // After a gap nothing says where the segment ended.
        let follower = opened.get(i + 1).filter(|(next, _)| number.checked_add(1) == Some(*next));
        let judged = match follower {
            Some((_, Some(next))) => segment.scan_up_to(next, &mut count).map(|_| None),
            Some((_, None)) => segment.scan_open_end(&mut count).map(|_| None),
            None => segment.scan_open_end(&mut count).map(Some),
        };
        match judged {
            Err(error) => on_problem(error),
            Ok(None) => {}
            Ok(Some((_, rest))) if rest.sealed => {
                // A gap was reported already.
                if i + 1 == opened.len() {
                    let segment = number.saturating_add(1);
                    on_problem(OpenError::Missing { path: segment_path(dir, segment), segment });
                }
            }
            Ok(Some((scanned, rest))) if rest.bytes > 0 => {
                recovery.torn = Some(TornTail { segment: *number, offset: scanned.end, bytes: rest.bytes });
            }
            Ok(Some(_)) => {}
        }
    }
    recovery
}
