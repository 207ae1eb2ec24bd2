//! The import itself: rows to records, records to batches, batches to the log.

use super::build::Builder;
use super::error::ImportError;
use super::input::{Input, Rows, RowsError};
use super::lanes::Continuation;
use super::mapping::Mapping;
use super::options::{Options, Progress, Report, Stop};
use super::pass::{Batch, Pass};
use super::state::State;
use pipeline::{Clock, LogError, OutRecord, Placed, Publisher, Unpublished};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// An import that is ready to run: mapping read, content hashed, earlier state known.
#[derive(Debug)]
pub struct Import {
    options: Options,
    mapping: Mapping,
    input: Input,
    import_id: String,
    tenant: String,
    state: State,
    schemas: Option<Arc<codec::Schemas>>,
}

impl Import {
    /// Reads the mapping, hashes the content and finds out how far earlier imports came.
    ///
    /// # Errors
    /// Mapping or input cannot be read, or are wrong.
    pub fn prepare(options: Options) -> Result<Self, ImportError> {
        let text =
            std::fs::read_to_string(&options.mapping).map_err(ImportError::io("cannot read", &options.mapping))?;
        let mapping =
            Mapping::parse(&text).map_err(|error| ImportError::Mapping { path: options.mapping.clone(), error })?;
        let input = Input::open(&options.file, &mapping.file)?;
        // Missing columns are known now, before anything is said or done.
        open_rows(&input, &mapping, &options)?;
        let tenant = options.tenant.clone().or_else(|| mapping.tenant.clone()).unwrap_or_else(|| "default".to_owned());
        let mut identity = blake3::Hasher::new();
        identity.update(input.hash.as_bytes()).update(tenant.as_bytes());
        let import_id = identity.finalize().to_hex()[..32].to_owned();
        let state = match &options.state_dir {
            Some(directory) => State::load(directory, &import_id)?,
            None => State::default(),
        };
        Ok(Self { options, mapping, input, import_id, tenant, state, schemas: None })
    }

    /// Keeps the state of imports in this folder, and goes on behind what an earlier one of the
    /// same content published.
    ///
    /// # Errors
    /// What is kept there cannot be read.
    pub fn with_state_dir(mut self, directory: PathBuf) -> Result<Self, ImportError> {
        self.state = State::load(&directory, &self.import_id)?;
        self.options.state_dir = Some(directory);
        Ok(self)
    }

    /// Encodes with these schemas, which know the ids of a registry.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Arc<codec::Schemas>) -> Self {
        self.schemas = Some(schemas);
        self
    }

    /// Names content and tenant: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.import_id
    }

    /// Rows that an earlier import has published and this one passes over.
    #[must_use]
    pub fn rows_done(&self) -> u64 {
        if self.options.again || self.options.from_row.is_some() {
            return 0;
        }
        let lanes = self.state.lanes(&self.mapping, &self.input.reading(&self.mapping));
        lanes.iter().map(|lane| lane.output.done.len()).min().unwrap_or_default()
    }

    /// Whether an earlier import of the same content had another mapping. Events that it published
    /// stay as they are.
    #[must_use]
    pub fn other_mapping(&self) -> bool {
        !self.state.saved.mapping.is_empty() && self.state.saved.mapping != self.mapping.hash
    }

    /// What each `[[event]]` of the mapping, named by its line and event, is to earlier imports of
    /// the same content.
    #[must_use]
    pub fn continuations(&self) -> Vec<(usize, &'static str, Continuation)> {
        let lanes = self.state.lanes(&self.mapping, &self.input.reading(&self.mapping));
        let outputs = self.mapping.outputs.iter().zip(lanes);
        outputs.map(|(output, lane)| (output.line, output.kind.name(), lane.continuation)).collect()
    }

    /// Publishes the rows. `observe` is told after every row that begins a new batch, and after
    /// every batch.
    ///
    /// # Errors
    /// The input cannot be read on, or the log does not take a batch. What was acknowledged stays;
    /// the next import of the same content goes on behind it.
    pub async fn run<P: Publisher, C: Clock>(
        self,
        publisher: &mut P,
        clock: &C,
        cancel: &CancellationToken,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<Report, ImportError> {
        let Self { options, mapping, input, import_id, tenant, mut state, schemas } = self;
        let schemas = match schemas {
            Some(schemas) => schemas,
            None => embedded_schemas()?,
        };
        let lanes = state.begin(&mapping, &input.reading(&mapping));
        state.saved.file = options.file.display().to_string();
        let mut builder = Builder::new(&mapping, &lanes, &tenant, &import_id, schemas)
            .map_err(|error| LogError::Fatal(error.to_string()))?;
        let mut rows = open_rows(&input, &mapping, &options)?;
        let mut pass = Pass {
            options: &options,
            mapping: &mapping,
            state: &mut state,
            batch: Batch::default(),
            progress: Progress { total_bytes: input.bytes, ..Progress::default() },
            events: vec![0; mapping.outputs.len()],
        };
        let stop = pass.rows(&mut rows, &mut builder, publisher, clock, cancel, observe).await?;
        let Pass { progress, events, .. } = pass;
        if stop == Stop::End && progress.bytes != input.bytes {
            return Err(ImportError::Changed(options.file));
        }
        state.saved.complete = stop == Stop::End;
        state.finish()?;
        let events = mapping.outputs.iter().zip(events).map(|(output, count)| (output.kind.name(), count)).collect();
        let rejects_path = state.rejects_path().map(Path::to_path_buf);
        Ok(Report { progress, stop, events, rejects: state.rejects().cloned().collect(), rejects_path })
    }

    /// Runs without publishing or keeping anything; `show` gets the first `first` events as JSON.
    ///
    /// # Errors
    /// The input cannot be read.
    pub async fn dry_run<C: Clock>(
        mut self,
        clock: &C,
        first: usize,
        show: &mut dyn FnMut(Value),
    ) -> Result<Report, ImportError> {
        self.state = State::default();
        let mut preview = Preview { schemas: embedded_schemas()?, left: first, show };
        self.run(&mut preview, clock, &CancellationToken::new(), &mut |_| ()).await
    }
}

fn embedded_schemas() -> Result<Arc<codec::Schemas>, LogError> {
    codec::Schemas::embedded().map(Arc::new).map_err(|error| LogError::Fatal(error.to_string()))
}

fn open_rows<'m>(input: &Input, mapping: &'m Mapping, options: &Options) -> Result<Rows<'m>, ImportError> {
    input.rows(mapping).map_err(|error| match error {
        RowsError::Import(error) => error,
        RowsError::Mapping(error) => ImportError::Mapping { path: options.mapping.clone(), error },
    })
}

struct Preview<'s> {
    schemas: Arc<codec::Schemas>,
    left: usize,
    show: &'s mut dyn FnMut(Value),
}

impl Publisher for Preview<'_> {
    /// Shows the first records; none goes anywhere.
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        for record in records.iter().take(self.left) {
            (self.show)(
                codec::to_json(&self.schemas, &record.value).map_err(|error| LogError::Refused(error.to_string()))?,
            );
        }
        self.left = self.left.saturating_sub(records.len());
        Ok(Vec::new())
    }
}
