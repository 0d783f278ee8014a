use rocketmq_blocking::{ErrorKind, Producer, TlsConfig};

use super::{CA, CLIENT, CLIENT_KEY};

#[test]
fn unusable_settings_are_reported_at_the_start() {
    let broken = CA.replace("MII", "???");
    let other_key = include_str!("../../certificates/server.key");
    let encrypted = CLIENT_KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let new = TlsConfig::new;
    for (tls, why) in [
        (new().ca_pem(""), "ca_pem has no certificate"),
        (new().ca_pem("no PEM at all"), "ca_pem has no certificate"),
        (new().ca_pem(broken.as_str()), "ca_pem is no PEM"),
        (
            new().ca_file("/no/such/file.pem"),
            "file.pem cannot be read",
        ),
        (
            new().client_certificate_pem("", CLIENT_KEY),
            "client_certificate_pem has no certificate",
        ),
        (
            new().client_certificate_pem(CLIENT, CLIENT),
            "client_certificate_pem has no usable key",
        ),
        (
            new().client_certificate_pem(CLIENT, encrypted),
            "client_certificate_pem has no usable key",
        ),
        (
            new().client_certificate_pem(CLIENT, other_key),
            "certificate and key cannot be used",
        ),
        (new().server_name("not a name"), "server_name"),
    ] {
        let builder = Producer::builder("g").name_server("127.0.0.1:9876");
        let error = builder.tls(tls).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn every_setting_has_a_good_value() {
    let tls = TlsConfig::new()
        .ca_file(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/certificates/ca.pem"
        ))
        .client_certificate_pem(CLIENT, CLIENT_KEY)
        .server_name("broker.internal");
    for tls in [TlsConfig::new(), tls] {
        let builder = Producer::builder("g").name_server("127.0.0.1:9876");
        builder.tls(tls).start().unwrap();
    }
}

#[test]
fn keys_are_not_shown() {
    let tls = TlsConfig::new()
        .ca_pem(CA)
        .client_certificate_pem(CLIENT, CLIENT_KEY);
    let builder = Producer::builder("g").tls(tls.clone());
    for shown in [format!("{tls:#?}"), format!("{builder:?}")] {
        assert!(shown.contains("client_certificate: true"), "{shown}");
        for line in CLIENT_KEY.lines().chain(CLIENT.lines()) {
            assert!(!shown.contains(line), "{shown}");
        }
        // Nor as a list of bytes.
        assert!(shown.len() < 2000, "{shown}");
    }
}
