use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server process that never outlives the test process, not even when that is killed.
///
/// A small shell stands between: it holds a pipe from us and kills the server when the pipe closes.
#[derive(Debug)]
pub struct Process {
    shell: Child,
    pid: u32,
    log: PathBuf,
}

const WATCH: &str = r#"log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & pid=$!
echo $pid; exec >&-; cat >/dev/null; kill -9 $pid 2>/dev/null; wait $pid"#;

impl Process {
    /// Starts `command` (program, then arguments) with its output in the file `log`.
    ///
    /// # Panics
    ///
    /// If the program cannot be found.
    pub fn spawn<S: AsRef<str>>(command: &[S], log: &Path) -> Self {
        let program = command[0].as_ref();
        let found = Command::new("sh").args(["-c", "command -v -- \"$1\"", "sh", program]).output();
        assert!(
            found.is_ok_and(|found| found.status.success()),
            "{program} is not on this machine: run scripts/test, which installs what the tests need"
        );
        let mut shell = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(log)
            .args(command.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().expect("piped")).read_line(&mut pid).expect("the shell answers");
        let pid = pid.trim().parse().expect("the shell prints the process id");
        Self { shell, pid, log: log.to_owned() }
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, such as `STOP`, `CONT` or `TERM`, to the server. After `STOP` it does stand still.
    pub fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let _ = Command::new("kill").args(["-s", name, &pid]).stderr(Stdio::null()).status();
        // All its threads have to get the signal; until then it may answer one more time.
        let stands_still = || {
            let state = Command::new("ps").args(["-o", "stat=", "-p", &pid]).output();
            state.is_ok_and(|state| state.stdout.starts_with(b"T"))
        };
        let start = Instant::now();
        while name == "STOP" && !stands_still() && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the server at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }

    /// What the server has printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of 127.0.0.1 that nobody listens on.
///
/// Ports come from below the ephemeral range, so that no outgoing connection takes one before its server does.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Every test process starts elsewhere, so that two of them seldom try the same port at the same time.
    let start = (std::process::id() as u16).wrapping_mul(61) % 15_000;
    for _ in 0..15_000 {
        let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed) % 15_000) % 15_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1");
}

/// Waits until something accepts connections on the port.
///
/// # Panics
///
/// After 30 seconds, with what the server has printed.
pub fn wait_for_port(port: u16, server: &Process) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing listens on port {port} after 30 s; the server printed:\n{}",
            server.output()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
