//! A child process of the binary, and what it says.

use crate::wait::until;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running `sporelog`; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts it and keeps what it writes to standard error.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Waits for a line that contains `text`; false where the process ended without one.
    pub fn says(&mut self, text: &str) -> bool {
        until(&format!("for {text:?} in the output of the process"), || {
            let ended = self.child.try_wait().unwrap().is_some();
            if ended && let Some(reader) = self.reader.take() {
                let _ = reader.join();
            }
            let said = self.output().contains(text);
            (said || ended).then_some(said)
        })
    }

    /// Waits for a line that contains `text`.
    ///
    /// # Panics
    /// Where the process ends first.
    pub fn wait_line(&mut self, text: &str) {
        assert!(self.says(text), "the process ended without {text:?}: {}", self.output());
    }

    /// Where it serves probes and metrics, once it says so.
    pub fn http(&mut self) -> SocketAddr {
        self.wait_line("http=");
        let output = self.output();
        let address = output.split("http=").nth(1).unwrap().split_whitespace().next().unwrap();
        address.trim_matches('"').parse().unwrap()
    }

    /// Kills it as a power cut of the process would: SIGKILL.
    pub fn kill9(mut self) {
        self.end();
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -{name} failed");
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the process to end by itself.
    pub fn wait(mut self) -> ExitStatus {
        until("for the process to end", || self.child.try_wait().unwrap())
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The status and the body that a path answers with.
#[must_use]
pub fn get(http: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}
