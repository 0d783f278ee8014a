//! The order of answers, and the effect of an early answer.

use super::*;

/// A continuation that goes on when a thread has been answered, as one that logs where that thread holds
/// the logger's lock.
struct WaitsFor(crossbeam_channel::Receiver<()>, Outcomes, i32);

impl Completion for WaitsFor {
    fn complete(self: Box<Self>, outcome: Outcome, _: Instant) -> Next {
        let WaitsFor(answered, outcomes, number) = *self;
        let waited = answered.recv_timeout(PATIENCE / 4);
        let outcome = waited
            .map_err(|_| Error::invalid("the thread waits still"))
            .and(outcome);
        outcomes.lock().entry(number).or_default().push(outcome);
        Next::Done
    }
}

#[track_caller]
fn check_threads_first(
    end: impl FnOnce(&mut Link, &[Command]),
    is_as_it_should_be: fn(&Outcome) -> bool,
) {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    let (tell, told) = crossbeam_channel::unbounded();
    let begin = |number: i32| {
        let waits = WaitsFor(told.clone(), outcomes.clone(), number);
        let request = Request::new(1, &());
        let (to, via) = (To::Address(&address), Via::WriterThread);
        let remoting = &client.remoting;
        remoting.invoke_async(to, &request, soon(), via, Dial::Wait, Box::new(waits));
    };
    (0..8).for_each(begin);
    let mut link = Link::accept(&listener);
    let mut requests = link.requests(8);
    thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let outcome = client
                .remoting
                .invoke(&address, &Request::new(2, &()), soon());
            (0..8).for_each(|_| tell.send(()).unwrap());
            outcome
        });
        requests.extend(link.requests(1));
        // A thread that is still writing answers all waiters when the connection dies.
        let connection = client.remoting.usable().remove(0);
        eventually("it waits", || !connection.is_writing());
        end(&mut link, &requests);
        assert!(is_as_it_should_be(&calling.join().unwrap()));
    });
    eventually("all are answered", || outcomes.lock().len() == 8);
    for outcomes in outcomes.lock().values() {
        assert!(is_as_it_should_be(&outcomes[0]), "{:?}", outcomes[0]);
    }
}

#[test]
fn threads_are_answered_before_continuations_run() {
    let answer = |link: &mut Link, requests: &[Command]| link.answer(requests, |_| Vec::new());
    check_threads_first(answer, |outcome| outcome.is_ok());
}

#[test]
fn the_end_of_a_connection_answers_threads_before_continuations_run() {
    let hang_up =
        |link: &mut Link, _: &[Command]| link.0.shutdown(std::net::Shutdown::Both).unwrap();
    let lost = |outcome: &Outcome| matches!(outcome, Err(e) if e.kind() == ErrorKind::Disconnected);
    check_threads_first(hang_up, lost);
}

/// Its sender is then in a write that no deadline would end.
#[test]
fn an_answer_before_the_whole_request_does_not_leave_its_sender_writing() {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::start(None);
    client.remoting.shared().number_next(7);
    let body = Arc::new(vec![0; 16_000_000]);
    thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let request = Request::new(1, &()).with_body(&body);
            let deadline = Deadline::after(Instant::now(), Duration::from_millis(2500));
            client.remoting.invoke(&address, &request, deadline)
        });
        let mut link = Link::accept(&listener);
        let mut seen = Command::request(1);
        seen.opaque = 7;
        // Its first bytes have arrived, so its waiter is registered.
        link.0.read_exact(&mut [0; 100]).unwrap();
        link.answer(&[seen], |_| b"too early".to_vec());
        eventually("it does not go on writing", || calling.is_finished());
        let outcome = calling.join().unwrap();
        assert_eq!(outcome.expect("the answer").body.to_vec(), b"too early");
    });
}
