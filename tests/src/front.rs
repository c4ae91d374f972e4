//! A front with TLS before a server, as a reverse proxy is in production: clients that send their tokens over HTTPS only
//! reach it by this. It passes on bytes and looks at none.

use fakes::Authority;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Listens on a port of its own until the story ends.
#[derive(Debug)]
pub struct Front {
    addr: SocketAddr,
}

impl Front {
    /// Passes connections on to this port of this machine, with a certificate of this authority.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(authority: &Authority, port: u16) -> io::Result<Front> {
        let acceptor = TlsAcceptor::from(authority.server_config(&[b"http/1.1"])?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // A client that hangs up, or does not trust the certificate, is a client that is gone.
                tokio::spawn(async move { pass(acceptor, socket, port).await });
            }
        });
        Ok(Front { addr })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.addr.port())
    }
}

async fn pass(acceptor: TlsAcceptor, socket: TcpStream, port: u16) -> io::Result<()> {
    let mut outside = acceptor.accept(socket).await?;
    let mut inside = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    tokio::io::copy_bidirectional(&mut outside, &mut inside).await?;
    Ok(())
}
