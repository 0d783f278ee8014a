use super::*;

/// The behaviour of a test's name server.
#[derive(Debug, Clone, Copy)]
enum Says {
    Known,
    Unknown,
    Refuses,
    Nothing,
}

use Says::*;

/// Name servers `a`, `b`, .., the first of which is asked first; and the order in which they are asked.
struct Bench {
    servers: NameServers,
    asked: Mutex<String>,
}

impl Bench {
    fn new(count: u8) -> Bench {
        let names = (0..count).map(|i| char::from(b'a' + i).to_string().into());
        Bench {
            servers: NameServers::new(names.collect(), None, 0),
            asked: Mutex::default(),
        }
    }

    /// Asks servers that answer as listed.
    fn ask(&self, says: &[Says]) -> Result<Option<char>> {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(3));
        self.asked.lock().clear();
        self.servers.ask(deadline, |server, _| {
            *self.asked.lock() += server;
            let at = server.as_bytes()[0] - b'a';
            match says[usize::from(at)] {
                Known => Ok(Some(char::from(b'A' + at))),
                Unknown => Ok(None),
                Refuses => {
                    Err(Error::response(1, Some("not ready")).of_kind(ErrorKind::NameServer))
                }
                Nothing => Err(Error::timeout(Wait::Response)),
            }
        })
    }

    #[track_caller]
    fn check(&self, says: &[Says], expected: Option<Option<char>>, asked: &str) {
        let answer = self.ask(says);
        assert_eq!(answer.clone().ok(), expected, "{answer:?}");
        assert_eq!(*self.asked.lock(), asked);
    }
}

#[test]
fn others_are_asked_when_one_refuses_and_it_is_asked_last_for_a_while() {
    let bench = Bench::new(3);
    bench.check(&[Refuses, Known, Known], Some(Some('B')), "ab");
    bench.check(&[Known, Refuses, Refuses], Some(Some('A')), "bca");
    bench.check(&[Nothing, Nothing, Known], Some(Some('C')), "abc");
}

#[test]
fn unknown_counts_only_if_all_that_answer_agree() {
    let bench = Bench::new(3);
    bench.check(&[Unknown, Unknown, Known], Some(Some('C')), "abc");
    bench.check(&[Unknown, Unknown, Unknown], Some(None), "cab");
    bench.check(&[Unknown, Refuses, Unknown], Some(None), "cab");
    bench.check(&[Refuses, Nothing, Unknown], Some(None), "cab");
    bench.check(&[Refuses, Nothing, Known], Some(Some('C')), "c");
}

#[test]
fn an_error_names_the_servers_and_a_refusal_outweighs_silence() {
    let error = |says: &[Says]| Bench::new(says.len() as u8).ask(says).unwrap_err();
    let silent = error(&[Nothing]);
    assert_eq!(
        (silent.kind(), silent.address()),
        (ErrorKind::NoNameServer, Some("a"))
    );
    assert!(
        silent.to_string().contains("no answer from name server a"),
        "{silent}"
    );
    let both = error(&[Nothing, Nothing]).to_string();
    for server in ["a", "b"] {
        let text = format!("no answer from name server {server}");
        assert!(both.contains(&text), "{both}");
    }
    for says in [[Refuses, Nothing], [Nothing, Refuses]] {
        let refused = error(&says);
        assert_eq!(
            (refused.kind(), refused.response_code()),
            (ErrorKind::NameServer, Some(1.into()))
        );
        let at = says
            .iter()
            .position(|says| matches!(says, Refuses))
            .unwrap();
        assert_eq!(refused.address(), Some(["a", "b"][at]));
    }
}

/// With half an hour left, a second opinion would otherwise be awaited that long.
#[test]
fn a_second_opinion_gets_half_of_the_time_and_little_where_it_was_silent_before() {
    let servers = NameServers::new(["a", "b"].map(Arc::<str>::from).into(), None, 0);
    let whole = Duration::from_secs(3600);
    let shares = Mutex::new(Vec::new());
    for _ in 0..2 {
        let deadline = Deadline::after(Instant::now(), whole);
        let answer = servers.ask::<()>(deadline, |server, share| {
            shares.lock().push(share.remaining(Instant::now()));
            match &**server {
                "a" => Ok(None),
                _ => Err(Error::timeout(Wait::Response)),
            }
        });
        assert_eq!(answer.ok(), Some(None));
    }
    let shares = shares.lock();
    let parts: Vec<_> = shares
        .iter()
        .map(|share| share.as_secs_f64() / 3600.0)
        .collect();
    let near = |part: f64, expected: f64| (part - expected).abs() < 0.01;
    assert!(near(parts[0], 0.5) && near(parts[1], 0.5), "{parts:?}");
    assert!(
        near(parts[2], 0.5) && shares[3] <= SECOND_OPINION,
        "{parts:?}"
    );
}
