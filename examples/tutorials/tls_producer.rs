//! Secured connections, for which Java has `setUseTLS(true)` and `-Dtls.enable`, but no tutorial: the
//! server's certificate is verified, and a server that cannot show a good one gets nothing. The cluster
//! inside this process knows no TLS and is such a server, so that the error is shown. A real one that
//! makes a certificate for itself at the start, as RocketMQ does, needs
//! `.danger_accept_any_certificate()` or, better, a certificate of your own: the variable `TLS_CA_FILE`
//! of the environment names the PEM file with its authority.

use std::env;
use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, TlsConfig};

const TOPIC: &str = "TopicTest";

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    // Without a file the public authorities are trusted.
    let mut tls = TlsConfig::new();
    if let Some(authorities) = env::var_os("TLS_CA_FILE") {
        tls = tls.ca_file(authorities);
    }
    let producer = Producer::builder("tls_group")
        .name_server(name_server)
        .tls(tls)
        .start()?;
    match producer.send(&Message::new(TOPIC, "a secret")) {
        Ok(receipt) => println!("{receipt}"),
        Err(error) if cluster.is_some() => println!("nothing was sent: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
