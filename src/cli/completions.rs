//! `completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Context, Failure};

/// The shell to complete for.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Its name.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "postrider", &mut script);
        context.out.line(String::from_utf8_lossy(&script).trim_end())
    }
}
