//! What a command line says about servers and the client: the same for producers and consumers.

use std::env;

use clap::Args;
use rocketmq_blocking::ClientOptions;

#[derive(Args)]
pub struct ClientArgs {
    /// Name servers, HOST:PORT[;HOST:PORT] [default: $NAMESRV_ADDR, or else a cluster inside this
    /// process]
    #[arg(long, value_name = "ADDRESSES")]
    name_server: Option<String>,

    /// A web page with the list of name servers instead, http://HOST:PORT/PATH (feature discovery)
    #[arg(long, value_name = "URL", conflicts_with = "name_server")]
    name_server_url: Option<String>,

    /// The namespace of topic and group, as a part of their names
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,

    /// The namespace that requests carry beside the names (servers from 5.2 on)
    #[arg(long, value_name = "NS")]
    namespace_v2: Option<String>,

    /// The part of the client's id behind the @ [default: a new one for each process]
    #[arg(long, value_name = "NAME")]
    instance_name: Option<String>,

    /// The unit that this client belongs to
    #[arg(long, value_name = "NAME")]
    unit_name: Option<String>,

    /// Sign requests, for servers with access control (feature acl)
    #[arg(long, value_name = "K", requires = "secret_key")]
    access_key: Option<String>,

    /// The secret that belongs to the access key
    #[arg(long, value_name = "S", requires = "access_key")]
    secret_key: Option<String>,

    /// The token that belongs to temporary keys
    #[arg(long, value_name = "T", requires = "access_key")]
    security_token: Option<String>,

    /// Secure all connections (feature tls)
    #[arg(long)]
    tls: bool,

    /// Trust the authorities in this PEM file instead of the public ones
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca: Option<String>,

    /// Take any certificate from anybody: for servers in test mode
    #[arg(long, requires = "tls", conflicts_with = "tls_ca")]
    tls_insecure: bool,
}

impl ClientArgs {
    /// Refuses what this build of the program cannot do, and what needs a real server.
    pub fn check(&self, program: &str) -> Result<(), String> {
        let needed = [
            (self.tls, "--tls", "tls", cfg!(feature = "tls")),
            (
                self.access_key.is_some(),
                "--access-key",
                "acl",
                cfg!(feature = "acl"),
            ),
            (
                self.name_server_url.is_some(),
                "--name-server-url",
                "discovery",
                cfg!(feature = "discovery"),
            ),
        ];
        check_features(&needed, program)?;
        match self.tls && self.has_own_cluster() {
            true => Err(needs_name_server("--tls")),
            false => Ok(()),
        }
    }

    /// The name servers, if they are given as such.
    pub fn name_server(&self) -> Option<String> {
        let set = || env::var("NAMESRV_ADDR").ok().filter(|a| !a.is_empty());
        match self.name_server_url {
            Some(_) => None,
            None => self.name_server.clone().or_else(set),
        }
    }

    /// Whether no servers are given: then there is a cluster inside this process.
    pub fn has_own_cluster(&self) -> bool {
        self.name_server().is_none() && self.name_server_url.is_none()
    }

    /// The namespace, as a part of names.
    #[allow(dead_code, reason = "not all programs ask for it")]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Whether the client has a name that its next run has too.
    #[allow(dead_code, reason = "not all programs ask for it")]
    pub fn has_instance_name(&self) -> bool {
        self.instance_name.is_some()
    }

    /// Everything but the addresses of name servers.
    pub fn options(&self) -> ClientOptions {
        let mut options = ClientOptions::new();
        if let Some(namespace) = &self.namespace {
            options = options.namespace(namespace);
        }
        if let Some(namespace) = &self.namespace_v2 {
            options = options.namespace_v2(namespace);
        }
        if let Some(name) = &self.instance_name {
            options = options.instance_name(name);
        }
        if let Some(name) = &self.unit_name {
            options = options.unit_name(name);
        }
        #[cfg(feature = "discovery")]
        if let Some(url) = &self.name_server_url {
            options = options.name_server_url(url);
        }
        #[cfg(feature = "acl")]
        if let (Some(key), Some(secret)) = (&self.access_key, &self.secret_key) {
            options = options.credentials(key, secret);
        }
        #[cfg(feature = "acl")]
        if let Some(token) = &self.security_token {
            options = options.security_token(token);
        }
        #[cfg(feature = "tls")]
        if self.tls {
            options = options.tls(self.tls());
        }
        options
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> rocketmq_blocking::TlsConfig {
        let mut tls = rocketmq_blocking::TlsConfig::new();
        if let Some(file) = &self.tls_ca {
            tls = tls.ca_file(file);
        }
        if self.tls_insecure {
            tls = tls.danger_accept_any_certificate();
        }
        tls
    }
}

/// Refuses the first wanted option (each with its feature) that this build of the program cannot do.
pub fn check_features(needed: &[(bool, &str, &str, bool)], program: &str) -> Result<(), String> {
    match needed.iter().find(|(wanted, .., is_on)| *wanted && !is_on) {
        Some((_, option, feature, _)) => Err(format!(
            "{option} needs the feature {feature}: cargo run --features {feature} --example \
             {program} -- ..."
        )),
        None => Ok(()),
    }
}

/// What an option says that only real servers have.
pub fn needs_name_server(option: &str) -> String {
    format!("{option} needs --name-server: the cluster inside this process cannot do that")
}

/// Reads the name of a broker and the number of one of its queues.
pub fn broker_and_id(text: &str) -> Result<(String, i32), String> {
    let parsed = text.rsplit_once(':').and_then(|(broker, id)| {
        let id = id.parse().ok().filter(|id| *id >= 0)?;
        Some((broker.to_owned(), id))
    });
    parsed.ok_or_else(|| "expected BROKER:ID, as in broker-a:0".to_owned())
}
