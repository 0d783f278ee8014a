//! Group C over a real link, between two network namespaces: a proxy does not show the system's own
//! behaviour (it continues to deliver the bytes of a closed connection). Needs root and the
//! programs of util-linux and iproute2; without them the cases are skipped, and say so.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{ErrorKind, Result, SendFate, SendReceipt};

use crate::bench::*;
use crate::support::{apart, skipped};

/// The ends of the link that is broken, from the client to the relay, and of the one that is not, from
/// the relay to the proxies.
const OUTER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 99, 0, 1), Ipv4Addr::new(10, 99, 0, 2)];
const INNER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 98, 0, 1), Ipv4Addr::new(10, 98, 0, 2)];

const PORT: u16 = 10911;

/// 200 kbit a second.
const NARROW: &str = "tbf rate 200kbit burst 16kb latency 2s";

#[test]
fn case_20_dials_over_a_dead_link_cost_the_time_of_the_call() {
    in_a_namespace("links::netns::alone::dials");
}

#[test]
fn case_29_a_link_that_goes_down_idle_or_with_1000_in_flight_heals_within_a_second() {
    in_a_namespace("links::netns::alone::half_open");
}

#[test]
fn case_30_a_link_of_200_kbit_keeps_deadlines_and_bodies() {
    in_a_namespace("links::netns::alone::narrow");
}

fn in_a_namespace(test: &str) {
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.args(arguments).status().is_ok_and(|s| s.success())
    };
    let all = format!(
        "ip link add outer type veth && tc qdisc add dev outer root {NARROW} && nsenter --net=/proc/$$/ns/net true"
    );
    if !works("unshare", &["--net", "sh", "-c", &all]) {
        skipped(&format!("no namespaces to be had: {test}"));
        return;
    }
    let mut child = Command::new("unshare");
    child.arg("--net").arg(apart::this_binary().get_program());
    apart::check(child, test);
}

/// The other end of both links, in its own namespace: it forwards from the outer link to the inner
/// one.
struct Relay {
    process: Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Relay {
    fn start() -> Relay {
        let mut command = Command::new("unshare");
        command.arg("--net").arg(apart::this_binary().get_program());
        command.args([
            "--exact",
            "links::netns::alone::relay",
            "--ignored",
            "--nocapture",
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a child");
        let says = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut relay = Relay { process, says };
        relay.wait_for("born");
        run("ip link set lo up");
        for (name, ends) in [("outer", OUTER), ("inner", INNER)] {
            let pid = relay.process.id();
            run(&format!(
                "ip link add {name} type veth peer name {name} netns {pid}"
            ));
            run(&format!("ip addr add {}/30 dev {name}", ends[0]));
            run(&format!("ip link set {name} up"));
            relay.run(&format!("ip addr add {}/30 dev {name}", ends[1]));
            relay.run(&format!("ip link set {name} up"));
        }
        relay
    }

    /// Has connections handed on to this address.
    fn lead_to(&mut self, address: SocketAddr) {
        let stdin = self.process.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{address}").expect("it reads");
        self.wait_for("listens");
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.ends_with(&format!("{word}\n")) {
            line.clear();
            let read = self.says.read_line(&mut line).expect("a line");
            assert!(read > 0, "the relay has ended");
        }
    }

    /// Runs a program at its end of the links.
    fn run(&self, line: &str) {
        run(&format!(
            "nsenter --net=/proc/{}/ns/net {line}",
            self.process.id()
        ));
    }

    fn link(&self, state: &str) {
        self.run(&format!("ip link set outer {state}"));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
fn run(line: &str) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    let output = command.args(words).output().expect("it is there");
    assert!(output.status.success(), "{line}: {output:?}");
}

/// A bench whose broker is behind the relay.
fn check_over_links(case: impl FnOnce(&Bench, &Relay)) {
    let devices = std::fs::read_to_string("/proc/net/dev").expect("Linux");
    assert_eq!(
        devices.lines().skip(2).count(),
        1,
        "not where others have links: {devices}"
    );
    // Before the bench, which checks for leftover files and threads.
    let mut relay = Relay::start();
    check_at(INNER[0].into(), 1, 1, |bench| {
        relay.lead_to(bench.broker().address());
        let behind = format!("{}:{PORT}", OUTER[1]);
        let behind = route([("broker-a".to_owned(), behind)].into_iter());
        bench.cluster.set_route("T", Some(behind));
        case(bench, &relay);
    });
}

mod alone {
    use std::io;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// The timeout of sends over a dead link: after some seconds the system finds no route to its other end.
    const BRIEF: Duration = Duration::from_secs(1);

    /// A send that dialled over a dead link.
    #[track_caller]
    fn check_dialled(result: Result<SendReceipt>) {
        // A busy machine may take those seconds.
        match result {
            Err(error) if error.kind() == ErrorKind::Connect => {
                assert_eq!(error.fate(), SendFate::NotSent, "{error}");
            }
            result => check_timeout(result, Wait::Connect, SendFate::NotSent),
        }
    }

    #[test]
    #[ignore = "runs alone, in a child process"]
    fn dials() {
        check_over_links(|bench, relay| {
            let producer = bench.taught(|setup| setup);
            relay.link("down");
            for mode in MODES {
                let result = bench.send_in(mode, &producer, BRIEF);
                check_dialled(result);
            }
            relay.link("up");
            check_heals_soon(bench, &producer);
        });
    }

    #[test]
    #[ignore = "runs alone, in a child process"]
    fn half_open() {
        check_over_links(|bench, relay| {
            let producer = bench.patient();
            for in_flight in [1, 1000] {
                assert!(bench.send(&producer, LONG).is_ok());
                relay.link("down");
                // The system takes some of them, and the others wait behind a write that is stuck.
                let sent: Vec<_> = (0..in_flight)
                    .map(|_| bench.submit(&producer, BRIEF))
                    .collect();
                for (i, sent) in sent.into_iter().enumerate() {
                    let error = error(sent.outcome());
                    // On a busy machine the last ones come after the first one's end, and dial.
                    let kinds = [
                        ErrorKind::Timeout,
                        ErrorKind::Disconnected,
                        ErrorKind::Connect,
                    ];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    if i == 0 {
                        assert_eq!(error.wait(), Some(Wait::Response), "{error}");
                        assert_eq!(error.fate(), SendFate::MaybeStored, "{error}");
                    }
                }
                // The connection was closed: the next send dials.
                let result = bench.send(&producer, BRIEF);
                check_dialled(result);
                relay.link("up");
                check_heals_soon(bench, &producer);
            }
        });
    }

    #[test]
    #[ignore = "runs alone, in a child process"]
    fn narrow() {
        const LARGE: usize = 4 << 20;
        check_over_links(|bench, _| {
            let producer = bench.producer(|setup| {
                let setup = setup.retries(0).async_retries(0).send_timeout(LONG);
                setup.max_message_size(2 * LARGE).compress_over(usize::MAX)
            });
            run(&format!("tc qdisc add dev outer root {NARROW}"));
            assert!(
                bench
                    .send_bytes(Mode::Sync, &producer, LONG, 30_000)
                    .is_ok()
            );
            for mode in MODES {
                let outcome = bench.send_bytes(mode, &producer, BRIEF, LARGE);
                // How much the system takes is not fixed.
                let error = error(outcome);
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            }
            run("tc qdisc del dev outer root");
            bench.check_heals(&producer);
            assert!(bench.send_bytes(Mode::Sync, &producer, LONG, LARGE).is_ok());
        });
    }

    #[track_caller]
    fn check_heals_soon(bench: &Bench, producer: &rocketmq_blocking::Producer) {
        let start = Instant::now();
        bench.check_heals(producer);
        bench.check_within(ms(1000), start, Instant::now());
    }

    #[test]
    #[ignore = "runs alone, in a child process"]
    fn relay() {
        println!("born");
        let mut upstream = String::new();
        io::stdin().read_line(&mut upstream).expect("an address");
        let upstream = upstream.trim_end().to_owned();
        let listener = TcpListener::bind((OUTER[1], PORT)).expect("a free port");
        println!("listens");
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            // The parent process is gone.
            std::process::exit(0);
        });
        for client in listener.incoming() {
            let client = client.expect("a connection");
            let server = TcpStream::connect(&upstream).expect("the proxy");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    }
}
