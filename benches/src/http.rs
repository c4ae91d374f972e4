//! A small blocking HTTP/1.1 client (RFC 9112) that knows to the microsecond when it wrote a request: one kept
//! connection, whole answers, no redirects.

use crate::clock::unix_micros;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// A connection that was idle for longer is not used again: the server may be closing it just now.
const MOST_IDLE: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const MOST_BYTES: usize = 64 << 20;
/// Between the parts of an upload.
const BOUNDARY: &str = "carillon-bench-boundary-7f3a";

/// A client of one port of this machine.
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
    stream: Option<(BufReader<TcpStream>, Instant)>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// When the request was handed to the kernel, in microseconds of Unix time.
    pub written_micros: u64,
    /// When the answer had been read.
    pub read_micros: u64,
}

impl Answer {
    /// The body as JSON, when the status is one of success.
    ///
    /// # Errors
    /// The status and the body, when it is not.
    pub fn json(&self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }
}

impl Client {
    /// A client of `port`; with a token it signs in with every request.
    pub fn new(port: u16, token: Option<String>) -> Client {
        Client { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), token, stream: None }
    }

    /// `GET path`, as JSON.
    ///
    /// # Errors
    /// When there is no good answer.
    pub fn get(&mut self, path: &str) -> Result<Value> {
        self.ask("GET", path, None).and_then(|a| a.json()).with_context(|| format!("GET {path}"))
    }

    /// `POST path` with a JSON body, as JSON.
    ///
    /// # Errors
    /// When there is no good answer.
    pub fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, Some(body)).and_then(|a| a.json()).with_context(|| format!("POST {path}"))
    }

    /// Any request, any answer.
    ///
    /// # Errors
    /// When the other side is not there or does not speak HTTP.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let mut request = self.head(method, path, kind, body.len() as u64).into_bytes();
        request.extend_from_slice(body.as_bytes());
        self.exchange(|stream| stream.write_all(&request))
    }

    /// `POST path` with files as `multipart/form-data` (RFC 7578).
    ///
    /// # Errors
    /// When a file cannot be read, or as [`Client::ask`].
    pub fn upload(&mut self, path: &str, files: &[PathBuf]) -> Result<Answer> {
        let mut parts = Vec::new();
        let end = format!("--{BOUNDARY}--\r\n");
        let mut length = end.len() as u64;
        for file in files {
            let name = file.file_name().and_then(|n| n.to_str()).context("a file without a name")?;
            let head = format!(
                "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/csv\r\n\r\n"
            );
            length += head.len() as u64 + file.metadata()?.len() + 2;
            parts.push((head, file));
        }
        let kind = format!("content-type: multipart/form-data; boundary={BOUNDARY}\r\nprefer: respond-async\r\n");
        let head = self.head("POST", path, &kind, length);
        self.exchange(|stream| {
            stream.write_all(head.as_bytes())?;
            for (part, file) in &parts {
                stream.write_all(part.as_bytes())?;
                std::io::copy(&mut File::open(file)?, stream)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(end.as_bytes())
        })
    }

    fn head(&self, method: &str, path: &str, kind: &str, length: u64) -> String {
        let token = self.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{token}{kind}content-length: {length}\r\n\r\n", self.address)
    }

    fn exchange(&mut self, write: impl FnOnce(&mut TcpStream) -> std::io::Result<()>) -> Result<Answer> {
        let mut stream = match self.stream.take() {
            Some((stream, used)) if used.elapsed() < MOST_IDLE => stream,
            Some(_) | None => self.connect()?,
        };
        let written_micros = unix_micros();
        write(stream.get_mut()).context("the request cannot be written")?;
        let (status, body, kept) = read(&mut stream)?;
        let read_micros = unix_micros();
        self.stream = kept.then(|| (stream, Instant::now()));
        Ok(Answer { status, body, written_micros, read_micros })
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5)).context("nobody listens")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

/// Status, body, and whether the connection goes on.
fn read(stream: &mut impl BufRead) -> Result<(u16, Vec<u8>, bool)> {
    let status_line = line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok()).with_context(|| format!("not HTTP: {status_line:?}"))?;
    let (mut length, mut chunked, mut kept) = (0, false, true);
    loop {
        let header = line(stream)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').context("a header without a colon")?;
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", value) => length = value.parse().context("content-length is no number")?,
            ("transfer-encoding", value) => chunked = value.eq_ignore_ascii_case("chunked"),
            ("connection", value) => kept = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = usize::from_str_radix(line(stream)?.trim(), 16).context("a chunk without a size")?;
            take(stream, size, &mut body)?;
            line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else {
        take(stream, length, &mut body)?;
    }
    Ok((status, body, kept))
}

fn line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if stream.take(64 << 10).read_line(&mut line)? == 0 {
        bail!("the other side hung up");
    }
    Ok(line.trim_end().to_owned())
}

fn take(stream: &mut impl BufRead, bytes: usize, body: &mut Vec<u8>) -> Result<()> {
    ensure!(body.len() + bytes <= MOST_BYTES, "the answer is too long");
    let at = body.len();
    body.resize(at + bytes, 0);
    stream.read_exact(&mut body[at..]).context("the answer was cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_a_length_and_in_chunks_are_read_to_their_end() {
        let mut two = &b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"[..];
        assert_eq!(read(&mut two).unwrap(), (201, b"{}".to_vec(), true));
        assert_eq!(read(&mut two).unwrap(), (200, b"abcd".to_vec(), false));
        assert!(read(&mut two).is_err(), "nothing is left");
    }
}
