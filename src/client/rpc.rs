//! Settings that bear on every request: who it is from, where it goes, what it carries.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::config::check_name;
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "acl")]
use crate::protocol::acl::{Credentials, Secret};
use crate::protocol::namespace;
use crate::transport::{Hooks, RpcHook};

/// The distance from a broker's port to the one that takes sends only.
const VIP_PORT_BELOW: u16 = 2;

#[derive(Clone, Default)]
pub(crate) struct RpcConfig {
    pub(crate) hooks: Vec<Arc<dyn RpcHook>>,
    #[cfg(feature = "acl")]
    pub(crate) credentials: Option<(String, Secret)>,
    #[cfg(feature = "acl")]
    pub(crate) security_token: Option<Secret>,
    /// Set, or (once a client is started) found in a name server's address. Empty is none.
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) namespace_v2: Option<String>,
    pub(crate) vip_channel: bool,
    pub(crate) unit_name: Option<String>,
    pub(crate) unit_mode: bool,
}

/// The setters of these settings, for `client_setters`.
macro_rules! rpc_setters {
    ($config:ident) => {
        /// Adds user code that runs before and after every request: sends, heartbeats, questions to
        /// name servers. Hooks run in the order in which they were added; see
        /// [`RpcHook`](crate::hook::RpcHook) for threads, failures and what it costs. Default: none.
        #[doc(alias = "RPCHook")]
        pub fn rpc_hook(mut self, hook: impl crate::hook::RpcHook + 'static) -> Self {
            self.$config().rpc.hooks.push(std::sync::Arc::new(hook));
            self
        }

        /// Signs every request, for servers with access control (default: no signature). Both
        /// the plain ACL of brokers 4.x and the ACL 2.0 of brokers 5.x take it. A broker that does
        /// not accept it answers 16 (5.x) or 1 (4.x); name servers do not look at it.
        ///
        /// Neither key may be blank. Neither the secret nor a token is ever logged or printed. Needs
        /// the feature `acl`.
        #[cfg(feature = "acl")]
        #[doc(alias = "AclClientRPCHook")]
        #[doc(alias = "SessionCredentials")]
        pub fn credentials(
            mut self,
            access_key: impl Into<String>,
            secret_key: impl Into<String>,
        ) -> Self {
            let secret = crate::protocol::acl::Secret::new(secret_key);
            self.$config().rpc.credentials = Some((access_key.into(), secret));
            self
        }

        /// A token that goes with the [`credentials`](Self::credentials), where a service for
        /// temporary ones gave it out (default: none; not blank, and not without credentials). Needs
        /// the feature `acl`.
        #[cfg(feature = "acl")]
        pub fn security_token(mut self, token: impl Into<String>) -> Self {
            let token = crate::protocol::acl::Secret::new(token);
            self.$config().rpc.security_token = Some(token);
            self
        }

        /// The namespace (of the first kind) of all topics and of the group: `T` is `namespace%T` to
        /// brokers and name servers, and `T` everywhere in this crate. The brokers' own topics are
        /// in no namespace. Messages carry it as the property `INSTANCE_ID`, a batch as a whole.
        /// Names are limited with their namespace: topics to 127 bytes, groups to 120. It has the
        /// characters `|a-zA-Z0-9_-`.
        ///
        /// Default: the instance in a name server's address, where that begins with
        /// `MQ_INST_.._..` and a dot (`http://MQ_INST_1_2.region.example:80`), else none. An empty
        /// one is none in any case.
        #[doc(alias = "setNamespace")]
        pub fn namespace(mut self, namespace: impl AsRef<str>) -> Self {
            self.$config().rpc.namespace = Some(namespace.as_ref().into());
            self
        }

        /// The namespace (of the second kind), which every request carries in its header beside
        /// the names (default: none; neither blank nor with control characters). For servers from 5.2
        /// on that know it.
        #[doc(alias = "setNamespaceV2")]
        pub fn namespace_v2(mut self, namespace: impl Into<String>) -> Self {
            self.$config().rpc.namespace_v2 = Some(namespace.into());
            self
        }

        /// Whether messages go to the brokers' port for sends only, which is theirs less 2
        /// (default no; to the ordinary one where its number leaves no such port). A broker that does not
        /// listen there (the embedded ones do not) cannot be sent to. Heartbeats use the
        /// ordinary port, so that each broker has two connections.
        #[doc(alias = "setVipChannelEnabled")]
        #[doc(alias = "setSendMessageWithVIPChannel")]
        pub fn vip_channel(mut self, vip: bool) -> Self {
            self.$config().rpc.vip_channel = vip;
            self
        }

        /// The unit that this client belongs to: its id becomes `ip@instance@unit` (default: none;
        /// neither blank nor with `@` or control characters).
        #[doc(alias = "setUnitName")]
        pub fn unit_name(mut self, unit: impl Into<String>) -> Self {
            self.$config().rpc.unit_name = Some(unit.into());
            self
        }

        /// Whether messages are marked as sent by a client of a unit (default no).
        #[doc(alias = "setUnitMode")]
        pub fn unit_mode(mut self, unit: bool) -> Self {
            self.$config().rpc.unit_mode = unit;
            self
        }
    };
}
pub(crate) use rpc_setters;

impl RpcConfig {
    pub(super) fn check(&self) -> Result<()> {
        let config = |text: &str| Err(Error::new(ErrorKind::Config, text));
        if let Some(namespace) = self.names().namespace() {
            check_name("namespace", namespace, 120).map_err(|e| e.of_kind(ErrorKind::Config))?;
            if namespace.contains('%') {
                return config("the namespace must not contain %");
            }
        }
        let odd = |text: &str| text.trim().is_empty() || text.contains(char::is_control);
        if self.namespace_v2.as_deref().is_some_and(odd) {
            return config("namespace_v2 must not be blank nor contain control characters");
        }
        let odd_unit = |name: &str| odd(name) || name.contains('@');
        if self.unit_name.as_deref().is_some_and(odd_unit) {
            return config("unit_name must not be blank nor contain @ or control characters");
        }
        #[cfg(feature = "acl")]
        match (&self.credentials, &self.security_token) {
            (Some((key, secret)), _) if key.trim().is_empty() || secret.is_blank() => {
                return config("the credentials must not have a blank access key or secret key");
            }
            (_, Some(token)) if token.is_blank() => {
                return config("the security token must not be blank");
            }
            (None, Some(_)) => return config("a security token needs credentials"),
            _ => {}
        }
        Ok(())
    }

    /// Takes the namespace from a name server's address if none was set.
    pub(super) fn find_namespace(&mut self, name_servers: &[String]) {
        if self.namespace.is_none() {
            let mut found = name_servers
                .iter()
                .filter_map(|a| namespace::of_endpoint(a));
            self.namespace = found.next().map(Arc::from);
        }
    }

    /// How topics and groups are named.
    pub(crate) fn names(&self) -> Names {
        Names(self.namespace.clone().filter(|name| !name.is_empty()))
    }

    /// Where sends to the broker at this address go.
    pub(crate) fn send_address(&self, broker: &Arc<str>) -> Arc<str> {
        let vip = self.vip_channel.then(|| vip_address(broker)).flatten();
        vip.map_or_else(|| broker.clone(), Arc::from)
    }

    /// What is done to every request.
    pub(super) fn hooks(&self) -> Hooks {
        let namespaced = self.namespace_v2.iter();
        Hooks {
            fixed: namespaced
                .flat_map(|name| [("nsd", "true".to_owned()), ("ns", name.clone())])
                .collect(),
            user: self.hooks.clone(),
            #[cfg(feature = "acl")]
            credentials: self.credentials.clone().map(|(access_key, secret_key)| {
                let security_token = self.security_token.clone();
                Credentials {
                    access_key,
                    secret_key,
                    security_token,
                }
            }),
        }
    }
}

/// Topics and groups have two names: the users' own, and the one on the wire, which has the
/// namespace (of the first kind) in front.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Option<Arc<str>>);

impl Names {
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn on_wire(&self, name: &Arc<str>) -> Arc<str> {
        self.map(namespace::add, name)
    }

    pub(crate) fn for_users(&self, name: &Arc<str>) -> Arc<str> {
        self.map(namespace::strip, name)
    }

    fn map(&self, map: for<'a> fn(&str, &'a str) -> Cow<'a, str>, name: &Arc<str>) -> Arc<str> {
        match &self.0 {
            Some(namespace) => map(namespace, name).into(),
            None => name.clone(),
        }
    }
}

impl fmt::Debug for RpcConfig {
    /// Says whether there are credentials, and nothing of what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RpcConfig");
        #[cfg(feature = "acl")]
        debug.field("signed", &self.credentials.is_some());
        debug
            .field("hooks", &self.hooks)
            .field("namespace", &self.namespace)
            .field("namespace_v2", &self.namespace_v2)
            .field("vip_channel", &self.vip_channel)
            .field("unit_name", &self.unit_name)
            .field("unit_mode", &self.unit_mode)
            .finish_non_exhaustive()
    }
}

/// The address for sends only; `None` if there can be none.
fn vip_address(broker: &str) -> Option<String> {
    let (host, port) = broker.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_sub(VIP_PORT_BELOW)?;
    (port > 0).then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vip_port_is_two_below_where_there_is_one() {
        for (broker, vip) in [
            ("h:10911", Some("h:10909")),
            ("[::1]:3", Some("[::1]:1")),
            ("h:2", None),
            ("h:0", None),
            ("h", None),
            ("h:x", None),
        ] {
            assert_eq!(vip_address(broker).as_deref(), vip, "{broker}");
        }
        let mut config = RpcConfig::default();
        assert_eq!(&*config.send_address(&"h:9".into()), "h:9");
        config.vip_channel = true;
        assert_eq!(&*config.send_address(&"h:9".into()), "h:7");
        assert_eq!(&*config.send_address(&"h:2".into()), "h:2");
    }

    #[test]
    fn a_namespace_is_the_one_set_or_that_of_a_name_servers_address() {
        let servers = ["a:1".to_owned(), "http://MQ_INST_1_2.x:80".to_owned()];
        let found = |set: Option<&str>| {
            let mut config = RpcConfig {
                namespace: set.map(Arc::from),
                ..RpcConfig::default()
            };
            config.find_namespace(&servers);
            config.names().namespace().map(str::to_owned)
        };
        assert_eq!(found(None).as_deref(), Some("MQ_INST_1_2"));
        assert_eq!(found(Some("mine")).as_deref(), Some("mine"));
        assert_eq!(found(Some("")), None);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let text = |text: &str| Some(text.to_owned());
        let bad = [
            RpcConfig {
                namespace: Some("a b".into()),
                ..RpcConfig::default()
            },
            RpcConfig {
                namespace: Some("a%b".into()),
                ..RpcConfig::default()
            },
            RpcConfig {
                namespace_v2: text(" "),
                ..RpcConfig::default()
            },
            RpcConfig {
                namespace_v2: text("a\n"),
                ..RpcConfig::default()
            },
            RpcConfig {
                unit_name: text(""),
                ..RpcConfig::default()
            },
            RpcConfig {
                unit_name: text("a@b"),
                ..RpcConfig::default()
            },
        ];
        for config in bad {
            let error = config.check().expect_err("a setting that cannot work");
            assert_eq!(error.kind(), ErrorKind::Config, "{config:?}");
        }
        assert!(RpcConfig::default().check().is_ok());
    }

    #[cfg(feature = "acl")]
    #[test]
    fn credentials_are_whole_or_refused() {
        let check = |key: Option<(&str, &str)>, token: Option<&str>| {
            let config = RpcConfig {
                credentials: key.map(|(key, secret)| (key.to_owned(), Secret::new(secret))),
                security_token: token.map(Secret::new),
                ..RpcConfig::default()
            };
            config.check().is_ok()
        };
        assert!(check(Some(("k", "s")), None));
        assert!(check(Some(("k", "s")), Some("t")));
        for (key, token) in [
            (Some(("", "s")), None),
            (Some(("k", " ")), None),
            (Some(("k", "s")), Some("")),
            (None, Some("t")),
        ] {
            assert!(!check(key, token), "{key:?} {token:?}");
        }
    }
}
