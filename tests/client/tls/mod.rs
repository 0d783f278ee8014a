//! TLS: sends through it, and refusals.

mod front;
mod refusals;
mod sends;
mod settings;

use std::net::SocketAddr;

use front::{Front, Identity, identity};
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{Error, ErrorKind, Producer, SendFate, TlsConfig};

use crate::support::PATIENCE;

pub const CA: &str = include_str!("../../certificates/ca.pem");
pub const OTHER_CA: &str = include_str!("../../certificates/other-ca.pem");
pub const CLIENT: &str = include_str!("../../certificates/client.pem");
pub const CLIENT_KEY: &str = include_str!("../../certificates/client.key");

/// A cluster whose name server is behind TLS, and whose broker's address a test chooses.
pub struct Secured {
    pub cluster: Cluster,
    pub name_server: Front,
}

impl Secured {
    pub fn start() -> Secured {
        let cluster = Cluster::builder().topic("T", 4).start().unwrap();
        let name_server = cluster.name_server().parse().unwrap();
        let name_server = Front::start(name_server, &identity!("server"));
        Secured {
            cluster,
            name_server,
        }
    }

    /// The same, with the broker behind TLS too.
    pub fn with_broker(identity: &Identity) -> (Secured, Front) {
        let secured = Secured::start();
        let broker = secured.cluster.broker("broker-a").address();
        let broker = Front::start(broker, identity);
        secured.broker_is_at(broker.address);
        (secured, broker)
    }

    /// Sets the broker's address in routes.
    pub fn broker_is_at(&self, address: SocketAddr) {
        let mut route = self.cluster.route("T").unwrap();
        route.broker_datas[0]
            .broker_addrs
            .insert(0, address.to_string());
        self.cluster.set_route("T", Some(route));
    }

    /// A producer that trusts the test's authority.
    pub fn producer(&self) -> Producer {
        self.producer_with(TlsConfig::new().ca_pem(CA), |builder| builder)
    }

    pub fn producer_with(
        &self,
        tls: TlsConfig,
        set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Producer {
        let builder = Producer::builder("g")
            .name_server(self.name_server.address.to_string())
            .send_timeout(PATIENCE)
            .tls(tls);
        set(builder).start().unwrap()
    }
}

/// Checks that TLS failed and nothing was sent; the text has the reason.
#[track_caller]
pub fn assert_refused(error: &Error, why: &str) {
    let seen = (error.kind(), error.fate());
    assert_eq!(seen, (ErrorKind::Tls, SendFate::NotSent), "{error}");
    let text = error.to_string();
    assert!(text.contains(why), "{text} does not say {why}");
}
