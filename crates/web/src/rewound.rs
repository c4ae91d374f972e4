//! A connection as hyper gets it: what was read of it before comes first, and a client that takes nothing of its answer is not
//! waited for without end.

use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Longest that a write may wait for a client that takes nothing.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// A connection of which some bytes were read already: they come first.
pub(crate) struct Rewound<S> {
    front: Bytes,
    socket: S,
    /// Ends a write that the client does not take; there is one while it waits.
    patience: Option<Pin<Box<Sleep>>>,
    most: Duration,
}

impl<S> Rewound<S> {
    pub(crate) fn new(front: Bytes, socket: S) -> Rewound<S> {
        Rewound { front, socket, patience: None, most: WRITE_PATIENCE }
    }

    fn waited<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let most = self.most;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(most)));
        ready!(patience.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.front.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let length = self.front.len().min(buffer.remaining());
        buffer.put_slice(&self.front.split_to(length));
        if self.front.is_empty() {
            // Lets go of the memory behind it.
            self.front = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.waited(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.waited(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    #[tokio::test]
    async fn bytes_that_were_read_come_first_and_once() {
        let (mut near, far) = tokio::io::duplex(1_024);
        near.write_all(b" the rest").await.expect("room");
        drop(near);
        let mut text = String::new();
        Rewound::new(Bytes::from_static(b"the front"), far).read_to_string(&mut text).await.expect("in order");
        assert_eq!(text, "the front the rest");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_takes_a_little_is_not() {
        let most = Duration::from_millis(200);
        let (near, mut far) = tokio::io::duplex(64);
        let mut rewound = Rewound { most, ..Rewound::new(Bytes::new(), near) };
        let taking = async {
            for _ in 0..6 {
                sleep(most / 3).await;
                far.read_exact(&mut [0; 64]).await.expect("something comes");
            }
            Instant::now()
        };
        let (written, last) = tokio::join!(rewound.write_all(&[0; 1_000]), taking);
        assert_eq!(written.expect_err("it is not taken").kind(), io::ErrorKind::TimedOut);
        assert!(last.elapsed() >= most);
    }
}
