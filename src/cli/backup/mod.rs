//! `backup`: the settings, and the queue where asked for, in one file that a new machine can be made from.
//!
//! A file is one line of JSON (format and wrapped instance key), then the store's own stream. Without the passphrase or
//! key file nobody can read a secret in it.

mod wrap;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::client::Target;
use super::{Context, Exit, Failure, place};
use crate::clock::SystemClock;
use crate::http::admin::shapes::PREFIX;
use crate::store::vault::Vault;
use crate::store::{
    BackupError, BackupReport, OpenError, RealDisk, Store, StoreOptions, verify_backup,
};
use crate::supervise;
use wrap::{Secret, Wrapped};

/// Octets of the first line.
const HEAD_OCTETS_MAX: u64 = 4096;
/// The format of this release.
const FORMAT: u32 = 1;

/// Make, check and restore backups.
#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Back up the running server into a new file.
    Create(Create),
    /// Read a backup to its end and say what is in it.
    Verify(Verify),
    /// Make a data folder from a backup; no server may have it.
    Restore(Restore),
}

/// How the instance key is wrapped.
#[derive(Debug, Args)]
struct KeyArgs {
    /// A file whose first line is the passphrase [env: POSTRIDER_BACKUP_PASSPHRASE holds the passphrase itself].
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// A file of at least 32 random octets in place of a passphrase.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  POSTRIDER_BACKUP_PASSPHRASE='correct horse …' postrider backup create /mnt/postrider.backup
  postrider backup create today.backup --key-file /root/backup.key
  postrider backup create moving.backup --with-queue --passphrase-file pass.txt

Domains, their keys, credentials, configuration sets, routes and suppressions are in it. With --with-queue so is the
waiting mail: whatever the old machine delivers after the backup is delivered again by the new one.")]
pub(super) struct Create {
    /// The file to make; it must not exist.
    file: PathBuf,
    /// Also the waiting mail. What is delivered after the backup is delivered twice if both machines run.
    #[arg(long)]
    with_queue: bool,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider backup verify today.backup
  postrider backup verify today.backup --key-file /root/backup.key    the key too")]
pub(super) struct Verify {
    /// The backup.
    file: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider --data /var/lib/postrider backup restore today.backup --key-file /root/backup.key

The data folder must be empty or absent. A backup that is cut or changed is refused before anything is written.")]
pub(super) struct Restore {
    /// The backup.
    file: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
}

/// The first line of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    postrider_backup: u32,
    key: Wrapped,
}

impl BackupCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            BackupCommand::Create(create) => create.run(context).await,
            BackupCommand::Verify(verify) => verify.run(context),
            BackupCommand::Restore(restore) => restore.run(context).await,
        }
    }
}

impl Create {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let secret = secret(&self.key)?.ok_or_else(|| {
            Failure::usage(
                "a backup needs a passphrase or a key file: see postrider backup create --help",
            )
        })?;
        let mut client = context.client().await?;
        let socket = place::control_socket(context.data.as_deref())?;
        let data = socket.parent().unwrap_or(Path::new("."));
        let vault = Vault::open(&data.join("keys"))
            .map_err(|error| Failure::new(Exit::Denied, error.to_string()))?;
        let head = Head { postrider_backup: FORMAT, key: Wrapped::wrap(&secret, &vault)? };
        let mut file = create_new(&self.file)?;
        let written = async {
            let mut line = serde_json::to_vec(&head).map_err(|e| internal(&e))?;
            line.push(b'\n');
            file.write_all(&line).map_err(|e| io(&self.file, &e))?;
            let target =
                Target::new(PREFIX).name("backup").with("with_queue", Some(self.with_queue));
            client
                .copy(&target, |piece| file.write_all(piece).map_err(|e| io(&self.file, &e)))
                .await?;
            file.sync_all().map_err(|e| io(&self.file, &e))?;
            let (_, mut stream) = open(&self.file)?;
            verify_backup(&mut stream).map_err(|error| failed(&self.file, &error))
        };
        let report = written.await.inspect_err(|_| {
            // Half a backup under a whole one's name is worse than none.
            let _ = std::fs::remove_file(&self.file);
        })?;
        tell(context, "backed up", &report)
    }
}

impl Verify {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let (head, mut stream) = open(&self.file)?;
        if let Some(secret) = secret(&self.key)? {
            head.key.unwrap(&secret)?;
        }
        let report = verify_backup(&mut stream).map_err(|error| failed(&self.file, &error))?;
        tell(context, "whole:", &report)
    }
}

impl Restore {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let secret = secret(&self.key)?
            .ok_or_else(|| Failure::usage("restoring needs the backup's passphrase or key file"))?;
        let (head, mut stream) = open(&self.file)?;
        let key = head.key.unwrap(&secret)?;
        verify_backup(&mut stream).map_err(|error| failed(&self.file, &error))?;
        let data = context.data.clone().ok_or_else(|| {
            Failure::usage("say where to restore to: postrider --data DIR backup restore FILE")
        })?;
        make_empty(&data)?;
        let (_, mut stream) = open(&self.file)?;
        let to = data.clone();
        let restored = supervise::blocking("restore", move || {
            let clock = SystemClock::start();
            let opened = Store::open(StoreOptions::new(to), clock, Arc::new(RealDisk));
            let (store, _) = opened.map_err(|error| unopened(&error))?;
            let report = store.restore(&mut stream);
            store.close();
            report.map_err(|error| Failure::new(Exit::Io, error.to_string()))
        });
        let report = restored.await.unwrap_or_else(|| {
            Err(Failure::new(Exit::Internal, "restoring panicked; see the log"))
        })?;
        let keys = data.join("keys");
        make_dir(&keys)?;
        Vault::install(&keys, key).map_err(|error| Failure::new(Exit::Io, error.to_string()))?;
        tell(context, "restored", &report)
    }
}

fn tell(context: &Context, did: &str, report: &BackupReport) -> Result<(), Failure> {
    let BackupReport { records, messages, waiting, .. } = report;
    if context.out.json {
        let value =
            serde_json::json!({ "records": records, "messages": messages, "waiting": waiting });
        return context.out.json(&value);
    }
    let queue = match waiting {
        0 => "no waiting mail".to_owned(),
        _ => format!("{messages} messages with {waiting} waiting recipients"),
    };
    context.out.line(format!("{did} {records} records of settings and suppressions, {queue}"))
}

/// The passphrase or key that the arguments or the environment give.
fn secret(key: &KeyArgs) -> Result<Option<Secret>, Failure> {
    if let Some(path) = &key.key_file {
        return Secret::of_key_file(path).map(Some);
    }
    if let Some(path) = &key.passphrase_file {
        return Secret::of_passphrase_file(path).map(Some);
    }
    match std::env::var("POSTRIDER_BACKUP_PASSPHRASE") {
        Ok(passphrase) => Secret::of_passphrase(&passphrase).map(Some),
        Err(_) => Ok(None),
    }
}

/// The store's own stream in a backup.
pub(super) fn stream_of(path: &Path) -> Result<BufReader<File>, Failure> {
    open(path).map(|(_, stream)| stream)
}

/// A file's head, and its stream from there.
fn open(path: &Path) -> Result<(Head, BufReader<File>), Failure> {
    let file = File::open(path).map_err(|error| {
        let exit =
            if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Io };
        Failure::new(exit, format!("{}: {error}", path.display()))
    })?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let read = (&mut reader).take(HEAD_OCTETS_MAX).read_until(b'\n', &mut line);
    let len = read.map_err(|e| io(path, &e))?;
    let head: Head = serde_json::from_slice(&line).map_err(|_| {
        Failure::new(Exit::Io, format!("{}: this is no backup of Postrider's", path.display()))
    })?;
    if head.postrider_backup != FORMAT {
        let text = format!("{}: made by a later release, restore with that one", path.display());
        return Err(Failure::new(Exit::Io, text));
    }
    // The store reads the stream from where it begins, twice.
    reader.seek(std::io::SeekFrom::Start(len as u64)).map_err(|e| io(path, &e))?;
    Ok((head, reader))
}

fn create_new(path: &Path) -> Result<File, Failure> {
    File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let exit = if exists { Exit::Exists } else { Exit::Io };
        Failure::new(exit, format!("{}: {error}", path.display()))
    })
}

/// The folder to restore into, which must hold nothing.
fn make_empty(data: &Path) -> Result<(), Failure> {
    make_dir(data)?;
    let mut entries = std::fs::read_dir(data).map_err(|e| io(data, &e))?;
    if entries.next().is_none() {
        return Ok(());
    }
    let text = format!("{} is not empty; restore into a new folder", data.display());
    Err(Failure::new(Exit::Exists, text))
}

fn make_dir(path: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|e| io(path, &e))
}

fn io(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("{}: {error}", path.display()))
}

fn failed(path: &Path, error: &BackupError) -> Failure {
    Failure::new(Exit::Io, format!("{}: {error}", path.display()))
}

fn unopened(error: &OpenError) -> Failure {
    Failure::new(Exit::Io, error.to_string())
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Internal, error.to_string())
}
