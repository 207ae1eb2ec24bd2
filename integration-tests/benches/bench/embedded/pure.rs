//! What needs no disk: decoding and folding.

use crate::input::Input;
use crate::measure::{Measured, Meter, Pids};
use codec::Schemas;
use domain::delta::Deltas;
use domain::event::{Event, EventKind, InteractionRecorded};
use domain::{Projection, TopicPartition};
use serde_avro_fast::Schema;
use std::hint::black_box;

const BATCH: usize = 10_000;

fn interactions(input: &Input) -> Vec<&[u8]> {
    let topic = EventKind::InteractionRecorded.topic();
    input.records.iter().filter(|record| record.topic == topic).map(|record| record.value.as_slice()).collect()
}

/// Interactions through the codec: header, schema by fingerprint, event.
pub fn decode(input: &Input) -> Measured {
    let values = interactions(input);
    let meter = Meter::thread(Pids::default());
    for value in &values {
        black_box(input.schemas.decode(value).unwrap());
    }
    meter.spent(values.len())
}

/// The same datums, straight into the struct.
pub fn bare_decode(input: &Input) -> Measured {
    let values = interactions(input);
    let schema: Schema = include_str!("../../../../schemas/interaction_recorded.avsc").parse().unwrap();
    let meter = Meter::thread(Pids::default());
    for value in &values {
        let (_, datum) = codec::frame::parse(value).unwrap();
        let event: InteractionRecorded<'_> = serde_avro_fast::from_datum_slice(datum, &schema).unwrap();
        black_box(event);
    }
    meter.spent(values.len())
}

/// Decoded events into row deltas, forgotten every ten thousand events.
pub fn fold(input: &Input, projection: &Projection) -> Measured {
    let schemas: &Schemas = &input.schemas;
    let read = |topic: &domain::Topic| projection.topics.contains(topic);
    let values: Vec<&[u8]> =
        input.records.iter().filter(|record| read(&record.topic)).map(|record| record.value.as_slice()).collect();
    let mut deltas = Deltas::new(projection.tables);
    let mut sum = Measured::default();
    for chunk in values.chunks(BATCH) {
        let events: Vec<Event<'_>> = chunk.iter().map(|value| schemas.decode(value).unwrap()).collect();
        let meter = Meter::thread(Pids::default());
        for event in &events {
            deltas.set_scope(TopicPartition::new(event.kind().topic(), 0));
            black_box((projection.fold)(event, &mut deltas));
        }
        deltas.roll_up();
        sum.rows += deltas.rows() as u64;
        deltas.clear();
        sum.add(&meter.spent(chunk.len()));
    }
    sum
}
