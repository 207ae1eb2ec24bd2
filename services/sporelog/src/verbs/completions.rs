//! `sporelog completions`: a script that completes verbs and flags in a shell.

use crate::cli::Cli;
use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog completions bash > ~/.local/share/bash-completion/completions/sporelog
  sporelog completions fish > ~/.config/fish/completions/sporelog.fish
  sporelog completions zsh > ~/.zfunc/_sporelog";

/// What `completions` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Result<ExitCode> {
    std::io::stdout().write_all(&script(args.shell))?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sporelog", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_every_shell_know_the_verbs_and_their_flags() {
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in ["doctor", "projection", "skip", "reason", "verify", "deadletter"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
