//! The proxy itself: what it forwards, and every way it misbehaves.

#![allow(missing_docs)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use testkit::proxy::{Counts, Fault, Proxy};

/// A proxy before a server that answers every byte with itself.
fn echo() -> Proxy {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut back = stream.try_clone().expect("a socket");
                let _ = std::io::copy(&mut &stream, &mut back);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    Proxy::start(port)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    stream
}

/// Sends `bytes` and reads until the end or an error.
fn exchange(proxy: &Proxy, bytes: &[u8]) -> (Vec<u8>, std::io::Result<usize>) {
    let stream = connect(proxy);
    let (mut sender, sent) = (stream.try_clone().expect("a socket"), bytes.to_vec());
    let sending = std::thread::spawn(move || {
        let _ = sender.write_all(&sent).and_then(|()| sender.shutdown(Shutdown::Write));
    });
    let mut read = Vec::new();
    let end = (&stream).read_to_end(&mut read);
    sending.join().expect("no panic");
    (read, end)
}

fn numbers(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

#[test]
fn it_forwards_and_counts() {
    let (proxy, sent) = (echo(), numbers(3_000_000));
    for _ in 0..2 {
        let (read, end) = exchange(&proxy, &sent);
        assert!(end.is_ok() && read == sent);
    }
    assert_eq!(proxy.counts(), Counts { connections: 2, up: 6_000_000, down: 6_000_000 });
}

#[test]
fn it_refuses_and_accepts_again() {
    let proxy = echo();
    let mut open = connect(&proxy);
    for _ in 0..3 {
        proxy.refuse(true);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()));
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::ConnectionRefused);
        proxy.refuse(false);
        assert_eq!(exchange(&proxy, b"hello").0, b"hello");
    }
    open.write_all(b"x").expect("still open");
    open.read_exact(&mut [0]).expect("still open");
}

#[test]
fn connections_are_reset() {
    let proxy = echo();
    let mut open = connect(&proxy);
    open.write_all(b"x").expect("sent");
    open.read_exact(&mut [0]).expect("answered");
    proxy.reset_all();
    assert_eq!(open.read(&mut [0]).expect_err("reset").kind(), ErrorKind::ConnectionReset);

    proxy.inject(1, Fault::ResetAfter(100_000));
    let (read, end) = exchange(&proxy, &numbers(1_000_000));
    assert_eq!(end.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    assert!(read.len() <= 100_000);
    assert_eq!(exchange(&proxy, b"hello").0, b"hello");
}

#[test]
fn connections_are_cut_short_and_bytes_changed() {
    let (proxy, sent) = (echo(), numbers(1_000_000));
    for place in [0, 1, 100_000] {
        proxy.inject(1, Fault::CloseAfter(place));
        let (read, end) = exchange(&proxy, &sent);
        assert_eq!(end.ok(), Some(place as usize));
        assert_eq!(read, sent[..read.len()]);
    }
    proxy.inject(1, Fault::CorruptAfter(777_777));
    let mut changed = sent.clone();
    changed[777_777] ^= 1;
    assert!(exchange(&proxy, &sent).0 == changed);
    assert!(exchange(&proxy, &sent).0 == sent);
}

#[test]
fn faults_count_from_now_on_open_connections() {
    let proxy = echo();
    let mut open = connect(&proxy);
    let mut answer = [0; 5];
    let mut ask = || {
        open.write_all(b"hello").expect("sent");
        open.read_exact(&mut answer).map(|()| answer)
    };
    ask().expect("answered");
    proxy.inject(1, Fault::CorruptAfter(6));
    assert_eq!(ask().expect("answered"), *b"hello");
    assert_eq!(ask().expect("answered"), *b"hdllo");
    proxy.inject(1, Fault::CloseAfter(2));
    assert_eq!(ask().expect_err("cut").kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_black_hole_swallows_until_it_is_healed() {
    let proxy = echo();
    proxy.black_hole(true);
    let mut open = connect(&proxy);
    open.write_all(b"hello").expect("sent");
    open.set_read_timeout(Some(Duration::from_millis(50))).expect("an option");
    assert_eq!(open.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    assert_eq!((proxy.counts().connections, proxy.counts().up), (1, 0));
    proxy.heal();
    open.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    open.read_exact(&mut [0; 5]).expect("answered");
}

#[test]
fn it_takes_its_time() {
    let proxy = echo();
    proxy.latency(Duration::from_millis(40), Duration::from_millis(60));
    let start = Instant::now();
    assert_eq!(exchange(&proxy, b"hello").0, b"hello");
    assert!(start.elapsed() >= Duration::from_millis(100));
    proxy.heal();
    proxy.bytes_per_second(100_000);
    let start = Instant::now();
    let (read, _) = exchange(&proxy, &numbers(20_000));
    assert!(read.len() == 20_000 && start.elapsed() >= Duration::from_millis(190));
}

#[test]
fn it_is_gone_when_dropped() {
    let proxy = echo();
    let (port, mut open) = (proxy.port(), connect(&proxy));
    drop(proxy);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    assert!(!matches!(open.read(&mut [0]), Ok(1..)));
}
