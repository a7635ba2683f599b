//! Exit codes and the failures that carry them: the numbers of sysexits.h, stable, so that scripts and units can rely on
//! them.

use std::fmt;
use std::process::ExitCode;

/// What a process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// The command line is wrong (EX_USAGE).
    Usage = 64,
    /// What was named does not exist (EX_NOINPUT).
    NotFound = 66,
    /// No server runs, or a check failed (EX_UNAVAILABLE).
    Unavailable = 69,
    /// A fault of ours (EX_SOFTWARE).
    Internal = 70,
    /// Something stands where a new thing should (EX_CANTCREAT).
    Exists = 73,
    /// The disk failed (EX_IOERR).
    Io = 74,
    /// Later it may work (EX_TEMPFAIL).
    Temporary = 75,
    /// Not allowed (EX_NOPERM).
    Denied = 77,
    /// The configuration is wrong (EX_CONFIG).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked, with the code to end with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What went wrong and what to do; empty says nothing.
    pub text: String,
}

impl Failure {
    /// A failure with its code.
    pub fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }

    /// A command line that clap could not see is wrong.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Failure {
        Failure::new(Exit::Config, error.to_string())
    }
}
