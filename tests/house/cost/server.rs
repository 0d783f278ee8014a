//! A name server and broker in one, that answers at once and keeps nothing. Its threads are left
//! out of the counts.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use rocketmq_blocking::protocol::code::{request, response};
use rocketmq_blocking::protocol::send::{SendRequest, SendResponse};
use rocketmq_blocking::protocol::{Command, HeaderFormat, frame, properties};

use super::counting;

pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    mute: AtomicBool,
    ended: AtomicBool,
}

impl Server {
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let of_threads = state.clone();
        thread::spawn(move || {
            counting::leave_out_this_thread();
            for socket in listener.incoming() {
                if of_threads.ended.load(SeqCst) {
                    break;
                }
                let (socket, state) = (socket.unwrap(), of_threads.clone());
                thread::spawn(move || serve(&socket, address, &state));
            }
        });
        Server { address, state }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Further sends are read and not answered.
    pub fn answer_no_sends(&self) {
        self.state.mute.store(true, SeqCst);
    }

    /// Closes every connection at its next request.
    pub fn end(&self) {
        self.state.ended.store(true, SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut socket: &TcpStream, broker: SocketAddr, state: &State) {
    counting::leave_out_this_thread();
    socket.set_nodelay(true).unwrap();
    let (mut input, mut room, mut output) = (Vec::new(), vec![0; 1 << 20], Vec::new());
    while let Ok(read @ 1..) = socket.read(&mut room) {
        input.extend_from_slice(&room[..read]);
        let mut used = 0;
        while let Some(raw) = frame::split(&input[used..]).unwrap() {
            used += raw.wire_len();
            if let Some(answer) = answer(&Command::decode(raw).unwrap(), broker, state) {
                answer.encode(HeaderFormat::Json, &mut output);
            }
        }
        input.drain(..used);
        if state.ended.load(SeqCst) || socket.write_all(&output).is_err() {
            break;
        }
        output.clear();
    }
    let _ = socket.shutdown(Shutdown::Both);
}

fn answer(asked: &Command, broker: SocketAddr, state: &State) -> Option<Command> {
    let answer = Command::response_to(asked, response::SUCCESS);
    match asked.code {
        _ if asked.is_oneway() => None,
        request::GET_ROUTEINFO_BY_TOPIC => {
            let route = format!(
                r#"{{"brokerDatas":[{{"brokerAddrs":{{"0":"{broker}"}},"brokerName":"b","cluster":"c"}}],
                "queueDatas":[{{"brokerName":"b","perm":6,"readQueueNums":8,"writeQueueNums":8}}]}}"#
            );
            Some(answer.with_body(route.into_bytes()))
        }
        request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
            let stored = SendResponse {
                message_id: "7F00000100002A9F0000000000000000".into(),
                transaction_id: unique_key(asked).map(Into::into),
                region: Some("DefaultRegion".into()),
                trace_on: true,
                ..SendResponse::default()
            };
            (!state.mute.load(SeqCst)).then(|| answer.with_fields(&stored))
        }
        _ => Some(answer),
    }
}

/// The transaction id in a broker's answer. A batch's header has none.
fn unique_key(send: &Command) -> Option<String> {
    let header = SendRequest::decode(send.code, &send.ext).expect("a send's header");
    let properties = properties::decode(&header.properties);
    properties.get("UNIQ_KEY").map(str::to_owned)
}
