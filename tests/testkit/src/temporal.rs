//! A Temporal development server.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Process, free_port};

/// `temporal server start-dev` on ports of its own. Its database is a file, so it survives a restart.
#[derive(Debug)]
pub struct TemporalServer {
    process: Process,
    port: u16,
    ui_port: u16,
    options: Vec<String>,
    dir: TempDir,
}

impl TemporalServer {
    /// Starts a server and waits until it serves.
    ///
    /// # Panics
    ///
    /// If there is no `temporal` program, or if the server is not healthy within a minute.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more options of `temporal server start-dev`.
    pub fn start_with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let (port, ui_port) = (free_port(), free_port());
        let process = launch(&dir, port, ui_port, &options);
        let server = Self { process, port, ui_port, options, dir };
        server.wait_until_healthy();
        server
    }

    /// Where the gRPC frontend listens, as `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where the gRPC frontend listens, as `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the Web UI listens.
    pub fn ui_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ui_port)
    }

    /// Kills the server, as `kill -9` does. Its database stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a killed server again on the same ports with the same database.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.dir, self.port, self.ui_port, &self.options);
        self.wait_until_healthy();
    }

    /// Runs the `temporal` program against this server and answers what it prints.
    ///
    /// # Panics
    ///
    /// If it fails, with what it printed.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new(program()).args(args).args(["--address", &self.address()]).output();
        let output = output.expect("the temporal program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "temporal {args:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn wait_until_healthy(&self) {
        let start = Instant::now();
        let healthy = || {
            let health = ["operator", "cluster", "health", "--address", &self.address()];
            let output = Command::new(program()).args(health).output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("SERVING"))
        };
        while !healthy() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the Temporal server is not healthy after 60 s; it printed:\n{}",
                self.process.output()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn launch(dir: &TempDir, port: u16, ui_port: u16, options: &[String]) -> Process {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let program = program();
    let (port, ui_port, http, metrics) =
        (port.to_string(), ui_port.to_string(), free_port().to_string(), free_port().to_string());
    let database = path("temporal.db");
    let program = program.display().to_string();
    let mut command: Vec<&str> = vec![
        &program,
        "server",
        "start-dev",
        "--ip",
        "127.0.0.1",
        "--port",
        &port,
        "--ui-port",
        &ui_port,
        "--http-port",
        &http,
        "--metrics-port",
        &metrics,
        "--log-level",
        "error",
        "--db-filename",
        &database,
    ];
    command.extend(options.iter().map(String::as_str));
    Process::spawn(&command, &dir.path().join("temporal.log"))
}

/// `CLAIM_CHECK_TEMPORAL` where the scripts installed one, else the one on the path.
fn program() -> PathBuf {
    std::env::var_os("CLAIM_CHECK_TEMPORAL").map_or_else(|| "temporal".into(), PathBuf::from)
}
