//! A stream whose owner can be made to talk noise: every byte that is written goes out as another one, but for ends of
//! lines. Inside TLS that is
//! an answer of a peer that lost its mind: HTTP/2 frames that are none, SMTP replies without a code.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream, and whether it talks noise now.
pub(crate) struct Noisy<T> {
    io: T,
    noise: Arc<AtomicBool>,
}

impl<T> Noisy<T> {
    pub(crate) fn new(io: T, noise: Arc<AtomicBool>) -> Noisy<T> {
        Noisy { io, noise }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Noisy<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.noise.load(Ordering::Relaxed) {
            return Pin::new(&mut self.io).poll_write(cx, bytes);
        }
        let noise: Vec<u8> = bytes.iter().map(|byte| if *byte == b'\n' { *byte } else { byte ^ 0xA5 }).collect();
        Pin::new(&mut self.io).poll_write(cx, &noise)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if !self.noise.load(Ordering::Relaxed) {
            return Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.poll_write(cx, first.map_or(&[][..], |piece| piece))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Noisy<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}
