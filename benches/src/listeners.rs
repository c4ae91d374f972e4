//! The listeners: a process of its own that holds many open inbox streams to one server and says when all of them have
//! been told something. A process here may hold about 20,000 descriptors, so one such process is as large as one server.
//!
//! In: a port and a file of device tokens, one a line. Out, as lines of JSON: how many streams are open; then, each time
//! every stream has been told once more, when the first and the last of them were. It ends when its standard input does.

use crate::clock::unix_micros;
use crate::processes::Process;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Streams that are opened at once.
const OPENING: usize = 64;
/// An event with its fields is some hundred bytes.
const BUFFER: usize = 2048;

/// When a round of telling began and ended at the listeners, in microseconds of Unix time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The first stream had it.
    pub first: u64,
    /// The last one had.
    pub last: u64,
}

/// Runs the listeners.
///
/// # Errors
/// When a stream cannot be opened or ends.
pub fn run(port: u16, tokens: &Path) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let tokens: Vec<String> = std::fs::read_to_string(tokens)?.lines().map(str::to_owned).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), tokens))
}

async fn listen(server: SocketAddr, tokens: Vec<String>) -> Result<()> {
    let all = tokens.len() as u64;
    let (opening, count) = (Arc::new(Semaphore::new(OPENING)), Arc::new(Count { all, ..Count::default() }));
    let mut streams = Vec::with_capacity(tokens.len());
    for token in tokens {
        let permit = opening.clone().acquire_owned().await?;
        streams.push(tokio::spawn(async move {
            let stream = open(server, &token).await;
            drop(permit);
            stream
        }));
    }
    let mut open = Vec::with_capacity(streams.len());
    for stream in streams {
        open.push(stream.await??);
    }
    println!("{{\"open\":{all}}}");
    let ended: Vec<_> = open.into_iter().map(|stream| tokio::spawn(read(stream, count.clone()))).collect();
    for end in ended {
        end.await??;
    }
    Ok(())
}

#[derive(Default)]
struct Count {
    all: u64,
    told: AtomicU64,
    first: AtomicU64,
}

impl Count {
    fn told(&self) {
        let now = unix_micros();
        let told = self.told.fetch_add(1, Ordering::Relaxed) + 1;
        if told % self.all == 1 || self.all == 1 {
            self.first.store(now, Ordering::Relaxed);
        }
        if told.is_multiple_of(self.all) {
            let told = Told { first: self.first.load(Ordering::Relaxed), last: now };
            println!("{}", serde_json::json!(told));
        }
    }
}

async fn open(server: SocketAddr, token: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!(
        "GET /api/v1/device/inbox/stream HTTP/1.1\r\nhost: {server}\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0, "the server closed a stream that was being opened");
    }
    ensure!(head.starts_with(b"HTTP/1.1 200"), "a stream was refused: {}", String::from_utf8_lossy(&head));
    Ok(stream)
}

async fn read(stream: TcpStream, count: Arc<Count>) -> Result<()> {
    loop {
        stream.readable().await?;
        // Taken from the stack for a moment, so that a silent stream costs no buffer.
        let mut buffer = [0; BUFFER];
        match stream.try_read(&mut buffer) {
            Ok(0) => bail!("the server ended a stream"),
            Ok(n) => {
                // Comments that keep the stream alive carry no data.
                if buffer[..n].windows(5).any(|at| at == b"data:") {
                    count.told();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The benchmark program's side: a running process of listeners.
pub struct Listeners {
    output: BufReader<ChildStdout>,
    _process: Process,
}

impl Listeners {
    /// Opens a stream for every token in the file, and waits until all are open.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn start(port: u16, tokens: &Path) -> Result<Listeners> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("listeners").arg(port.to_string()).arg(tokens).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start("the listeners", &mut command)?;
        let output = process.child().stdout.take().context("the listeners have no output")?;
        let mut listeners = Listeners { output: BufReader::new(output), _process: process };
        listeners.line()?;
        Ok(listeners)
    }

    /// Waits until every stream has been told once more.
    ///
    /// # Errors
    /// When a stream ended meanwhile.
    pub fn told(&mut self) -> Result<Told> {
        serde_json::from_str(&self.line()?).context("the listeners speak nonsense")
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the listeners ended: a stream was refused or closed");
        Ok(line)
    }
}
