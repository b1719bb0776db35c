//! The commands: what is typed, what is printed, and the exit code.
//!
//! A command decides nothing. It reads arguments, has the work done by the gate
//! itself or by the admin API, and says in words what came of it. Results go to
//! standard output, everything else to standard error.

mod audit;
mod bulk;
mod client;
mod compile;
mod failure;
mod gate;
mod manual;
mod policy;
mod print;
mod problem;
mod terminal;
mod token;
mod typed;
mod user;
mod words;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use compile::CompilePolicy;
pub use failure::Failure;
pub use terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  portcullis demo                                 try it: nothing to install
  portcullis check --config portcullis.toml       is the configuration right?
  portcullis run --config portcullis.toml         run a gate
  portcullis token create --role global-admin     the first token, before a run

  export PORTCULLIS_ADMIN_URL=http://127.0.0.1:8081 PORTCULLIS_TOKEN=…
  portcullis user suspend bob --reason suspiciousUserNoGood --ticket SEC-42
  portcullis user show bob
  portcullis user list --filter 'suspension_status==\"permanent\"'
  portcullis user restore bob --reason \"false alarm\"
  portcullis bulk suspend --from leavers.txt --ticket HR-7 --dry-run
  portcullis audit list --ticket SEC-42           who did what, when and why

  portcullis policy new shop --lang rust          a policy of your own
  portcullis policy test policies/acme            does it pass its cases?

Every command tells its own options and examples by --help.

Exit codes: 0 done, 1 the gate refused or it failed, 2 wrong arguments or
configuration.";

/// An edge gate for accounts: once a user is suspended, that user is out.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gate until it is told to stop (SIGINT or SIGTERM)
    #[command(
        after_help = "Examples:\n  portcullis run\n  portcullis run --config portcullis.toml"
    )]
    Run(ConfigFile),
    /// Run a gate with two tenants, an app behind it and a mailbox, all embedded
    #[command(after_help = "Examples:\n  portcullis demo\n  portcullis demo --keep")]
    Demo {
        /// Keep the state of the last demo instead of starting afresh
        #[arg(long)]
        keep: bool,
    },
    /// Check the configuration and the policies; run nothing
    #[command(after_help = "Examples:\n  portcullis check --config portcullis.toml")]
    Check(ConfigFile),
    /// Admin tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Suspend, restore, look up and delete users, through the admin API
    #[command(subcommand)]
    User(user::UserCommand),
    /// Suspend or restore many users by one call, and take it back
    #[command(subcommand)]
    Bulk(bulk::BulkCommand),
    /// What was done, by whom, when and why
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Write, check, test and measure a tenant's policy
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print what makes a shell complete the commands
    #[command(
        after_help = "Examples:\n  portcullis completion bash > /etc/bash_completion.d/portcullis\n  portcullis completion zsh > ~/.zfunc/_portcullis\n  portcullis completion fish > ~/.config/fish/completions/portcullis.fish"
    )]
    Completion(manual::Completion),
    /// Print the manual, or write a page for each command
    #[command(
        after_help = "Examples:\n  portcullis man | man -l -\n  portcullis man --output /usr/local/share/man/man1"
    )]
    Man(manual::Man),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration
    #[arg(
        long = "config",
        value_name = "FILE",
        default_value = "portcullis.toml"
    )]
    path: PathBuf,
}

/// What a command may use of its surroundings; an argument so that tests can
/// stand in for a terminal and an environment.
pub struct Surroundings<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// What somebody types or pipes in.
    pub input: &'a mut dyn BufRead,
    pub terminal: Terminal,
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Does what `words` say, the program's own name first.
///
/// # Errors
/// Why it was not done, with the exit code to leave with. Where JSON was asked for,
/// its problem object is on standard output by then.
pub fn run(
    words: impl IntoIterator<Item = OsString>,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let words: Vec<OsString> = words.into_iter().collect();
    let done = match typed::parse(&words, surroundings) {
        Ok(Some(cli)) => execute(cli, surroundings),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    let problem = done.as_ref().err().and_then(Failure::problem);
    if let Some(problem) = problem.filter(|_| typed::asks_for_json(&words)) {
        writeln!(surroundings.out, "{problem}")?;
    }
    done
}

fn execute(cli: Cli, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    match cli.command {
        Command::Run(file) => gate::run(&file.path),
        Command::Demo { keep } => gate::demo(keep),
        Command::Check(file) => gate::check(&file.path, surroundings),
        Command::Token(command) => token::execute(command, surroundings),
        Command::User(command) => user::execute(command, surroundings),
        Command::Bulk(command) => bulk::execute(command, surroundings),
        Command::Audit(command) => audit::execute(command, surroundings),
        Command::Policy(command) => policy::execute(command, surroundings),
        Command::Completion(completion) => completion.execute(surroundings),
        Command::Man(man) => man.execute(surroundings),
    }
}
