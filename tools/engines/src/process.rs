//! Processes that never outlive us, and signals to all that belongs to one.
//!
//! `setpriv` (util-linux) has the kernel signal the engine when its parent dies, whichever way that happens. The
//! kernel means the parent's *thread*: so one thread, which lives as long as the process, starts all of them.

use crate::command;
use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// A program with its arguments, as an engine runs it.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, OsString)>,
    /// The working folder.
    pub(crate) folder: PathBuf,
    /// Whom it runs as; `None`: as us.
    pub(crate) user: Option<User>,
    /// What ends it in good order.
    pub(crate) stop: Signal,
    /// What it gets when its handle is dropped, or we die.
    pub(crate) orphaned: Signal,
}

impl Launch {
    /// A program that runs as us, is stopped by SIGTERM, and killed with us.
    pub(crate) fn new(program: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            folder: folder.into(),
            user: None,
            stop: Signal::SIGTERM,
            orphaned: Signal::SIGKILL,
        }
    }

    /// Adds arguments.
    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The command, bound to our life, in a process group of its own: Ctrl-C in a terminal is for us, not for it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", self.orphaned.as_str().trim_start_matches("SIG")]);
        if let Some(user) = &self.user {
            command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups"]);
        }
        command.arg("--").arg(&self.program).args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.folder).process_group(0).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Result<()> {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = spawn(command)?;
        let output = child.wait_with_output().with_context(|| format!("cannot wait for {}", self.program.display()))?;
        command::finished(&command::show(&self.command()), output)?;
        Ok(())
    }
}

type Spawned = Result<Child>;

/// Starts a process from the thread that lives as long as we do.
pub(crate) fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<(Command, Sender<Spawned>)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = channel::<(Command, Sender<Spawned>)>();
        std::thread::spawn(move || {
            for (mut command, reply) in jobs {
                let spawned = command.spawn();
                let spawned = spawned.map_err(|error| command::not_started(&command::show(&command), &command, error));
                // Who asked waits for the answer.
                let _ = reply.send(spawned);
            }
        });
        sender
    });
    let (reply, answer) = channel();
    spawner.send((command, reply)).ok().context("the thread that starts processes is gone")?;
    answer.recv().context("the thread that starts processes is gone")?
}

/// A process and everything below it: Postgres is a process per connection.
///
/// # Errors
/// Where the process is gone.
pub(crate) fn signal_tree(root: u32, signal: Signal) -> io::Result<Vec<u32>> {
    // Stopped first, so that it starts no others while they are being counted.
    send(root, Signal::SIGSTOP)?;
    let tree = tree(root);
    for pid in &tree {
        // One that ended meanwhile needs no signal.
        let _ = send(*pid, signal);
    }
    Ok(tree)
}

/// Sends a signal to one process.
pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok(kill(Pid::from_raw(pid), signal)?)
}

/// True while the process runs; a zombie does not.
pub(crate) fn alive(pid: u32) -> bool {
    stat(&pid.to_string()).is_some_and(|(_, state)| state != "Z" && state != "X")
}

/// The process and all its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((name, pid)) = name.to_str().and_then(|name| Some((name, name.parse().ok()?))) else { continue };
        if let Some((parent, _)) = stat(name) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        tree.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    tree
}

/// Parent and state of a process.
fn stat(pid: &str) -> Option<(u32, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before them stands in brackets, and may itself hold brackets and spaces.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.to_owned();
    Some((fields.next()?.parse().ok()?, state))
}
