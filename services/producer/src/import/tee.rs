//! A reader that keeps what was read lately, so that a rejected row can be shown as it stood in the file; and that
//! refuses a row without end, such as after a quote left open.

use std::io::{self, Read};

/// The largest row, bytes.
const MAX_ROW: usize = 64 << 20;
/// How much forgotten input may wait before the buffer is moved.
const SLACK: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Tee<R> {
    inner: R,
    kept: Vec<u8>,
    /// The offset of the first kept byte.
    start: u64,
    /// The offset before which nothing is needed any more.
    needed: u64,
}

impl<R> Tee<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, kept: Vec::new(), start: 0, needed: 0 }
    }

    /// The number of bytes read.
    pub(super) fn taken(&self) -> u64 {
        self.start + self.kept.len() as u64
    }

    /// States that nothing before this offset will be asked for.
    pub(super) fn forget_before(&mut self, offset: u64) {
        self.needed = offset.clamp(self.needed, self.taken());
        let dead = (self.needed - self.start) as usize;
        if dead > SLACK {
            self.kept.drain(..dead);
            self.start = self.needed;
        }
    }

    /// States that nothing read so far will be asked for.
    pub(super) fn forget_read(&mut self) {
        self.needed = self.taken();
        self.start = self.needed;
        self.kept.clear();
    }

    /// The bytes between two offsets, as far as they are kept.
    pub(super) fn between(&self, from: u64, to: u64) -> &[u8] {
        let place = |offset: u64| (offset.saturating_sub(self.start) as usize).min(self.kept.len());
        self.kept.get(place(from)..place(to)).unwrap_or_default()
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken() - self.needed > MAX_ROW as u64 {
            return Err(io::Error::other("a row is longer than 64 MiB: is a quote left open, or is this not text?"));
        }
        let read = self.inner.read(buffer)?;
        self.kept.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}
