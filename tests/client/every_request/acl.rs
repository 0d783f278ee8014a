use std::collections::BTreeMap;

use base64::Engine;
use hmac::Mac;
use rocketmq_blocking::embedded::Fault;
use rocketmq_blocking::protocol::{Command, HeaderFormat};
use rocketmq_blocking::{Client, ClientOptions, ErrorKind};

use super::*;
use crate::support::apart::in_a_process_of_its_own;
use crate::support::logged;

const ACCESS_KEY: &str = "goldenAccessKey";
const SECRET: &str = "canary-secret-1b7f";
const TOKEN: &str = "canary-token-93e0";

fn signature(command: &Command) -> String {
    let fields: BTreeMap<_, _> = command.ext.iter().collect();
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    for (name, value) in fields {
        if name != "Signature" {
            mac.update(value.as_bytes());
        }
    }
    mac.update(&command.body);
    let bytes = mac.finalize().into_bytes();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[track_caller]
fn check_signed(requests: &[ReceivedRequest], token: Option<&str>) {
    for request in requests {
        let command = request.command();
        assert_eq!(
            command.ext.get("AccessKey"),
            Some(ACCESS_KEY),
            "{request:?}"
        );
        assert_eq!(command.ext.get("SecurityToken"), token);
        let signed = command.ext.get("Signature");
        assert_eq!(signed, Some(&*signature(command)), "{request:?}");
        assert!(command.ext.iter().all(|(_, value)| !value.is_empty()));
    }
}

#[test]
fn every_request_is_signed_over_all_of_it() {
    for format in [HeaderFormat::Json, HeaderFormat::Binary] {
        let cluster = Cluster::start().unwrap();
        let producer = builder(&cluster)
            .options(ClientOptions::new().header_format(format))
            .credentials(ACCESS_KEY, SECRET)
            .start()
            .unwrap();
        send_in_all_modes(&producer);
        check_signed(&all_requests(&cluster), None);
    }
}

#[test]
fn the_token_the_namespace_and_what_hooks_add_are_signed_too() {
    #[derive(Debug)]
    struct Zone;
    impl rocketmq_blocking::hook::RpcHook for Zone {
        fn before(
            &self,
            request: &mut rocketmq_blocking::hook::RpcRequest,
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            request.set_field("__ZONE_NAME", "north");
            Ok(())
        }
    }
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster)
        .options(ClientOptions::new().security_token(TOKEN))
        .credentials(ACCESS_KEY, SECRET)
        .options(ClientOptions::new().rpc_hook(Zone).namespace_v2("space"))
        .start()
        .unwrap();
    send_in_all_modes(&producer);
    let requests = all_requests(&cluster);
    check_signed(&requests, Some(TOKEN));
    for request in requests {
        assert_eq!(field(&request, "__ZONE_NAME").as_deref(), Some("north"));
        assert_eq!(field(&request, "ns").as_deref(), Some("space"));
    }
}

#[test]
fn a_retry_is_signed_anew() {
    let cluster = Cluster::start().unwrap();
    let fault = Fault::answer(2, "busy").on(On::Send).times(2);
    cluster.broker("broker-a").inject(fault);
    let signed = builder(&cluster).credentials(ACCESS_KEY, SECRET);
    let receipt = signed.start().unwrap().send(&message("x")).unwrap();
    assert_eq!(receipt.attempts(), 3);
    let sent = cluster.requests(&On::Send);
    check_signed(&sent, None);
    let times: std::collections::BTreeSet<_> = sent.iter().map(|r| field(r, "g")).collect();
    let signatures: std::collections::BTreeSet<_> =
        sent.iter().map(|r| field(r, "Signature")).collect();
    assert!(times.len() > 1, "a busy broker is retried after a pause");
    assert!(signatures.len() >= times.len());
}

#[test]
fn secrets_are_nowhere_to_be_read() {
    in_a_process_of_its_own!();
    logged::start();
    let cluster = Cluster::start().unwrap();
    let wrong = Fault::answer(1, "AclException: signature")
        .on(On::Send)
        .once();
    cluster.broker("broker-a").inject(wrong);
    let client = ClientOptions::new()
        .name_server(cluster.name_server())
        .credentials(ACCESS_KEY, SECRET)
        .security_token(TOKEN);
    let mut printed = format!("{client:?} {client:#?}");
    let client = Client::start(client).unwrap();
    let shared = Producer::builder("shared").client(&client);
    printed += &format!("{shared:?} {client:?}");
    let own = builder(&cluster)
        .credentials(ACCESS_KEY, SECRET)
        .options(ClientOptions::new().security_token(TOKEN));
    printed += &format!("{own:?} {own:#?}");
    let own = own.start().unwrap();
    let error = own.send(&message("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broker);
    assert_eq!(error.attempts().len(), 1, "no retry can fix a signature");
    assert_eq!(error.fate(), rocketmq_blocking::SendFate::NotSent);
    let receipt = own.send(&message("x")).unwrap();
    printed += &format!("{own:?} {error} {error:?} {error:#?} {receipt:?}");
    send_in_all_modes(&own);
    printed += &format!("{:?}", cluster.requests(&On::Any));
    let blank = builder(&cluster).credentials("", SECRET).start();
    printed += &format!("{:?}", blank.unwrap_err());
    let logged = format!("{:?}", logged::lines());
    assert!(logged.contains("connected"), "the log is read: {logged}");
    for text in [printed, logged] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn credentials_that_cannot_work_are_refused_at_the_start() {
    let cluster = Cluster::start().unwrap();
    for builder in [
        builder(&cluster).credentials(" ", SECRET),
        builder(&cluster).credentials(ACCESS_KEY, ""),
        builder(&cluster).options(ClientOptions::new().security_token(TOKEN)),
    ] {
        let error = builder.start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}
