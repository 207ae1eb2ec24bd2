//! The simulated population of `up --simulate`, beside the workers.

use anyhow::Result;
use embedded::log::Log;
use pipeline::{Clock as _, SystemClock};
use producer::simulate::{Options, Pace, Population, Simulation};
use runtime::config::Config;
use runtime::lifecycle::{BoxError, Supervisor};

/// Starts the population of the configuration, on a thread of its own.
pub fn start(supervisor: &mut Supervisor, config: &Config, mut log: Log) -> Result<()> {
    let clock = SystemClock::new();
    let section = &config.simulate;
    // Each start is a run of its own: its events are new ones.
    let run = format!("{:x}", clock.now_us() / 1_000);
    let options = Options { run, ..Options::new(section.seed, section.agents.into()) };
    let pace = Pace::Live { rate_per_s: section.rate_per_s.into() };
    let mut simulation = Simulation { population: Population::new(&options)?, pace, events: None, length: None };
    supervisor.spawn("simulate", move |cancel| async move {
        simulation.run(&mut log, &clock, &cancel, &mut |_| ()).await.map(drop).map_err(BoxError::from)
    })?;
    Ok(())
}
