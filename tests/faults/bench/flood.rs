//! A flood of sends at a broker that takes nothing.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::script::Signal;
use super::{Bench, route};

/// The default limit of bytes in flight.
pub const BUDGET: usize = 64 << 20;

/// The default number of seconds, and the default size of bodies.
pub const SECONDS: &str = "STALL_SECONDS";
pub const BODY: &str = "STALL_BODY";

pub const THREADS: usize = 64;

/// A broker of the topic `Flood` that takes connections, one at a time, and never reads. No proxy, whose
/// own memory would be measured too.
pub struct Deaf {
    address: SocketAddr,
    over: Signal,
    thread: Option<JoinHandle<()>>,
}

impl Deaf {
    pub fn start(bench: &Bench) -> Deaf {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let broker = ("broker-a".to_owned(), address.to_string());
        let known = route([broker].into_iter());
        bench.cluster.set_route("Flood", Some(known));
        let over = Signal::new();
        let end = over.clone();
        let hold = move || {
            let mut last = None;
            for socket in listener.incoming() {
                if end.wait_for(Duration::ZERO).is_some() {
                    break;
                }
                // The one before is one that the client has given up.
                drop(last.replace(socket));
            }
        };
        Deaf {
            address,
            over,
            thread: Some(thread::spawn(hold)),
        }
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.over.raise();
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes of memory that the process has.
pub fn resident() -> usize {
    const PAGE: usize = 4096;
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = pages.split(' ').nth(1).and_then(|text| text.parse().ok());
    pages.map_or(0, |pages: usize| pages * PAGE)
}
