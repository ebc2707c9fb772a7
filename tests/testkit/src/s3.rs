//! S3 servers. No single one does everything that AWS does, so there are three.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::{Process, free_port, wait_for_port};

const ACCESS_KEY: &str = "TESTKITACCESS";
const SECRET_KEY: &str = "testkit-secret-key-of-no-worth";

/// An S3 server on a port and in a directory of its own. Its blobs are gone when it is.
#[derive(Debug)]
pub struct S3Server {
    port: u16,
    /// The one that serves S3 first, then those it needs. They go before the directory.
    processes: Vec<Process>,
    ceph: Option<Ceph>,
    _dir: Directory,
}

/// The keys of a user.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's access key.
    pub access_key: String,
    /// The user's secret key.
    pub secret_key: String,
}

impl S3Server {
    /// The Ceph RADOS gateway of this test process: a production server, with atomic conditional writes, any key,
    /// signatures of body and request enforced, users and bucket policies. It takes ten seconds to start, so it is
    /// started once and shared; use a bucket of your own.
    ///
    /// # Panics
    ///
    /// If Ceph is not installed or does not start.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<S3Server> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// A Ceph RADOS gateway for one test, to be stopped or killed; see [`shared`](Self::shared).
    ///
    /// # Panics
    ///
    /// If Ceph is not installed or does not start.
    pub fn start() -> Self {
        let dir = Directory::new();
        let (ceph, port) = (Ceph { config: dir.path().join("ceph.conf") }, free_port());
        let processes = ceph.start(dir.path(), port);
        Self { port, processes, ceph: Some(ceph), _dir: dir }
    }

    /// The Versity gateway over a directory: verifies `x-amz-checksum-sha256`, which Ceph ignores. Its keys are
    /// paths, so no key may be the start of another. Starts at once.
    ///
    /// # Panics
    ///
    /// If it is not installed or does not start.
    pub fn versity() -> Self {
        let (dir, port) = (Directory::new(), free_port());
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("a directory for the data");
        let command = [
            installed("versitygw").display().to_string(),
            "--access".into(),
            ACCESS_KEY.into(),
            "--secret".into(),
            SECRET_KEY.into(),
            "--port".into(),
            format!("127.0.0.1:{port}"),
            "--keep-alive".into(),
            "--quiet".into(),
            "posix".into(),
            "--sidecar".into(),
            dir.path().join("metadata").display().to_string(),
            data.display().to_string(),
        ];
        std::fs::create_dir(dir.path().join("metadata")).expect("a directory for the metadata");
        Self::of_command(&command, port, dir)
    }

    /// A server in memory that knows nothing of conditional writes: it ignores `If-None-Match`. It verifies no
    /// signature either.
    ///
    /// # Panics
    ///
    /// If it is not installed or does not start.
    pub fn without_conditional_writes() -> Self {
        let (dir, port) = (Directory::new(), free_port());
        let command = [
            installed("gofakes3").display().to_string(),
            "-backend".into(),
            "memory".into(),
            "-host".into(),
            format!("127.0.0.1:{port}"),
        ];
        Self::of_command(&command, port, dir)
    }

    fn of_command(command: &[String], port: u16, dir: Directory) -> Self {
        let process = Process::spawn(command, &dir.path().join("s3.log"));
        wait_for_port(port, &process);
        Self { port, processes: vec![process], ceph: None, _dir: dir }
    }

    /// Where it listens, as `http://127.0.0.1:PORT`. It wants path style.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The keys of a user who may do everything, on every server.
    pub fn credentials() -> User {
        User { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned() }
    }

    /// The access key of a user who may do everything.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret key that goes with it.
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Creates a bucket that nobody else has and answers its name.
    ///
    /// # Panics
    ///
    /// If curl is not installed or the server refuses.
    pub fn create_bucket(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.curl("PUT", &name, "");
        name
    }

    /// Creates a user who may do `actions`, such as `s3:GetObject`, in `bucket`, and nothing else.
    ///
    /// # Panics
    ///
    /// If this server has no users (only Ceph does), or it refuses.
    pub fn create_user(&self, bucket: &str, actions: &[&str]) -> User {
        let ceph = self.ceph.as_ref().expect("only Ceph has users and policies");
        let user = User { access_key: format!("key-{bucket}"), secret_key: format!("secret-{bucket}") };
        ceph.create_user(&format!("user-{bucket}"), &user.access_key, &user.secret_key);
        let quoted: Vec<_> = actions.iter().map(|action| format!("\"{action}\"")).collect();
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam:::user/user-{bucket}"]}},
            "Action":[{}],"Resource":["arn:aws:s3:::{bucket}","arn:aws:s3:::{bucket}/*"]}}]}}"#,
            quoted.join(",")
        );
        self.curl("PUT", &format!("{bucket}?policy="), &policy);
        user
    }

    /// Sends a signal, such as `STOP` and `CONT`, to the process that serves S3.
    pub fn signal(&self, name: &str) {
        self.processes[0].signal(name);
    }

    /// Kills the server. What it had is gone.
    pub fn kill(&mut self) {
        self.processes.iter_mut().for_each(Process::kill);
    }

    fn curl(&self, method: &str, path: &str, body: &str) {
        let mut curl = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--aws-sigv4", "aws:amz:us-east-1:s3"])
            .args([
                "--user",
                &format!("{ACCESS_KEY}:{SECRET_KEY}"),
                "--request",
                method,
                "--data-binary",
                "@-",
            ])
            .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .arg(format!("{}/{path}", self.endpoint()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("curl is on this machine");
        curl.stdin.take().expect("piped").write_all(body.as_bytes()).expect("curl reads");
        let output = curl.wait_with_output().expect("curl ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{method} {path}: {}{}; the server printed:\n{}",
            text(&output.stdout),
            text(&output.stderr),
            self.processes[0].output()
        );
    }
}

/// A cluster of the smallest size: one monitor, one OSD that keeps its data in memory, one gateway.
#[derive(Debug)]
struct Ceph {
    config: PathBuf,
}

impl Ceph {
    fn start(&self, dir: &Path, port: u16) -> Vec<Process> {
        let monitor_address = format!("[v1:127.0.0.1:{}]", free_port());
        let (fsid, osd_id) = (uuid(), uuid());
        std::fs::write(&self.config, config(dir, &fsid, &monitor_address, port)).expect("written");
        for directory in ["mon", "osd", "run"] {
            std::fs::create_dir(dir.join(directory)).expect("a directory for Ceph");
        }
        let config = self.config.display().to_string();
        let log = |name: &str| dir.join(format!("{name}.log"));

        let map = dir.join("monmap").display().to_string();
        run(&["monmaptool", "--create", "--fsid", &fsid, "--addv", "a", &monitor_address, &map]);
        run(&["ceph-mon", "-c", &config, "-i", "a", "--mkfs", "--monmap", &map]);
        let monitor = Process::spawn(&["ceph-mon", "-c", &config, "-i", "a", "-f"], &log("mon"));

        // Without authentication the monitor refuses now and then; asking again helps.
        eventually(&["ceph", "-c", &config, "osd", "new", &osd_id]);
        eventually(&[
            "ceph",
            "-c",
            &config,
            "osd",
            "crush",
            "add",
            "osd.0",
            "1",
            "root=default",
            "host=local",
        ]);
        run(&["ceph-osd", "-c", &config, "-i", "0", "--mkfs", "--osd-uuid", &osd_id]);
        let osd = self.start_osd(&log("osd"));

        let gateway = Process::spawn(&["radosgw", "-c", &config, "-n", "client.rgw", "-f"], &log("rgw"));
        wait_for_port(port, &gateway);
        self.create_user("testkit", ACCESS_KEY, SECRET_KEY);
        vec![gateway, osd, monitor]
    }

    /// An OSD that joined the cluster. Now and then one is refused and waits for ever; the next one is not.
    fn start_osd(&self, log: &Path) -> Process {
        let config = self.config.display().to_string();
        for _ in 0..4 {
            let osd = Process::spawn(&["ceph-osd", "-c", &config, "-i", "0", "-f"], log);
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(8) {
                if try_run(&["sh", "-c", "ceph -c \"$1\" osd stat | grep -q '1 up'", "sh", &config]).is_ok() {
                    return osd;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        let log = std::fs::read_to_string(log).unwrap_or_default();
        panic!("the OSD does not join its Ceph cluster; it printed:\n{log}");
    }

    fn create_user(&self, name: &str, access_key: &str, secret_key: &str) {
        let config = self.config.display().to_string();
        let program = ["radosgw-admin", "-c", &config, "-n", "client.rgw", "user", "create"];
        let (uid, display) = (format!("--uid={name}"), format!("--display-name={name}"));
        let (access, secret) = (format!("--access-key={access_key}"), format!("--secret={secret_key}"));
        eventually(&[&program[..], &[&uid, &display, &access, &secret]].concat());
    }
}

fn config(dir: &Path, fsid: &str, monitor_address: &str, port: u16) -> String {
    let dir = dir.display();
    format!(
        "[global]
fsid = {fsid}
mon host = {monitor_address}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = {dir}/run
admin socket = {dir}/run/$name.sock
crash dir = {dir}/run
log file = /dev/null
mon data = {dir}/mon
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd data = {dir}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
osd crush update on start = false
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
rgw data = {dir}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
rgw enable usage log = false
"
    )
}

/// A directory that also goes when the test process ends without dropping it, as statics are never dropped.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    _open_while_we_live: ChildStdin,
    sweeper: Child,
}

impl Directory {
    fn new() -> Self {
        let path = tempfile::tempdir().expect("a temporary directory").keep();
        // The servers get a moment to be killed first.
        let mut sweeper = Command::new("sh")
            .args(["-c", "cat >/dev/null; sleep 0.5; rm -rf \"$1\"", "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let stdin = sweeper.stdin.take().expect("piped");
        Self { path, _open_while_we_live: stdin, sweeper }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Its pipe closes after this; whoever reaps it, reaps it.
        let _ = self.sweeper.try_wait();
    }
}

/// A server that `scripts/servers/s3.sh` installed, or one on the path.
fn installed(program: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/temporal-claim-check"));
    let cache = std::env::var_os("CLAIM_CHECK_CACHE").map(PathBuf::from).or_else(home);
    let here = cache.map(|cache| cache.join("bin").join(program)).filter(|path| path.exists());
    here.unwrap_or_else(|| program.into())
}

fn uuid() -> String {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("Linux gives random UUIDs");
    uuid.trim().to_owned()
}

fn run(command: &[&str]) {
    try_run(command).unwrap_or_else(|why| panic!("{}: {why}", command.join(" ")));
}

fn eventually(command: &[&str]) {
    let start = Instant::now();
    while let Err(why) = try_run(command) {
        assert!(start.elapsed() < Duration::from_secs(30), "{}: {why}", command.join(" "));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn try_run(command: &[&str]) -> Result<(), String> {
    let output =
        Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output().map_err(|error| {
            format!("{error}: run scripts/servers/s3.sh, which installs what the tests need")
        })?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
