//! A cable: a small TCP proxy between the server and another one, whose faults a story chooses: pulled out, dead without a
//! word, slow, cut in the middle of an answer, noisy. It knows nothing of what it carries.

use crate::folder::free_port;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that are carried at once.
const PIECE: usize = 16 << 10;
/// Pause between two attempts to listen again.
const AGAIN: Duration = Duration::from_millis(10);

/// What is wrong with a cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is pulled out: open connections are reset, new ones refused.
    Pulled,
    /// Nothing passes and nobody is told: connections stay open, new ones are taken and say nothing. What was under way
    /// passes when the fault ends.
    Silent,
    /// Each piece takes so much longer, both ways.
    Late(Duration),
    /// Each connection is reset after so many bytes of answers, in the middle of whatever that is.
    CutAfter(u64),
    /// Every byte of an answer is another one.
    Noise,
    /// On a connection on which `first` was sent, what is sent passes up to and with the next `word`; then the connection is
    /// reset before anything comes back.
    AnswerLost {
        /// Tells the connection from others.
        first: &'static str,
        /// What gets no answer.
        word: &'static str,
    },
}

struct State {
    to: SocketAddr,
    fault: watch::Sender<Fault>,
    /// Goes up with each order to reset what is open.
    resets: watch::Sender<u64>,
    taken: AtomicU64,
    cut: AtomicU64,
}

/// A cable. It is pulled out for good when this is dropped.
pub struct Cable {
    /// The end to connect to.
    pub addr: SocketAddr,
    state: Arc<State>,
    listening: tokio::task::AbortHandle,
}

impl Cable {
    /// Lays one to a loopback address.
    ///
    /// # Panics
    /// When there is no port for its end.
    pub async fn to(to: SocketAddr) -> Cable {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let state = State {
            to,
            fault: watch::Sender::new(Fault::None),
            resets: watch::Sender::new(0),
            taken: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        };
        let state = Arc::new(state);
        let listener = TcpListener::bind(addr).await.expect("the port was free a moment ago");
        let listening = tokio::spawn(listen(state.clone(), listener, addr)).abort_handle();
        Cable { addr, state, listening }
    }

    /// Breaks or mends it, from now on and for connections that are open.
    pub fn set(&self, fault: Fault) {
        self.state.fault.send_replace(fault);
    }

    /// Resets every open connection; new ones are treated as before.
    pub fn reset(&self) {
        self.state.resets.send_modify(|n| *n += 1);
    }

    /// Connections that were taken so far.
    pub fn connections(&self) -> u64 {
        self.state.taken.load(Ordering::SeqCst)
    }

    /// Connections that a fault cut so far.
    pub fn cut(&self) -> u64 {
        self.state.cut.load(Ordering::SeqCst)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.listening.abort();
        self.reset();
    }
}

async fn listen(state: Arc<State>, listener: TcpListener, addr: SocketAddr) {
    let mut listener = Some(listener);
    let mut fault = state.fault.subscribe();
    loop {
        if *fault.borrow_and_update() == Fault::Pulled {
            listener = None;
            let _ = fault.wait_for(|f| *f != Fault::Pulled).await;
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(addr).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
            continue;
        };
        tokio::select! {
            Ok((stream, _)) = open.accept() => {
                state.taken.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection(state.clone(), stream));
            }
            _ = fault.changed() => {}
        }
    }
}

/// Carries one connection until one side ends it or a fault does.
async fn connection(state: Arc<State>, mut near: TcpStream) {
    let Ok(mut far) = TcpStream::connect(state.to).await else {
        let _ = near.set_zero_linger();
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (mut resets, mut fault) = (state.resets.subscribe(), state.fault.subscribe());
    let mute = AtomicBool::new(false);
    let reset = {
        let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
        let there = carry(from_near, to_far, state.fault.subscribe(), (Way::There, &mute));
        let back = carry(from_far, to_near, state.fault.subscribe(), (Way::Back, &mute));
        let both = async { tokio::try_join!(there, back) };
        tokio::select! {
            ended = both => ended.is_err(),
            _ = resets.changed() => true,
            _ = fault.wait_for(|f| *f == Fault::Pulled) => true,
        }
    };
    if reset {
        state.cut.fetch_add(1, Ordering::SeqCst);
        let _ = (near.set_zero_linger(), far.set_zero_linger());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

/// Carries one way; an error resets both. On a connection that is mute nothing comes back any more.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut fault: watch::Receiver<Fault>,
    (way, mute): (Way, &AtomicBool),
) -> io::Result<()> {
    let (mut piece, mut passed) = (vec![0; PIECE], 0);
    // The last bytes that passed, in which a word may begin, and whether the first was met.
    let (mut tail, mut met) = (Vec::new(), false);
    loop {
        let read = from.read(&mut piece).await?;
        let _ = fault.wait_for(|f| *f != Fault::Silent).await;
        if way == Way::Back && mute.load(Ordering::SeqCst) {
            continue;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        let now = fault.borrow_and_update().clone();
        let mut bytes = &mut piece[..read];
        let mut last = false;
        match (now, way) {
            (Fault::Late(pause), _) => tokio::time::sleep(pause).await,
            (Fault::CutAfter(most), Way::Back) => {
                let room = usize::try_from(most.saturating_sub(passed)).unwrap_or(usize::MAX);
                last = bytes.len() >= room;
                let len = bytes.len().min(room);
                bytes = &mut bytes[..len];
            }
            (Fault::Noise, Way::Back) => bytes.iter_mut().for_each(|byte| *byte ^= 0x5A),
            (Fault::AnswerLost { first, word }, Way::There) => {
                tail.extend_from_slice(bytes);
                if !met && let Some(at) = find(&tail, first) {
                    met = true;
                    tail.drain(..at + first.len());
                }
                last = met && find(&tail, word).is_some();
                tail.drain(..tail.len().saturating_sub(first.len().max(word.len())));
                mute.fetch_or(last, Ordering::SeqCst);
            }
            (Fault::None | Fault::Pulled | Fault::Silent | Fault::CutAfter(_) | Fault::Noise | Fault::AnswerLost { .. }, _) => {}
        }
        passed += bytes.len() as u64;
        to.write_all(bytes).await?;
        if last {
            // What was passed on is read by the other side before the reset can overtake it.
            tokio::time::sleep(AGAIN).await;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
    }
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}
