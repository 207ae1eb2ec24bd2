//! `sporelog docs`: the pages of the documentation that are made from the code.

use anyhow::Result;
use std::io::Write as _;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog docs configuration > docs/configuration.md
  sporelog docs metrics > docs/metrics.md";

/// What `docs` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The page.
    page: Page,
}

/// The pages.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Page {
    /// Every option: docs/configuration.md.
    Configuration,
    /// Every metric: docs/metrics.md.
    Metrics,
}

/// Prints the page.
pub fn run(args: &Args) -> Result<ExitCode> {
    let page = match args.page {
        Page::Configuration => runtime::config::markdown(),
        Page::Metrics => runtime::metrics::markdown(),
    };
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
