//! Outgoing bytes of a connection, gathered. The HTTP/2 library writes each body of more than a few hundred bytes by itself
//! and flushes after it: a TLS record and a system call for each request. Behind a cork they are written together, when
//! the connection has said all that it has to say, or when there are many.

use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are not held back any longer: what the TLS library takes at once.
const MANY: usize = 64 << 10;

/// A stream whose writes wait until its cork is pulled.
pub(super) struct Corked<T>(Arc<Mutex<Inner<T>>>);

/// Lets go what was written to a [`Corked`] stream.
pub(super) struct Cork<T>(Arc<Mutex<Inner<T>>>);

struct Inner<T> {
    io: T,
    gathered: Vec<u8>,
    /// How many of these are written.
    written: usize,
}

/// A stream behind a cork, and the cork.
pub(super) fn corked<T>(io: T) -> (Corked<T>, Cork<T>) {
    let inner = Arc::new(Mutex::new(Inner { io, gathered: Vec::new(), written: 0 }));
    (Corked(inner.clone()), Cork(inner))
}

impl<T: AsyncWrite + Unpin> Cork<T> {
    /// Writes what was gathered.
    pub(super) fn poll_pull(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.io).poll_flush(cx)
    }
}

impl<T: AsyncWrite + Unpin> Inner<T> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.gathered[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.gathered.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Corked<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        if inner.gathered.len() >= MANY {
            ready!(inner.poll_write_out(cx))?;
        }
        let before = inner.gathered.len();
        pieces.iter().for_each(|piece| inner.gathered.extend_from_slice(piece));
        Poll::Ready(Ok(inner.gathered.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Whoever holds the cork decides.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Corked<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn nothing_leaves_before_the_cork_is_pulled_and_then_everything_in_order() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let (mut stream, cork) = corked(ours);
        for part in [b"a".as_slice(), b"bc", b"def"] {
            stream.write_all(part).await.expect("gathered");
            stream.flush().await.expect("nothing to do");
        }
        let mut buffer = [0; 16];
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), theirs.read(&mut buffer)).await;
        assert!(early.is_err(), "{early:?}");
        std::future::poll_fn(|cx| cork.poll_pull(cx)).await.expect("written");
        let read = theirs.read(&mut buffer).await.expect("it came");
        assert_eq!(&buffer[..read], b"abcdef");
    }

    #[tokio::test]
    async fn a_slow_reader_holds_the_writer_back_and_the_end_lets_everything_out() {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let (mut stream, _cork) = corked(ours);
        let sent: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).expect("small")).collect();
        let writing = async {
            for piece in sent.chunks(777) {
                stream.write_all(piece).await.expect("written");
                assert!(stream.0.lock().gathered.len() < MANY + 777);
            }
            stream.shutdown().await.expect("the end");
        };
        let mut came = Vec::new();
        let (read, ()) = tokio::join!(theirs.read_to_end(&mut came), writing);
        assert!(read.is_ok() && came == sent);
    }
}
