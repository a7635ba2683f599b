//! `init`: writes the bootstrap file and makes the data folder. It never overwrites a file.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Exit, Failure};
use crate::config::default_file;
use crate::mail::Domain;

/// Where to write.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postrider init --hostname mail.example.org
  sudo postrider init --hostname mail.example.org --config /etc/postrider/postrider.toml --data /var/lib/postrider")]
pub(super) struct Init {
    /// The name this server greets with.
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// The bootstrap file to write.
    #[arg(long, short, value_name = "FILE", default_value = "postrider.toml")]
    config: PathBuf,
}

impl Init {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let hostname = self.hostname.as_deref().map(Domain::parse).transpose().map_err(|e| {
            Failure::usage(format!("--hostname: {e}; write one such as mail.example.org"))
        })?;
        let data = context.data.clone().unwrap_or_else(|| PathBuf::from("postrider-data"));
        // The file stays right when it is read from another folder.
        let data = std::path::absolute(&data).map_err(|e| cannot("find", &data, &e))?;
        make_folder(&data)?;
        if let Some(folder) = self.config.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| cannot("make", folder, &e))?;
        }
        write_new(&self.config, &default_file::text(hostname.as_ref(), Some(&data)))?;
        if context.out.json {
            return context
                .out
                .json(&serde_json::json!({ "config": self.config, "data_dir": data }));
        }
        context.out.line(format!("wrote {}", self.config.display()))?;
        context.out.line(format!("made  {}", data.display()))?;
        context.out.line(format!(
            "next: look the file over, then `postrider config check --config {0}` and `postrider serve --config {0}`",
            self.config.display()
        ))
    }
}

/// A data folder that only its owner may look into.
fn make_folder(path: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| cannot("make", path, &e))
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(path);
    let mut file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = format!(
                "{} is there already; move it away or name another with --config",
                path.display()
            );
            return Err(Failure::new(Exit::Exists, text));
        }
        other => other.map_err(|e| cannot("make", path, &e))?,
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| cannot("write", path, &e))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    let exit = if denied { Exit::Denied } else { Exit::Io };
    Failure::new(exit, format!("cannot {what} {}: {error}", path.display()))
}
