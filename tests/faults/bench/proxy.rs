//! A proxy between the client and a server, which disturbs connections by their scripts.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, SockRef, Socket, Type};

use super::link::Link;
use super::script::Script;
use super::{PATIENCE, eventually};

pub struct Proxy {
    address: SocketAddr,
    /// Bound and never listening: while it lives, the port stays reserved.
    _keeper: Socket,
    front: Mutex<Front>,
    shared: Arc<Shared>,
}

/// The treatment of new connections.
enum Front {
    Serve {
        listener: Arc<TcpListener>,
        acceptor: JoinHandle<()>,
    },
    Refuse,
    /// These fill the queue of unaccepted connections: the system drops further dials.
    Hole {
        listener: Socket,
        _fillers: Vec<TcpStream>,
    },
}

struct Shared {
    upstream: SocketAddr,
    seed: u64,
    state: Mutex<State>,
    /// From now on everything passes, regardless of scripts.
    released: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    next: VecDeque<Script>,
    always: Script,
    links: Vec<Link>,
    accepted: usize,
}

impl Proxy {
    /// In front of this server, at a free port of this address. The seed decides whatever a script
    /// leaves open.
    pub fn start(at: IpAddr, upstream: SocketAddr, seed: u64) -> Proxy {
        let keeper = bound(SocketAddr::new(at, 0)).expect("a free port");
        let address = keeper.local_addr().unwrap().as_socket().unwrap();
        let proxy = Proxy {
            address,
            _keeper: keeper,
            front: Mutex::new(Front::Refuse),
            shared: Arc::new(Shared {
                upstream,
                seed,
                state: Mutex::default(),
                released: Arc::default(),
            }),
        };
        proxy.serve();
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that has no script yet gets this one.
    pub fn next(&self, script: Script) {
        self.shared.state.lock().next.push_back(script);
    }

    /// The script of every connection without its own.
    pub fn always(&self, script: Script) {
        self.shared.state.lock().always = script;
    }

    /// The number of accepted connections.
    pub fn accepted(&self) -> usize {
        self.shared.state.lock().accepted
    }

    /// The number of open connections.
    pub fn live(&self) -> usize {
        let mut state = self.shared.state.lock();
        state.links.retain(|link| !link.is_over());
        state.links.len()
    }

    /// Ends all connections.
    pub fn cut(&self) {
        for link in &self.shared.state.lock().links {
            link.cut();
        }
    }

    /// All connections die without an end: nothing of them arrives any more.
    pub fn lose(&self) {
        for link in &self.shared.state.lock().links {
            link.lose();
        }
    }

    /// Refuses new connections.
    pub fn refuse(&self) {
        let front = std::mem::replace(&mut *self.front.lock(), Front::Refuse);
        self.end(front);
    }

    /// New connections get no answer at all.
    pub fn hole(&self) {
        self.refuse();
        let listener = bound(self.address).expect("our own port");
        listener.listen(0).expect("a listener");
        let mut fillers = Vec::new();
        // The first one fills the queue; one that gets no answer shows that it is full.
        while let Ok(filler) = TcpStream::connect_timeout(&self.address, Duration::from_millis(50))
        {
            fillers.push(filler);
            assert!(fillers.len() < 10, "the queue does not fill");
        }
        *self.front.lock() = Front::Hole {
            listener,
            _fillers: fillers,
        };
    }

    /// Serves new connections again.
    pub fn serve(&self) {
        self.refuse();
        let listener = bound(self.address).expect("our own port");
        listener.listen(1024).expect("a listener");
        let listener = Arc::new(TcpListener::from(listener));
        let (shared, accepting) = (self.shared.clone(), listener.clone());
        let accept = move || {
            loop {
                match accepting.accept() {
                    Ok((client, _)) => shared.accept(client),
                    // It was shut down.
                    Err(e) if e.kind() == ErrorKind::InvalidInput => return,
                    // No file left, which only the test's end can change.
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        };
        *self.front.lock() = Front::Serve {
            listener,
            acceptor: thread::spawn(accept),
        };
    }

    /// Forgets all scripts, also those of open connections: held bytes arrive late.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
        let mut state = self.shared.state.lock();
        state.next.clear();
        state.always = Script::default();
        drop(state);
        if !matches!(*self.front.lock(), Front::Serve { .. }) {
            self.serve();
        }
    }

    /// A listener stays open while any process holds it, such as a child that another test is just
    /// starting; a listener that is shut down does not.
    fn end(&self, front: Front) {
        match front {
            Front::Serve { listener, acceptor } => {
                let _ = SockRef::from(&*listener).shutdown(Shutdown::Both);
                acceptor.join().expect("an acceptor that does not panic");
            }
            Front::Hole { listener, .. } => {
                let _ = listener.shutdown(Shutdown::Both);
            }
            Front::Refuse => {}
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.shared.released.store(true, Ordering::SeqCst);
        self.cut();
        if !thread::panicking() {
            eventually("all links of a proxy end", || self.live() == 0);
        }
    }
}

impl Shared {
    fn accept(&self, client: TcpStream) {
        let Ok(upstream) = TcpStream::connect_timeout(&self.upstream, PATIENCE) else {
            return;
        };
        let mut state = self.state.lock();
        state.accepted += 1;
        let script = state.next.pop_front();
        let script = script.unwrap_or_else(|| state.always.clone());
        let seed = self.seed ^ (state.accepted as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // Without a thread, the client sees the end of its connection.
        let link = Link::start(client, upstream, script, seed, self.released.clone());
        state.links.extend(link);
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Lets several sockets bind the port, of which one listens.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
