//! Where things lie: the data folder of a running server, the bootstrap file, and the flags over it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Failure};
use crate::app::CONTROL_SOCKET;
use crate::config::{self, Loaded, Sources};

/// Data folders that a command tries when none is named.
const USUAL_DATA_DIRS: [&str; 2] = ["./postrider-data", "/var/lib/postrider"];

/// Flags of commands that read the bootstrap file.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ConfigArgs {
    /// The bootstrap file [default: DATA/postrider.toml, ./postrider.toml, /etc/postrider/postrider.toml].
    #[arg(long, short, value_name = "FILE", env = "POSTRIDER_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// The name this server greets with.
    #[arg(long, value_name = "NAME")]
    pub(super) hostname: Option<String>,
    /// Any setting of the bootstrap file, such as limits.message_size="10 MiB"; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) settings: Vec<String>,
}

impl ConfigArgs {
    /// Reads the file, the environment and the flags.
    pub(super) fn load(&self, data: Option<&Path>) -> Result<Loaded, Failure> {
        let mut sources = Sources::default();
        if let Some(path) = self.file(data)? {
            sources.read_file(&path)?;
        }
        sources.with_env(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        );
        set_flags(&mut sources, &self.settings)?;
        if let Some(name) = &self.hostname {
            sources.with_flag("hostname", name.clone(), "--hostname");
        }
        if let Some(data) = data {
            sources.with_flag("data_dir", data.to_string_lossy().into_owned(), "--data");
        }
        Ok(config::load(&sources)?)
    }

    /// The bootstrap file: the named one, which must be there, or the first usual one that is.
    fn file(&self, data: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
        if let Some(path) = &self.config {
            return Ok(Some(path.clone()));
        }
        for place in config::usual_places(named_data_dir(data).as_deref()) {
            match place.try_exists() {
                Ok(true) => return Ok(Some(place)),
                Ok(false) => {}
                Err(error) => {
                    let text = format!(
                        "{}: cannot be looked at ({error}); check its folder's permissions",
                        place.display()
                    );
                    return Err(Failure::new(Exit::Config, text));
                }
            }
        }
        Ok(None)
    }
}

/// Lays `--set KEY=VALUE` over the other sources.
pub(super) fn set_flags(sources: &mut Sources, settings: &[String]) -> Result<(), Failure> {
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or_else(|| {
            let text = "write KEY=VALUE, such as --set log.level=debug";
            Failure::usage(format!("--set {setting}: {text}"))
        })?;
        let value = value.trim().trim_matches('"').to_owned();
        sources.with_flag(key.trim(), value, "--set");
    }
    Ok(())
}

/// The data folder that a flag names, or the environment.
pub(super) fn named_data_dir(data: Option<&Path>) -> Option<PathBuf> {
    let env = || std::env::var_os("POSTRIDER_DATA_DIR").filter(|dir| !dir.is_empty());
    data.map(Path::to_owned).or_else(|| env().map(PathBuf::from))
}

/// The control socket of the server on the named data folder, or on the first usual one that has a socket.
pub(super) fn control_socket(data: Option<&Path>) -> Result<PathBuf, Failure> {
    let tried: Vec<PathBuf> = match named_data_dir(data) {
        Some(dir) => vec![dir],
        None => USUAL_DATA_DIRS.iter().map(PathBuf::from).collect(),
    };
    let mut refused = None;
    for dir in &tried {
        let socket = dir.join(CONTROL_SOCKET);
        match socket.try_exists() {
            Ok(true) => return Ok(socket),
            Ok(false) => {}
            Err(_) => refused = Some(dir),
        }
    }
    if let Some(dir) = refused {
        let text =
            format!("{} is not yours to open; run as root or as the server's user", dir.display());
        return Err(Failure::new(Exit::Denied, text));
    }
    let places = tried.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(Failure::new(
        Exit::Unavailable,
        format!(
            "no server runs here (no {CONTROL_SOCKET} in {places}); start one with `postrider serve` or `postrider dev`, or name its data folder with --data"
        ),
    ))
}
