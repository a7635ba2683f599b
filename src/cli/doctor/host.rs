//! Checks of this machine: configuration, disk, clock.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Finding;
use crate::clock::{Clock as _, SystemClock};
use crate::config::check::{self, Ports};
use crate::config::{Loaded, Size};
use crate::egress::Pools;

/// A sync slower than this makes every 250 slow.
const SYNC_SLOW: Duration = Duration::from_millis(20);
/// Syncs that are measured; the middle one counts.
const SYNCS: usize = 9;
/// Octets of each, as a small commit has.
const SYNC_OCTETS: usize = 4096;
/// Wall time before this release was written is wrong: 2026-11-01.
const RELEASED_MS: u64 = 1_793_491_200_000;
/// Files and sockets a busy server opens.
const OPEN_FILES_WANTED: u64 = 4096;

/// The configuration against this machine.
pub(super) fn config(loaded: &Loaded, running: bool) -> Vec<Finding> {
    let ports = if running { Ports::Leave } else { Ports::Try };
    let mut findings = Vec::new();
    match check::host(loaded, ports) {
        Ok(()) => {
            let from = loaded.path.as_ref().map_or("defaults".into(), |p| p.display().to_string());
            findings
                .push(Finding::ok("config", format!("{from} is right and this machine grants it")));
        }
        Err(error) => findings.extend(error.problems.iter().map(|problem| {
            Finding::fail("config", problem.to_string(), "`postrider config check` tells the same")
        })),
    }
    if loaded.config.delivery.allow_private_destinations {
        let fix = "unset delivery.allow_private_destinations unless this is a test; name such hosts with `postrider route add`";
        let found = "mail may go to loopback and private addresses that any sender's DNS names";
        findings.push(Finding::warn("config", found, fix));
    }
    if let Some(limit) = open_files().filter(|limit| *limit < OPEN_FILES_WANTED) {
        let found = format!("only {limit} files and connections may be open at once");
        findings.push(Finding::warn(
            "config",
            found,
            "raise LimitNOFILE in the unit, or `ulimit -n`",
        ));
    }
    findings
}

/// The hard limit, which the server raises itself to.
fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// Room and speed of the disk.
pub(super) fn disk(loaded: &Loaded) -> Vec<Finding> {
    let dir = existing(&loaded.config.data_dir);
    let Ok(stat) = rustix::fs::statvfs(&dir) else {
        let found = format!("{} cannot be looked at", dir.display());
        return vec![Finding::fail("disk", found, "check the data folder's path and permissions")];
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    let needed = reserve(loaded, total);
    let shown = super::super::status::round;
    let mut findings = Vec::new();
    if free < needed {
        let found = format!(
            "{} free, below the reserve of {}: mail is refused",
            shown(free),
            shown(needed)
        );
        findings.push(Finding::fail("disk", found, "free space, or use a larger disk"));
    } else if free < needed.saturating_mul(3) {
        let found = format!("{} free, near the reserve of {}", shown(free), shown(needed));
        findings.push(Finding::warn("disk", found, "free space before mail is refused"));
    } else {
        findings.push(Finding::ok("disk", format!("{} free of {}", shown(free), shown(total))));
    }
    if stat.f_files > 0 && stat.f_favail < 1000 {
        let found = format!("{} inodes free", stat.f_favail);
        findings.push(Finding::fail("disk", found, "remove small files from this disk"));
    }
    findings.push(sync_time(&dir));
    findings
}

/// The store's rule: the setting, else the lesser of 1 GiB and 5 % of the disk, at least 1.5 times the message limit.
fn reserve(loaded: &Loaded, total: u64) -> u64 {
    let store = &loaded.config.store;
    store.reserve.map_or_else(
        || {
            let least = loaded.config.limits.message_size.octets().saturating_mul(3) / 2;
            Size::gib(1).octets().min(total / 20).max(least)
        },
        Size::octets,
    )
}

fn sync_time(dir: &Path) -> Finding {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let measured = measure_syncs(&path);
    // The file is ours and empty of meaning; if it cannot go, the next line says that the folder is in trouble anyway.
    let _ = std::fs::remove_file(&path);
    match measured {
        Ok(took) if took > SYNC_SLOW => Finding::warn(
            "disk",
            format!("a sync takes {} ms; every 250 waits for one", took.as_millis()),
            "use a local SSD; network and rotating disks make mail slow, not unsafe",
        ),
        Ok(took) => Finding::ok("disk", format!("a sync takes {} µs", took.as_micros())),
        Err(error) => Finding::fail(
            "disk",
            format!("{} cannot be written ({error})", dir.display()),
            "run as root or as the server's user, and check the disk",
        ),
    }
}

fn measure_syncs(path: &Path) -> std::io::Result<Duration> {
    let clock = SystemClock::start();
    let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = clock.uptime();
        file.write_all(&[0; SYNC_OCTETS])?;
        file.sync_data()?;
        took.push(clock.uptime().saturating_sub(start));
    }
    took.sort();
    Ok(took.get(SYNCS / 2).copied().unwrap_or_default())
}

/// The folder, or the nearest one above it that exists.
fn existing(dir: &Path) -> PathBuf {
    dir.ancestors().find(|dir| dir.is_dir()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Whether the clock can be right and is kept right.
pub(super) fn clock() -> Finding {
    if SystemClock::start().now_ms() < RELEASED_MS {
        let found = "this machine's clock shows a time before this release was made";
        return Finding::fail("clock", found, "set it: `timedatectl set-ntp true`");
    }
    let kept = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid"];
    if kept.iter().any(|path| Path::new(path).exists()) {
        return Finding::ok("clock", "kept by a time service");
    }
    let fix = "install chrony or run `timedatectl set-ntp true`; signatures and expiry need the right time";
    Finding::warn("clock", "no time service of this machine is known to keep the clock", fix)
}

/// Source addresses of every exit; `None` is the system's choice.
pub(super) fn sources(loaded: &Loaded) -> Vec<Option<std::net::IpAddr>> {
    let pools = Pools::one(&loaded.config.egress_addresses, &loaded.config.hostname);
    pools.all().iter().flat_map(|pool| &pool.exits).map(|exit| exit.source).collect()
}
