//! `sporelog projection`: what operators do to a projection.

mod skip;

use anyhow::Result;
use runtime::config::Config;
use std::process::ExitCode;

/// What `projection` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = skip::AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Let a projection pass over offsets that it cannot apply: what they hold is lost to it.
    Skip(skip::Args),
}

/// Does it.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let Verb::Skip(args) = args.verb;
    skip::run(args, config).await
}
