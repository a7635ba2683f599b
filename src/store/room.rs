//! Room on disk: the reserve that intake leaves free, and the ballast that start-up gives up when the disk is full.

use std::time::Duration;

use super::disk::{Disk, OpenHow, Space};
use super::error::{NoRoom, OpenError};
use super::open::{exists, io};
use super::shared::Shared;
use super::types::{Opened, StoreOptions};

/// How long a look at the free space holds where there is plenty.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Free octets beyond what is needed that nobody writes within [`LOOK_AGAIN`]; with less, every message looks.
const PLENTY_BYTES: u64 = 512 << 20;
/// Below this much free space the ballast is given up at start: the index must be able to open and write.
const FULL_BYTES: u64 = 8 << 20;
const BALLAST: &str = "ballast";

/// Octets that must stay free: as set, else the lesser of 1 GiB and 5 % of the disk, at least 1.5 messages.
pub(super) fn reserve(disk: &dyn Disk, options: &StoreOptions) -> Result<u64, OpenError> {
    if let Some(set) = options.reserve_bytes {
        return Ok(set);
    }
    let total = disk.space(&options.dir).map_err(io(&options.dir))?.total;
    let share = (1u64 << 30).min(total / 20);
    Ok(share
        .max(options.message_bytes_max + options.message_bytes_max / 2)
        .max(StoreOptions::FLOOR_BYTES))
}

/// Removes the ballast when the disk is full.
pub(super) fn give_up_ballast(
    disk: &dyn Disk,
    options: &StoreOptions,
    opened: &mut Opened,
) -> Result<(), OpenError> {
    let path = options.dir.join(BALLAST);
    let free = disk.space(&options.dir).map_err(io(&options.dir))?.free;
    if free >= FULL_BYTES || !exists(disk, &path) {
        return Ok(());
    }
    disk.unlink(&path).map_err(io(&path))?;
    opened
        .repaired
        .push("the disk is full: gave up the ballast file so that mail can drain".into());
    Ok(())
}

/// Lays the ballast, where there is room for it beside the reserve. Failing is no matter.
pub(super) fn lay_ballast(shared: &Shared) {
    let dir = &shared.options.dir;
    let path = dir.join(BALLAST);
    let bytes = shared.options.ballast_bytes;
    let free = shared.disk.space(dir).map_or(0, |space| space.free);
    if exists(&*shared.disk, &path) || free < bytes + 2 * shared.reserve_bytes {
        return;
    }
    let laid = shared.disk.open(&path, OpenHow::Create).and_then(|file| file.allocate(bytes));
    if let Err(error) = laid {
        tracing::warn!("the ballast file could not be laid: {error}");
    }
}

/// Whether there is room for more mail.
pub(super) fn check(shared: &Shared) -> Result<(), NoRoom> {
    // The next segment of the log is made whole, so its length is as good as gone.
    let needed = shared.reserve_bytes + shared.options.segment_bytes;
    let now = shared.clock.uptime();
    let mut room = shared.room.lock();
    let holds = |space: &Space| {
        now.saturating_sub(room.0) < LOOK_AGAIN && space.free > needed + PLENTY_BYTES
    };
    let fresh = room.1.filter(holds);
    let space = match fresh {
        Some(space) => space,
        // A disk that cannot be asked shows itself at the next write.
        None => match shared.disk.space(&shared.options.dir) {
            Ok(space) => {
                *room = (now, Some(space));
                space
            }
            Err(_) => return Ok(()),
        },
    };
    if space.free < needed { Err(NoRoom { free: space.free, needed }) } else { Ok(()) }
}
