//! The settings that every request depends on: names, ports, hooks and signatures.

use std::fmt;
use std::sync::Arc;

use super::addresses::vip_address;
use super::names::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{LONGEST_GROUP, check_name};
#[cfg(feature = "acl")]
use crate::protocol::acl::{Credentials, Secret};
use crate::protocol::namespace;
use crate::transport::{Hooks, RpcHook};

#[derive(Default)]
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

/// The port of a broker for sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendPort {
    Ordinary,
    /// The one that takes nothing but sends.
    Vip,
}

impl SendPort {
    /// The address for sends to the broker at this address.
    pub(crate) fn address(self, broker: &Arc<str>) -> Arc<str> {
        let vip = match self {
            SendPort::Ordinary => None,
            SendPort::Vip => vip_address(broker),
        };
        vip.map_or_else(|| broker.clone(), Arc::from)
    }
}

impl RpcConfig {
    pub(super) fn check(&self) -> Result<()> {
        let config = |text: &str| Err(Error::new(ErrorKind::Config, text));
        if let Some(namespace) = self.names().namespace() {
            check_name("namespace", namespace, LONGEST_GROUP)
                .map_err(|e| e.of_kind(ErrorKind::Config))?;
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
    pub(super) fn find_namespace<'a>(&mut self, name_servers: impl Iterator<Item = &'a str>) {
        if self.namespace.is_none() {
            let mut found = name_servers.filter_map(namespace::of_endpoint);
            self.namespace = found.next().map(Arc::from);
        }
    }

    /// The names of topics and groups.
    pub(crate) fn names(&self) -> Names {
        Names::in_namespace(self.namespace.clone())
    }

    /// The port that sends go to.
    pub(crate) fn send_port(&self) -> SendPort {
        match self.vip_channel {
            true => SendPort::Vip,
            false => SendPort::Ordinary,
        }
    }

    /// The address for sends to the broker at this address.
    pub(crate) fn send_address(&self, broker: &Arc<str>) -> Arc<str> {
        self.send_port().address(broker)
    }

    /// The hooks and signatures of every request.
    pub(in crate::client) fn hooks(&self) -> Hooks {
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

impl fmt::Debug for RpcConfig {
    /// Shows whether credentials are set, but not their values.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_go_to_the_vip_port_where_that_is_wanted_and_possible() {
        let mut config = RpcConfig::default();
        assert_eq!(&*config.send_address(&"h:9".into()), "h:9");
        config.vip_channel = true;
        assert_eq!(&*config.send_address(&"h:9".into()), "h:7");
        assert_eq!(&*config.send_address(&"h:2".into()), "h:2");
    }

    #[test]
    fn a_namespace_is_the_one_set_or_that_of_a_name_servers_address() {
        let servers = ["a:1", "http://MQ_INST_1_2.x:80"];
        let found = |set: Option<&str>| {
            let mut config = RpcConfig {
                namespace: set.map(Arc::from),
                ..RpcConfig::default()
            };
            config.find_namespace(servers.into_iter());
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
