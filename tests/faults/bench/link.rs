//! One connection through the proxy: a thread for each direction.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use rocketmq_blocking::embedded::On;
use rocketmq_blocking::protocol::{Command, frame};
use socket2::SockRef;

use super::script::{Script, Signal, Step};

/// The interval at which a thread that waits for the test checks whether its connection is still
/// needed.
const LOOK: Duration = Duration::from_millis(5);

pub struct Link {
    /// Weak, since a reset is what the client sees when the last handle is gone.
    client: Weak<TcpStream>,
    upstream: Weak<TcpStream>,
    lost: Arc<AtomicBool>,
    threads: [JoinHandle<()>; 2],
}

/// State shared by both directions.
struct Both {
    client: Weak<TcpStream>,
    upstream: Weak<TcpStream>,
    /// Numbers of the sends that were seen.
    sends: Mutex<HashSet<i32>>,
    last: Mutex<Option<Command>>,
    /// One of the directions has ended the connection.
    cut: AtomicBool,
    /// Nothing arrives any more, not even the end.
    lost: Arc<AtomicBool>,
    released: Arc<AtomicBool>,
}

impl Link {
    /// # Errors
    /// There is no thread to be had, and both connections have ended.
    pub fn start(
        client: TcpStream,
        upstream: TcpStream,
        script: Script,
        seed: u64,
        released: Arc<AtomicBool>,
    ) -> io::Result<Link> {
        for socket in [&client, &upstream] {
            let _ = socket.set_nodelay(true);
            let _ = socket.set_write_timeout(Some(LOOK));
        }
        let (client, upstream) = (Arc::new(client), Arc::new(upstream));
        let both = Arc::new(Both {
            client: Arc::downgrade(&client),
            upstream: Arc::downgrade(&upstream),
            sends: Mutex::default(),
            last: Mutex::default(),
            cut: AtomicBool::new(false),
            lost: Arc::default(),
            released,
        });
        let lost = both.lost.clone();
        let (weak_client, weak_upstream) = (both.client.clone(), both.upstream.clone());
        let pump = |from, to, answers, seed| Pump {
            from,
            to,
            answers,
            both: both.clone(),
            buffer: Vec::new(),
            left: 0,
            fresh: false,
            about_send: false,
            random: seed | 1,
        };
        let requests = pump(client.clone(), upstream.clone(), false, seed);
        let replies = pump(upstream, client, true, seed.rotate_left(32));
        let spawn = |pump: Pump, steps| thread::Builder::new().spawn(move || pump.run(steps));
        let first = spawn(requests, script.requests)?;
        let second = spawn(replies, script.replies).inspect_err(|_| both.leave_upstream())?;
        Ok(Link {
            client: weak_client,
            upstream: weak_upstream,
            lost,
            threads: [first, second],
        })
    }

    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// The link dies, and neither end hears of it.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    pub fn cut(&self) {
        for socket in [&self.client, &self.upstream] {
            if let Some(socket) = socket.upgrade() {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

/// One direction.
struct Pump {
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    /// Towards the client.
    answers: bool,
    both: Arc<Both>,
    /// Read, and not passed yet.
    buffer: Vec<u8>,
    /// So much of the current frame has not passed yet.
    left: usize,
    /// None of the current frame has passed yet.
    fresh: bool,
    about_send: bool,
    random: u64,
}

/// The direction is at its end.
struct Over;

impl Pump {
    fn run(mut self, steps: Vec<Step>) {
        for step in steps {
            if self.is_released() {
                break;
            }
            if self.step(step).is_err() {
                return self.end();
            }
        }
        while self.pass(usize::MAX, false).is_ok() {}
        self.end();
    }

    fn is_released(&self) -> bool {
        self.both.released.load(Ordering::SeqCst)
    }

    /// The other side gets the end of the stream, unless scripted otherwise. The rest of this side
    /// is read, so that its end is not a reset.
    fn end(mut self) {
        let is_heard = !self.both.lost.load(Ordering::SeqCst);
        if is_heard && !self.both.cut.load(Ordering::SeqCst) {
            let _ = self.give(self.buffer.len());
            let _ = self.to.shutdown(Shutdown::Write);
        }
        self.buffer.clear();
        while self.fill() {
            self.buffer.clear();
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Over> {
        match step {
            Step::Pass(bytes) => self.pass(bytes, false),
            Step::UntilSend => self.pass(usize::MAX, true),
            Step::Frame => {
                self.begin_frame()?;
                self.pass(self.left, false)
            }
            Step::Lose => {
                // Whole frames only: what TCP never does, losing a part of one, would make the broker
                // take the next frames for the rest of its body.
                if !self.fresh {
                    self.pass(self.left, false)?;
                }
                self.take_frame().map(drop)
            }
            Step::Corrupt => {
                let mut frame = self.take_frame()?;
                let at = self.random(frame.len());
                frame[at] ^= 1 << self.random(8);
                self.write(&frame)
            }
            Step::Shred => loop {
                let piece = 1 + self.random(16);
                self.pass(piece, false)?;
            },
            Step::Drip(bytes, pause, until) => {
                while !self.waited(&until, pause) {
                    self.pass(bytes, false)?;
                }
                Ok(())
            }
            Step::Shuffle(frames) => self.shuffle(frames),
            Step::Wait(signal) => {
                while !self.waited(&signal, LOOK) {}
                Ok(())
            }
            Step::Raise(signal) => {
                signal.raise();
                Ok(())
            }
            Step::Insert(make) => {
                let last = self.both.last.lock().clone();
                let bytes = make(&last.unwrap_or_else(|| Command::request(0)));
                self.write(&bytes)
            }
            Step::Fin => self.both.fin(),
            Step::Reset => self.both.reset(),
        }
    }

    /// Waits this long. Returns whether to stop, because the test said so or the connection is no
    /// longer needed.
    fn waited(&self, signal: &Signal, most: Duration) -> bool {
        let raised = signal.wait_for(most).is_some();
        raised || self.is_released() || self.both.cut.load(Ordering::SeqCst)
    }

    /// Passes this many bytes, or all up to a frame about a send.
    fn pass(&mut self, mut bytes: usize, until_send: bool) -> Result<(), Over> {
        while bytes > 0 {
            self.begin_frame()?;
            if until_send && self.fresh && self.about_send {
                return Ok(());
            }
            if self.buffer.is_empty() && !self.fill() {
                return Err(Over);
            }
            let now = bytes.min(self.left).min(self.buffer.len());
            self.give(now)?;
            self.left -= now;
            self.fresh = false;
            bytes -= now;
        }
        Ok(())
    }

    fn shuffle(&mut self, frames: usize) -> Result<(), Over> {
        let mut collected = Vec::new();
        while collected.len() < frames {
            self.pass(usize::MAX, true)?;
            collected.push(self.take_frame()?);
        }
        while !collected.is_empty() {
            let next = self.random(collected.len());
            let frame = collected.swap_remove(next);
            self.write(&frame)?;
        }
        Ok(())
    }

    /// At the start of a frame: reads its kind.
    fn begin_frame(&mut self) -> Result<(), Over> {
        if self.left > 0 {
            return Ok(());
        }
        let (wire_len, header) = loop {
            match header(&self.buffer) {
                Some(found) => break found,
                None if self.fill() => {}
                None => return Err(Over),
            }
        };
        self.left = wire_len;
        self.fresh = true;
        let mut sends = self.both.sends.lock();
        self.about_send = match self.answers {
            true => header.is_response() && sends.contains(&header.opaque),
            false => On::Send.matches(&header),
        };
        if self.about_send && !self.answers {
            sends.insert(header.opaque);
            *self.both.last.lock() = Some(header);
        }
        Ok(())
    }

    fn take_frame(&mut self) -> Result<Vec<u8>, Over> {
        self.begin_frame()?;
        while self.buffer.len() < self.left {
            if !self.fill() {
                return Err(Over);
            }
        }
        let frame = self.buffer.drain(..self.left).collect();
        self.left = 0;
        Ok(frame)
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        match (&*self.from).read(&mut chunk) {
            Ok(read) => {
                self.buffer.extend_from_slice(&chunk[..read]);
                read > 0
            }
            Err(_) => false,
        }
    }

    fn give(&mut self, bytes: usize) -> Result<(), Over> {
        let passing: Vec<u8> = self.buffer.drain(..bytes).collect();
        self.write(&passing)
    }

    fn write(&self, mut bytes: &[u8]) -> Result<(), Over> {
        use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        while !bytes.is_empty() && !self.both.lost.load(Ordering::SeqCst) {
            match (&*self.to).write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(e) if matches!(e.kind(), Interrupted | TimedOut | WouldBlock) => {
                    if self.both.cut.load(Ordering::SeqCst) {
                        return Err(Over);
                    }
                }
                Err(_) => return Err(Over),
            }
        }
        Ok(())
    }

    /// A number below `most`, from the seed.
    fn random(&mut self, most: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % most as u64) as usize
    }
}

impl Both {
    fn fin(&self) -> Result<(), Over> {
        self.cut.store(true, Ordering::SeqCst);
        self.leave_upstream();
        if let Some(client) = self.client.upgrade() {
            let _ = client.shutdown(Shutdown::Write);
        }
        Err(Over)
    }

    fn reset(&self) -> Result<(), Over> {
        self.cut.store(true, Ordering::SeqCst);
        self.leave_upstream();
        if let Some(client) = self.client.upgrade() {
            // With this, closing sends a reset. This ends our own reading, and is invisible to the
            // client.
            let _ = SockRef::from(&*client).set_linger(Some(Duration::ZERO));
            let _ = client.shutdown(Shutdown::Read);
        }
        Err(Over)
    }

    fn leave_upstream(&self) {
        if let Some(upstream) = self.upstream.upgrade() {
            let _ = upstream.shutdown(Shutdown::Both);
        }
    }
}

/// The length of the frame at the start of a buffer, and its header, once available.
fn header(buffer: &[u8]) -> Option<(usize, Command)> {
    let wire_len = frame::wire_len(buffer).expect("frames of our own making")?;
    let word = u32::from_be_bytes(buffer.get(4..8)?.try_into().ok()?);
    let end = 8 + (word & 0x00FF_FFFF) as usize;
    let mut short = buffer.get(..end)?.to_vec();
    short[..4].copy_from_slice(&(end as u32 - 4).to_be_bytes());
    let raw = frame::split(&short).ok()??;
    Some((wire_len, Command::decode(raw).ok()?))
}
