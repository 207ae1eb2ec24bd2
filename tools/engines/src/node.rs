//! One process of an engine, on its ports and its data: killed, stopped, paused and started again.

use crate::command::tail;
use crate::process::{Launch, alive, send, signal_tree, spawn};
use crate::wait::until;
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a start may take, also on a machine that starts everything at once.
const START: Duration = Duration::from_secs(180);
/// How long a stop in good order may take.
const STOP: Duration = Duration::from_secs(60);
/// How long what was killed may take to vanish.
const VANISH: Duration = Duration::from_secs(20);

type Ready = Box<dyn Fn() -> bool + Send + Sync>;

/// A process of an engine. Ports and data stay the same over every restart. Killed when dropped, with all below it.
pub struct Node {
    title: String,
    launch: Launch,
    log: PathBuf,
    ready: Ready,
    child: Mutex<Option<Child>>,
}

impl Node {
    /// A process that is not started yet; `ready` says whether it serves.
    pub(crate) fn new(title: String, launch: Launch, ready: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let log = launch.folder.join("log");
        Self { title, launch, log, ready: Box::new(ready), child: Mutex::new(None) }
    }

    /// A process that serves.
    pub(crate) fn started(
        title: String,
        launch: Launch,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Self> {
        let node = Self::new(title, launch, ready);
        node.spawn()?;
        node.wait_ready()?;
        Ok(node)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Starts it where it is not running, and does not wait: several can start at once.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn spawn(&self) -> Result<()> {
        let mut child = self.child();
        if child.is_some() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = self.launch.command();
        command.stdout(log.try_clone().context("cannot share the log")?).stderr(log);
        *child = Some(spawn(command).with_context(|| format!("cannot start {}", self.title))?);
        Ok(())
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// Where it ends, or does not serve within three minutes: with the tail of its log.
    pub fn wait_ready(&self) -> Result<()> {
        if self.pid().is_none() {
            bail!("{} is not running: start it first", self.title);
        }
        let ended = || self.child().as_mut().and_then(|child| child.try_wait().ok().flatten());
        match until(START, || ended().map(Err).or_else(|| (self.ready)().then_some(Ok(())))) {
            Some(Ok(())) => Ok(()),
            Some(Err(status)) => {
                *self.child() = None;
                bail!("{} ended while starting, {}", self.title, self.last_words(Some(status)))
            }
            None => bail!("{} does not answer after {START:?}, {}", self.title, self.last_words(None)),
        }
    }

    /// SIGKILL to it and to everything below it, as a crash does; returns when all are gone. Not an error where it is
    /// down already.
    ///
    /// # Errors
    /// Where it does not go.
    pub fn kill(&self) -> Result<()> {
        let Some(mut child) = self.child().take() else { return Ok(()) };
        // Fails only where it has ended by itself.
        let tree = signal_tree(child.id(), Signal::SIGKILL).unwrap_or_default();
        child.wait().with_context(|| format!("cannot wait for {}", self.title))?;
        until(VANISH, || (!tree.iter().any(|pid| alive(*pid))).then_some(()))
            .with_context(|| format!("{} was killed, but some of {tree:?} are still there", self.title))
    }

    /// Stops it in good order, and waits until it has ended. Not an error where it is down already.
    ///
    /// # Errors
    /// Where it had not ended within a minute; it is killed then.
    pub fn stop(&self) -> Result<()> {
        if self.end(STOP) {
            return Ok(());
        }
        self.kill()?;
        bail!("{} did not stop within {STOP:?} and was killed, {}", self.title, self.last_words(None))
    }

    /// Starts it again on the same ports and data, and waits until it serves; stops it first where it still runs.
    ///
    /// # Errors
    /// As [`Node::stop`], [`Node::spawn`] and [`Node::wait_ready`].
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.spawn()?;
        self.wait_ready()
    }

    /// SIGSTOP to it and to everything below it: connections stay open, and nothing answers.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after [`Node::pause`].
    ///
    /// # Errors
    /// Where it is not running.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("{} is not running", self.title))?;
        signal_tree(pid, signal).with_context(|| format!("cannot send {signal} to {}", self.title))?;
        Ok(())
    }

    /// Asks it to end and waits; false where it is still there.
    fn end(&self, deadline: Duration) -> bool {
        let Some(pid) = self.pid() else { return true };
        // What is paused hears nothing else. Both fail only where it has ended.
        let _ = signal_tree(pid, Signal::SIGCONT);
        let _ = send(pid, self.launch.stop);
        let ended = until(deadline, || self.child().as_mut().and_then(|child| child.try_wait().ok().flatten()));
        if ended.is_some() {
            *self.child() = None;
        }
        ended.is_some()
    }

    fn last_words(&self, status: Option<ExitStatus>) -> String {
        let status = status.map(|status| format!("{status}; ")).unwrap_or_default();
        let command = crate::command::show(&self.launch.command());
        format!("{status}its log ends:\n{}\nthe command was: {command}", tail(&self.log()))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its data go with it, so there is nothing to save: only what would leave something else behind ends in order.
        if self.launch.orphaned == self.launch.stop {
            self.end(VANISH);
        }
        let _ = self.kill();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("title", &self.title).field("pid", &self.pid()).finish_non_exhaustive()
    }
}
