//! Starts that fail, and what they say.

use rocketmq_blocking::{ErrorKind, PushConsumer};

use crate::support::ms;

#[test]
fn without_a_name_server_the_error_names_the_users_topic() {
    let started = PushConsumer::builder("g")
        .name_server("127.0.0.1:1")
        .subscribe("Orders", "*")
        .start_timeout(ms(10))
        .start(|_| Ok(()));
    let error = started.expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::NoNameServer);
    assert!(error.to_string().starts_with("Orders: "), "{error}");
}
