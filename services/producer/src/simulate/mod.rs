//! A made-up population: agents with regions, days, ties and things to say, that publish every
//! event a producer can.
//!
//! The same seed, run, rate and times give the same bytes. Nothing grows with time: the population
//! remembers its latest spores, loops, coalitions and talks, and of each agent one bit. What an
//! agent *is* (its region, its ties, its kind) is a function of its number, so a million agents
//! cost nothing.
//!
//! | file | what |
//! |---|---|
//! | [`Options`] | what may be chosen |
//! | [`Population`] | events, one at a time, for given times |
//! | [`Simulation`] | publishes them at a rate, or as fast as the log takes them |
//! | `world` | who does what next |
//! | `acts_*` | what an event of each kind says |

mod acts_agent;
mod acts_group;
mod acts_memory;
mod acts_spore;
mod dice;
mod name;
mod options;
mod population;
mod run;
mod words;
mod world;

pub use options::{Options, Spread};
pub use population::Population;
pub use run::{Pace, Progress, Simulation, SimulationError};
