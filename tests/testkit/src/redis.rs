//! Redis servers.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Process, free_port, wait_for_port};

/// A redis-server on a port and in a directory of its own.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
    config: Vec<String>,
    dir: TempDir,
}

impl RedisServer {
    /// Starts an empty server that keeps its data in memory only.
    ///
    /// # Panics
    ///
    /// If redis-server is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more lines of configuration, such as `requirepass secret`.
    pub fn start_with(config: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config: Vec<_> = config.iter().map(|line| (*line).to_owned()).collect();
        let port = free_port();
        let process = launch(&dir, port, &config);
        Self { process, port, config, dir }
    }

    /// The server's database 0, without credentials.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Kills the server. What it had in memory is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a killed server again on the same port.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.dir, self.port, &self.config);
    }

    /// Sends a signal, such as `STOP` and `CONT`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Runs one command with redis-cli and answers what it prints.
    ///
    /// # Panics
    ///
    /// If redis-cli is not installed or fails.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args).output();
        let output = output.expect("redis-cli runs");
        assert!(output.status.success(), "redis-cli {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A number of `INFO`, such as `total_net_input_bytes`.
    ///
    /// # Panics
    ///
    /// If there is no such field.
    pub fn statistic(&self, field: &str) -> u64 {
        let info = self.cli(&["INFO", "everything"]);
        let line = info.lines().find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("INFO has no number {field}"))
    }
}

fn launch(dir: &TempDir, port: u16, config: &[String]) -> Process {
    let socket = dir.path().join("redis.sock");
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        format!("port {port}"),
        format!("unixsocket {}", socket.display()),
        format!("dir {}", dir.path().display()),
        "save \"\"".to_owned(),
    ];
    lines.extend_from_slice(config);
    let file = dir.path().join("redis.conf");
    std::fs::write(&file, lines.join("\n") + "\n").expect("the configuration is written");
    let process =
        Process::spawn(&["redis-server", &file.display().to_string()], &dir.path().join("redis.log"));
    wait_for_port(port, &process);
    process
}
