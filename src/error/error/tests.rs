use super::*;

#[test]
fn one_word_wide() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

#[test]
fn a_final_error_lists_every_attempt_and_what_it_promises() {
    let attempt = |broker: &str, error| Attempt {
        broker: broker.into(),
        error,
        elapsed: Duration::from_millis(600),
    };
    let busy = Error::response(2, Some("disk\u{1b}[31m full\n"));
    let mut attempts = Attempts::default();
    attempts.push(attempt("broker-a", Error::timeout(Wait::Response)));
    attempts.push(attempt("broker-b", busy.clone()));
    let error = busy
        .clone()
        .maybe_stored()
        .on_topic(&"TopicTest".into())
        .with_attempts(attempts, Duration::from_millis(1250));
    assert_eq!(
        error.to_string(),
        "send to TopicTest failed after 2 attempts in 1.2s: broker-a: timeout while waiting for the response; \
         broker-b: SYSTEM_BUSY (2): disk\\u{1b}[31m full\\n (the message may be stored)"
    );
    assert_eq!(error.response_code(), Some(ResponseCode::SYSTEM_BUSY));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn of_many_attempts_the_first_and_the_last_are_kept_and_the_worst_of_all() {
    let mut attempts = Attempts::default();
    for i in 0..100 {
        let error = Error::timeout(Wait::Queue);
        attempts.push(Attempt {
            broker: format!("b{i}").into(),
            // One that is not kept may have stored the message.
            error: if i == 50 { error.maybe_stored() } else { error },
            elapsed: Duration::ZERO,
        });
    }
    let brokers: Vec<&str> = attempts.listed().iter().map(|a| &*a.broker).collect();
    assert_eq!(brokers.len(), 32);
    assert_eq!(
        (brokers[15], brokers[16], brokers[31]),
        ("b15", "b84", "b99")
    );
    assert_eq!(
        (attempts.made(), attempts.worst()),
        (100, SendFate::MaybeStored)
    );
    let text = attempts.to_string();
    let around = "; (68 more); b84: ";
    assert!(text.contains(around), "{text}");
}

#[test]
fn whether_the_same_call_can_succeed_later() {
    use ErrorKind::*;
    let of_kind = |kind: &ErrorKind| Error::new(*kind, "");
    let later = [
        NoNameServer,
        NameServer,
        NoRoute,
        NoBroker,
        Dns,
        Connect,
        Timeout,
        Disconnected,
        Protocol,
        Broker,
        Busy,
        Io,
    ];
    for kind in ErrorKind::ALL {
        let error = of_kind(&kind);
        assert_eq!(error.is_retryable(), later.contains(&kind), "{kind}");
        // A message that may be stored can be sent again too; `fate` warns about the copy.
        let maybe = error.clone().maybe_stored();
        assert_eq!(maybe.is_retryable(), error.is_retryable(), "{kind}");
    }
    let yes = [
        -1000, -1002, -1004, -1006, 1, 2, 10, 11, 12, 14, 24, 25, 27, 28, 206, 207, 209, 210, 211,
        212, 215, 501, 1500,
    ];
    let unknown = [-1, 5, 4711].map(ResponseCode::new);
    for code in ResponseCode::ALL.iter().chain(&unknown) {
        for kind in [Broker, NameServer] {
            let error = Error::response(*code, Some("odd")).of_kind(kind);
            assert_eq!(error.is_retryable(), yes.contains(&code.number()), "{code}");
        }
    }
    let signature = Error::response(1, Some("org.apache.rocketmq.acl.common.AclException: no"));
    assert!(!signature.is_retryable());
}
