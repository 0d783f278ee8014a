//! A minimal web server for the tests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use crate::support::PATIENCE;

pub struct Web {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    asked: Condvar,
}

#[derive(Default)]
struct Inner {
    answer: String,
    requests: Vec<String>,
    stopping: bool,
}

pub fn ok(body: &str) -> String {
    answer("200 OK", body)
}

pub fn answer(status: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
}

impl Web {
    /// Answers with this list.
    pub fn start(list: &str) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        state.inner.lock().unwrap().answer = ok(list);
        let serving = state.clone();
        let thread = Some(thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.inner.lock().unwrap().stopping {
                    return;
                }
                serving.serve(&client);
            }
        }));
        Web {
            address,
            state,
            thread,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/rocketmq/nsaddr", self.address)
    }

    /// Answers like this from now on, byte for byte.
    pub fn answer(&self, answer: String) {
        self.state.inner.lock().unwrap().answer = answer;
    }

    /// The first lines of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.state.inner.lock().unwrap().requests.clone()
    }

    /// Waits for this many more requests.
    #[track_caller]
    pub fn wait_for_requests(&self, more: usize) {
        let inner = self.state.inner.lock().unwrap();
        let wanted = inner.requests.len() + more;
        let asked = &self.state.asked;
        let waited = asked.wait_timeout_while(inner, PATIENCE, |i| i.requests.len() < wanted);
        assert!(!waited.unwrap().1.timed_out(), "no further request");
    }
}

impl State {
    fn serve(&self, mut client: &TcpStream) {
        let mut lines = BufReader::new(client).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { return };
        // The rest of the header, to its empty line.
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        let mut inner = self.inner.lock().unwrap();
        inner.requests.push(first);
        self.asked.notify_all();
        let answer = inner.answer.clone();
        drop(inner);
        // A client that has had enough hangs up.
        let _ = client.write_all(answer.as_bytes());
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.state.inner.lock().unwrap().stopping = true;
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}
