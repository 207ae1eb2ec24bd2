//! Producers: the importer turns files into events by a mapping, the simulator makes up a population.
//!
//! Both are generic over [`pipeline::Publisher`] and [`pipeline::Clock`] and name no adapter.

pub mod import;
pub mod simulate;
pub mod text;
