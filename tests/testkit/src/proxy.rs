//! A TCP proxy that makes a network misbehave.
//!
//! ```no_run
//! # let redis_port = 6379;
//! use testkit::proxy::{Fault, Proxy};
//!
//! let proxy = Proxy::start(redis_port);
//! proxy.inject(1, Fault::ResetAfter(100_000));
//! // Connect to proxy.port(): the first connection breaks in the middle of an answer, the next one works.
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::free_port;

/// A proxy on a free port of 127.0.0.1. It forwards faithfully until told otherwise, also while connections are
/// open, and is gone with all its connections when it is dropped.
///
/// It runs on a thread of its own: a test may block, and needs no runtime.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    link: Arc<Link>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What happens to a connection once, counted in bytes towards the client: since the fault was injected, or
/// since the connection began if that was later.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// After so many bytes the connection is reset.
    ResetAfter(u64),
    /// After so many bytes the connection is closed, as a server does that has sent everything.
    CloseAfter(u64),
    /// After so many bytes, the lowest bit of the next one is flipped.
    CorruptAfter(u64),
}

/// What has gone through so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Connections that clients opened.
    pub connections: u64,
    /// Bytes delivered to the server.
    pub up: u64,
    /// Bytes delivered to clients.
    pub down: u64,
}

impl Proxy {
    /// A proxy for what listens, now or later, on `upstream_port` of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If the machine has no port or thread left.
    pub fn start(upstream_port: u16) -> Self {
        let port = free_port();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let link = Arc::new(Link {
            upstream: (Ipv4Addr::LOCALHOST, upstream_port).into(),
            state: watch::Sender::default(),
            listening: AtomicBool::new(true),
            connections: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let shared = link.clone();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    () = accept(listener, port, &shared) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name(format!("proxy-{port}")).spawn(serve);
        Self { port, link, stop: Some(stop), thread: Some(thread.expect("a thread")) }
    }

    /// Where clients connect to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Delays what goes to the server and what goes to the client, each by so much. It limits no throughput.
    pub fn latency(&self, up: Duration, down: Duration) {
        self.link.state.send_modify(|state| (state.up, state.down) = (up, down));
    }

    /// Limits each direction of each connection to so many bytes per second; 0 means no limit.
    pub fn bytes_per_second(&self, rate: u64) {
        self.link.state.send_modify(|state| state.rate = rate);
    }

    /// Refuses new connections, or accepts them again. Open ones are left alone.
    pub fn refuse(&self, refuse: bool) {
        self.link.state.send_modify(|state| state.refuse = refuse);
        while self.link.listening.load(Ordering::Acquire) == refuse {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Accepts connections and delivers nothing, in neither direction, or goes on where it stopped.
    pub fn black_hole(&self, swallow: bool) {
        self.link.state.send_modify(|state| state.black_hole = swallow);
    }

    /// Resets all open connections.
    pub fn reset_all(&self) {
        self.link.state.send_modify(|state| state.resets += 1);
    }

    /// The next `times` connections to get that far have `fault`. An earlier fault is forgotten.
    pub fn inject(&self, times: u32, fault: Fault) {
        self.link.state.send_modify(|state| {
            state.fault = Some(fault);
            state.times = times;
            state.injected += 1;
        });
    }

    /// Forwards faithfully again.
    pub fn heal(&self) {
        self.link.state.send_modify(|state| {
            let (resets, injected) = (state.resets, state.injected);
            *state = State { resets, injected, ..State::default() };
        });
        self.refuse(false);
    }

    /// What has gone through so far.
    pub fn counts(&self) -> Counts {
        let Link { connections, up, down, .. } = &*self.link;
        let [connections, up, down] = [connections, up, down].map(|count| count.load(Ordering::Relaxed));
        Counts { connections, up, down }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the proxy's owner and its connections share.
#[derive(Debug)]
struct Link {
    upstream: SocketAddr,
    state: watch::Sender<State>,
    listening: AtomicBool,
    connections: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct State {
    up: Duration,
    down: Duration,
    rate: u64,
    refuse: bool,
    black_hole: bool,
    /// How often everything was reset.
    resets: u64,
    fault: Option<Fault>,
    /// How many connections are still to have the fault.
    times: u32,
    /// How many faults were injected: whoever sees another number counts its bytes anew.
    injected: u64,
}

impl Link {
    /// Whether a connection that has come to the fault is to have it.
    fn take_fault(&self) -> bool {
        self.state.send_if_modified(|state| {
            let left = state.times > 0;
            state.times = state.times.saturating_sub(1);
            left
        })
    }

    async fn until(&self, condition: impl FnMut(&State) -> bool) {
        let _ = self.state.subscribe().wait_for(condition).await;
    }
}

/// How a connection ends before its time.
enum End {
    Reset,
    Close,
}

async fn accept(mut listener: TcpListener, port: u16, link: &Arc<Link>) {
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => serve(client, link),
            () = link.until(|state| state.refuse) => {
                // Who has connected already is let in: closing the socket would reset those in its queue.
                let last = listener.into_std().expect("a socket");
                while let Ok((client, _)) = last.accept() {
                    client.set_nonblocking(true).expect("a socket can be non-blocking");
                    serve(TcpStream::from_std(client).expect("a socket"), link);
                }
                drop(last);
                // A bound socket that does not listen keeps the port and refuses connections.
                let socket = TcpSocket::new_v4().expect("a socket");
                socket.set_reuseaddr(true).expect("an option every socket has");
                socket.bind((Ipv4Addr::LOCALHOST, port).into()).expect("the port was ours a moment ago");
                link.listening.store(false, Ordering::Release);
                link.until(|state| !state.refuse).await;
                listener = socket.listen(1024).expect("a bound socket can listen");
                link.listening.store(true, Ordering::Release);
            }
        }
    }
}

fn serve(client: TcpStream, link: &Arc<Link>) {
    link.connections.fetch_add(1, Ordering::Relaxed);
    tokio::spawn(connection(client, link.clone()));
}

async fn connection(mut client: TcpStream, link: Arc<Link>) {
    let Ok(mut server) = TcpStream::connect(link.upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let resets = link.state.borrow().resets;
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                pump(from_client, to_server, &link, Direction::Up),
                pump(from_server, to_client, &link, Direction::Down)
            )
            .err()
        };
        tokio::select! {
            end = both => end,
            () = link.until(|state| state.resets != resets) => Some(End::Reset),
        }
    };
    match end {
        None => {}
        Some(End::Reset) => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        Some(End::Close) => {
            drop(server);
            let _ = client.shutdown().await;
            // What is left unread when a socket is closed turns the close into a reset.
            let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Up,
    Down,
}

/// Carries bytes in one direction until they end; then says so to the receiver.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    link: &Link,
    direction: Direction,
) -> Result<(), End> {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let read = async move {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match from.read(&mut buffer).await {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    let state = link.state.borrow().clone();
                    let latency = if direction == Direction::Up { state.up } else { state.down };
                    let chunk = (Instant::now() + latency, buffer[..count].to_vec());
                    if send.send(chunk).await.is_err() {
                        return Ok(());
                    }
                }
                Err(_) => return Err(End::Reset),
            }
        }
    };
    let write = async {
        let (mut passed, mut injected) = (0, 0);
        while let Some((due, mut chunk)) = receive.recv().await {
            if due > Instant::now() {
                sleep_until(due).await;
            }
            link.until(|state| !state.black_hole).await;
            let state = link.state.borrow().clone();
            if state.injected != injected {
                (injected, passed) = (state.injected, 0);
            }
            let mut end = None;
            if let Some(fault) = state.fault.filter(|_| direction == Direction::Down) {
                end = befall(fault, &mut chunk, passed, link);
            }
            passed += chunk.len() as u64;
            deliver(&chunk, &mut to, link, direction, state.rate).await.map_err(|_| End::Reset)?;
            end.map_or(Ok(()), Err)?;
        }
        to.shutdown().await.map_err(|_| End::Reset)
    };
    tokio::try_join!(read, write).map(|_| ())
}

/// Lets `fault` happen if `chunk`, after `passed` bytes, reaches its place. Answers how the connection ends.
fn befall(fault: Fault, chunk: &mut Vec<u8>, passed: u64, link: &Link) -> Option<End> {
    let (Fault::ResetAfter(place) | Fault::CloseAfter(place) | Fault::CorruptAfter(place)) = fault;
    let place = usize::try_from(place.checked_sub(passed)?).ok()?;
    let reached = match fault {
        Fault::CorruptAfter(_) => place < chunk.len(),
        _ => place <= chunk.len(),
    };
    if !reached || !link.take_fault() {
        return None;
    }
    match fault {
        Fault::CorruptAfter(_) => {
            chunk[place] ^= 1;
            None
        }
        Fault::ResetAfter(_) => {
            chunk.truncate(place);
            Some(End::Reset)
        }
        Fault::CloseAfter(_) => {
            chunk.truncate(place);
            Some(End::Close)
        }
    }
}

async fn deliver(
    chunk: &[u8],
    to: &mut (impl AsyncWrite + Unpin),
    link: &Link,
    direction: Direction,
    rate: u64,
) -> std::io::Result<()> {
    let count = if direction == Direction::Up { &link.up } else { &link.down };
    // Twenty pieces a second are smooth enough.
    let piece = if rate == 0 { chunk.len() } else { usize::try_from(rate / 20).unwrap_or(usize::MAX) };
    for piece in chunk.chunks(piece.max(1)) {
        to.write_all(piece).await?;
        count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if rate > 0 {
            sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64)).await;
        }
    }
    Ok(())
}
