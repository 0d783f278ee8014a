use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::Tls;
use super::any::AnyCertificate;
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::transport::LOG;

/// TLS for connections to name servers and brokers (feature `tls`).
///
/// TLS 1.3 or 1.2 to every server of a client, within each call's deadline. There is no way back to
/// plain connections: a server that cannot be verified, or that does not speak TLS, is an error of
/// kind [`Tls`](ErrorKind::Tls), and nothing was sent.
///
/// A server's certificate must be signed by a known authority and name the server as it was
/// addressed. Routes address brokers mostly by IP address: either their certificates name that
/// address (a subject alternative name; the common name does not count), or
/// [`server_name`](TlsConfig::server_name) sets the name to verify instead. Certificates are not
/// looked up in revocation lists.
///
/// ```no_run
/// use rocketmq_blocking::{Producer, TlsConfig};
///
/// # fn main() -> rocketmq_blocking::Result<()> {
/// let tls = TlsConfig::new().ca_file("/etc/rocketmq/ca.pem");
/// let producer = Producer::builder("orders").name_server("mq.example:9876").tls(tls).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[doc(alias = "setUseTLS")]
#[doc(alias = "TlsSystemConfig")]
#[must_use = "it does nothing until it is given to a builder"]
pub struct TlsConfig {
    authorities: Authorities,
    client: Option<Arc<ClientCertificate>>,
    server_name: Option<String>,
    accept_any: bool,
}

#[derive(Clone, Default)]
enum Authorities {
    #[default]
    Public,
    Pem(Vec<u8>),
    File(PathBuf),
}

struct ClientCertificate {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl TlsConfig {
    /// Verifies servers by their names and the public certificate authorities (Mozilla's list, at
    /// the time when this crate was built). Sends no client certificate.
    pub fn new() -> TlsConfig {
        TlsConfig::default()
    }

    /// Trusts these authorities instead of the public ones: one or more certificates in PEM. An
    /// earlier call is forgotten.
    #[doc(alias = "tls.client.trustCertPath")]
    pub fn ca_pem(mut self, certificates: impl Into<Vec<u8>>) -> TlsConfig {
        self.authorities = Authorities::Pem(certificates.into());
        self
    }

    /// The same, from a file that is read once, at the start.
    #[doc(alias = "tls.client.trustCertPath")]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> TlsConfig {
        self.authorities = Authorities::File(path.into());
        self
    }

    /// Shows this certificate to servers that ask for one (mutual TLS; default: none). Both in
    /// PEM: the chain with the client's own certificate first, and its key, as PKCS#8, PKCS#1 or
    /// SEC1, not encrypted.
    #[doc(alias = "tls.client.certPath")]
    #[doc(alias = "tls.client.keyPath")]
    pub fn client_certificate_pem(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> TlsConfig {
        let (chain, key) = (chain.into(), key.into());
        self.client = Some(Arc::new(ClientCertificate { chain, key }));
        self
    }

    /// The name that every server's certificate must have (default: the host of the address that
    /// is connected to): a DNS name or an IP address.
    pub fn server_name(mut self, name: impl Into<String>) -> TlsConfig {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate: **an attacker on the network can read and change everything.** For
    /// servers in test mode, which generate a certificate at each start. The authorities do not
    /// matter then.
    #[doc(alias = "tls.test.mode.enable")]
    #[doc(alias = "tls.client.authServer")]
    pub fn danger_accept_any_certificate(mut self) -> TlsConfig {
        self.accept_any = true;
        self
    }

    /// Reads and checks everything.
    pub(crate) fn build(&self) -> Result<Tls> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| config("no version of TLS can be used", e))?;
        let builder = self.verifier(builder, provider)?;
        let client_config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let chain = certificates("client_certificate_pem", &client.chain)?;
                let key = PrivateKeyDer::from_pem_slice(&client.key)
                    .map_err(|e| config("client_certificate_pem has no usable key", e))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|e| config("the client's certificate and key cannot be used", e))?
            }
        };
        let server_name = match &self.server_name {
            None => None,
            Some(name) => {
                let parsed = ServerName::try_from(name.clone());
                let text = format!("server_name {name:?} is no DNS name or IP address");
                Some(parsed.map_err(|e| config(&text, e))?)
            }
        };
        Ok(Tls::new(client_config, server_name))
    }

    fn verifier(
        &self,
        builder: ConfigBuilder<ClientConfig, rustls::WantsVerifier>,
        provider: Arc<CryptoProvider>,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
        if self.accept_any {
            logging::warn!(target: LOG, "TLS accepts any certificate: the servers are not verified");
            let verifier = Arc::new(AnyCertificate(provider));
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(verifier));
        }
        let given = match &self.authorities {
            Authorities::Public => {
                let public = webpki_roots::TLS_SERVER_ROOTS.to_vec();
                return Ok(builder.with_root_certificates(RootCertStore { roots: public }));
            }
            Authorities::Pem(pem) => certificates("ca_pem", pem)?,
            Authorities::File(path) => {
                let what = format!("ca_file {}", path.display());
                let pem = std::fs::read(path)
                    .map_err(|e| config(&format!("{what} cannot be read"), e))?;
                certificates(&what, &pem)?
            }
        };
        let mut roots = RootCertStore::empty();
        for certificate in given {
            roots
                .add(certificate)
                .map_err(|e| config("a certificate authority cannot be used", e))?;
        }
        Ok(builder.with_root_certificates(roots))
    }
}

/// All certificates of a PEM text, at least one.
fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|e| config(&format!("{what} is no PEM"), e))?;
    if all.is_empty() {
        let none = PemError::NoItemsFound;
        return Err(config(&format!("{what} has no certificate"), none));
    }
    Ok(all)
}

fn config(text: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Config, format!("TLS: {text}: {cause}")).caused_by(cause)
}

/// Shows which parts are set, without any key.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorities = match &self.authorities {
            Authorities::Public => "public".to_owned(),
            Authorities::Pem(pem) => format!("{} bytes of PEM", pem.len()),
            Authorities::File(path) => path.display().to_string(),
        };
        f.debug_struct("TlsConfig")
            .field("authorities", &authorities)
            .field("client_certificate", &self.client.is_some())
            .field("server_name", &self.server_name)
            .field("accept_any_certificate", &self.accept_any)
            .finish()
    }
}
