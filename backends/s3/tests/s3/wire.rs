//! What stands between the store and a server, or in a server's place.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to each connection, at a number of bytes in one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    CutRequest(u64),
    StallRequest(u64),
    /// Changes the byte at this place.
    DamageRequest(u64),
    /// Lets so many bytes pass in a tenth of a second.
    SlowRequest(usize),
    CutAnswer(u64),
    StallAnswer(u64),
}

/// A proxy that counts, and fails on demand.
pub(crate) struct Wire {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    pub(crate) async fn to(server_port: u16, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let wire = Self { address, sent: Arc::default(), requests: Arc::default() };
        let (sent, requests) = (wire.sent.clone(), wire.requests.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server =
                    TcpStream::connect(("127.0.0.1", server_port)).await.expect("the server listens");
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let (sent, requests) = (sent.clone(), requests.clone());
                tokio::spawn(async move {
                    let seen = move |bytes: &[u8]| {
                        sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        // A request starts with its line, and the SDK sends each head at once.
                        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
                        if line.ends_with(b" HTTP/1.1") {
                            requests.lock().expect("whole").push(String::from_utf8_lossy(line).into_owned());
                        }
                    };
                    tokio::select! {
                        () = pump(from_client, to_server, fault.of_requests(), seen) => {}
                        () = pump(from_server, to_client, fault.of_answers(), |_| {}) => {}
                    }
                });
            }
        });
        wire
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bytes that went to the server since this was asked last.
    pub(crate) fn take_sent(&self) -> u64 {
        self.sent.swap(0, Ordering::Relaxed)
    }

    /// The methods of the requests since this was asked last.
    pub(crate) fn take_methods(&self) -> Vec<String> {
        let requests = std::mem::take(&mut *self.requests.lock().expect("whole"));
        requests.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }
}

impl Fault {
    fn of_requests(self) -> Self {
        if matches!(self, Self::CutAnswer(_) | Self::StallAnswer(_)) { Self::None } else { self }
    }

    fn of_answers(self) -> Self {
        if matches!(self, Self::CutAnswer(_) | Self::StallAnswer(_)) { self } else { Self::None }
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    fault: Fault,
    seen: impl Fn(&[u8]),
) {
    let (mut buffer, mut passed) = (vec![0; 64 * 1024], 0u64);
    loop {
        let most = if let Fault::SlowRequest(bytes) = fault { bytes } else { buffer.len() };
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { return };
        let mut bytes = &mut buffer[..read];
        let within = |place: u64| usize::try_from(place.saturating_sub(passed)).ok().filter(|at| *at < read);
        match fault {
            Fault::CutRequest(at) | Fault::CutAnswer(at) if within(at).is_some() => {
                bytes = &mut bytes[..within(at).unwrap_or_default()];
                let _ = to.write_all(bytes).await;
                return;
            }
            Fault::StallRequest(at) | Fault::StallAnswer(at) if within(at).is_some() => {
                return std::future::pending().await;
            }
            Fault::DamageRequest(at) => {
                if let Some(at) = within(at).filter(|_| passed <= at) {
                    bytes[at] ^= 1;
                }
            }
            Fault::SlowRequest(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => {}
        }
        seen(bytes);
        if to.write_all(bytes).await.is_err() {
            return;
        }
        passed += read as u64;
    }
}

/// Answers each request with the next of some texts, the last one again and again. An empty one is a connection that
/// is closed without an answer.
pub(crate) struct Fake {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(crate) async fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let fake = Self { address, heads: Arc::default() };
        let answers: Arc<[String]> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let (heads, next) = (fake.heads.clone(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (answers, heads, next) = (answers.clone(), heads.clone(), next.clone());
                tokio::spawn(async move {
                    while let Some(head) = request(&mut client).await {
                        heads.lock().expect("whole").push(head);
                        let answer = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
                        if answers[answer].is_empty() {
                            return;
                        }
                        if client.write_all(answers[answer].as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        fake
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Request lines and headers so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("whole").iter().map(|head| head.to_lowercase()).collect()
    }
}

/// An answer without a body.
pub(crate) fn empty(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n")
}

/// S3's way to refuse.
pub(crate) fn refusal(status: &str, headers: &str, code: &str) -> String {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>payload: secret</Message></Error>"
    );
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-type: application/xml\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one request and drops its body.
async fn request(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body).await.ok()?;
    Some(head)
}
