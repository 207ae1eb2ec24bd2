//! Prints how many events a second the simulated population makes on one core.
//!
//!     cargo run --release -p producer --example simulated_rate

use pipeline::{Clock, SystemClock};
use producer::simulate::{Options, Population};

const EVENTS: i64 = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = SystemClock::new();
    let mut population = Population::new(&Options::new(1, 10_000))?;
    let (start, mut bytes) = (clock.now_us(), 0);
    for at in 0..EVENTS {
        bytes += population.next_record(start + at * 50)?.value.len();
    }
    let seconds = clock.monotonic_us() as f64 / 1e6;
    println!("{:.0} events/s, {} bytes each", EVENTS as f64 / seconds, bytes as i64 / EVENTS);
    Ok(())
}
