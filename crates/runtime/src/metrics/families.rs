//! The metric families, registered once from their declarations.

use super::names::{self, Kind, MetricDef};
use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// One field per declaration of [`names`].
#[derive(Debug)]
pub(super) struct Families {
    pub build_info: IntGaugeVec,
    pub lag: IntGaugeVec,
    pub next_offset: IntGaugeVec,
    pub watermark_age: GaugeVec,
    pub gap: IntGaugeVec,
    pub lost: IntGaugeVec,
    pub parked: IntGaugeVec,
    pub parked_offset: IntGaugeVec,
    pub records: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub end_to_end: HistogramVec,
    pub batch_records: HistogramVec,
    pub batch_bytes: HistogramVec,
    pub commit_seconds: HistogramVec,
    pub rows: IntCounterVec,
    pub cache_hits: IntCounterVec,
    pub cache_misses: IntCounterVec,
    pub in_flight: IntGaugeVec,
    pub fenced: IntCounterVec,
    pub paused: IntGaugeVec,
    pub pool: IntGaugeVec,
    pub retries: IntCounterVec,
}

type Made<T> = Result<T, prometheus::Error>;

impl Families {
    pub fn new(registry: &Registry) -> Made<Self> {
        let counter = |def: MetricDef| keep(registry, IntCounterVec::new(opts(&def), def.labels)?);
        let gauge = |def: MetricDef| keep(registry, IntGaugeVec::new(opts(&def), def.labels)?);
        let histogram = |def: MetricDef| {
            let mut opts = HistogramOpts::new(def.name, def.help);
            if let Kind::Histogram(bounds) = def.kind {
                opts = opts.buckets(bounds.to_vec());
            }
            keep(registry, HistogramVec::new(opts, def.labels)?)
        };
        Ok(Self {
            build_info: gauge(names::BUILD_INFO)?,
            lag: gauge(names::LAG_RECORDS)?,
            next_offset: gauge(names::NEXT_OFFSET)?,
            watermark_age: {
                let def = names::WATERMARK_AGE;
                keep(registry, GaugeVec::new(opts(&def), def.labels)?)?
            },
            gap: gauge(names::ACCOUNTING_GAP)?,
            lost: gauge(names::LOST_RECORDS)?,
            parked: gauge(names::PARTITION_PARKED)?,
            parked_offset: gauge(names::PARKED_OFFSET)?,
            records: counter(names::RECORDS_TOTAL)?,
            dead_letters: counter(names::DEAD_LETTERS_TOTAL)?,
            end_to_end: histogram(names::END_TO_END)?,
            batch_records: histogram(names::BATCH_RECORDS)?,
            batch_bytes: histogram(names::BATCH_BYTES)?,
            commit_seconds: histogram(names::COMMIT_SECONDS)?,
            rows: counter(names::ROWS_TOTAL)?,
            cache_hits: counter(names::ROW_CACHE_HITS)?,
            cache_misses: counter(names::ROW_CACHE_MISSES)?,
            in_flight: gauge(names::IN_FLIGHT_BYTES)?,
            fenced: counter(names::FENCED_TOTAL)?,
            paused: gauge(names::PAUSED)?,
            pool: gauge(names::POOL)?,
            retries: counter(names::RETRIES_TOTAL)?,
        })
    }
}

fn opts(def: &MetricDef) -> Opts {
    Opts::new(def.name, def.help)
}

fn keep<C: Collector + Clone + 'static>(registry: &Registry, family: C) -> Made<C> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
