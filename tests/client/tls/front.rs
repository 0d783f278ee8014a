//! A server that terminates TLS and forwards to a plain server, and back.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

pub struct Front {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    backend: SocketAddr,
    config: Arc<ServerConfig>,
    stopping: AtomicBool,
    links: Mutex<Vec<Arc<Link>>>,
    paused: Mutex<bool>,
    resumed: Condvar,
}

/// One connection of a client, and the one behind it.
struct Link {
    tls: Mutex<ServerConnection>,
    client: TcpStream,
    backend: TcpStream,
}

/// A server's certificate, and its demands on clients.
pub struct Identity {
    pub chain: &'static str,
    pub key: &'static str,
    pub wants_client_certificate: bool,
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

macro_rules! identity {
    ($name:literal) => {
        crate::tls::front::Identity {
            chain: include_str!(concat!("../../certificates/", $name, ".pem")),
            key: include_str!(concat!("../../certificates/", $name, ".key")),
            wants_client_certificate: false,
            versions: rustls::ALL_VERSIONS.to_vec(),
        }
    };
}
pub(crate) use identity;

impl Identity {
    fn config(&self) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = if self.wants_client_certificate {
            let mut roots = RootCertStore::empty();
            let ca = CertificateDer::from_pem_slice(super::CA.as_bytes()).unwrap();
            roots.add(ca).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        builder
            .with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key)
            .unwrap()
    }
}

impl Front {
    pub fn start(backend: SocketAddr, identity: &Identity) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            backend,
            config: Arc::new(identity.config()),
            stopping: AtomicBool::new(false),
            links: Mutex::default(),
            paused: Mutex::new(false),
            resumed: Condvar::new(),
        });
        let accepting = shared.clone();
        let acceptor = Some(thread::spawn(move || accepting.accept(&listener)));
        Front {
            address,
            shared,
            acceptor,
        }
    }

    /// Breaks all connections, without a closing alert of TLS.
    pub fn cut(&self) {
        for link in self.shared.links.lock().unwrap().drain(..) {
            link.close();
        }
    }

    /// Reads nothing more from clients until it is resumed.
    pub fn pause(&self) {
        *self.shared.paused.lock().unwrap() = true;
    }

    pub fn resume(&self) {
        *self.shared.paused.lock().unwrap() = false;
        self.shared.resumed.notify_all();
    }

    /// Asks the client of the newest connection for new keys, and sends it these bytes.
    pub fn push_with_new_keys(&self, bytes: &[u8]) -> io::Result<()> {
        let link = self.shared.links.lock().unwrap().last().unwrap().clone();
        let mut tls = link.tls.lock().unwrap();
        tls.refresh_traffic_keys().unwrap();
        link.send(&mut tls, bytes)
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut threads = Vec::new();
        while let Ok((client, _)) = listener.accept() {
            if self.stopping.load(Ordering::SeqCst) {
                break;
            }
            let Ok(backend) = TcpStream::connect(self.backend) else {
                continue;
            };
            client.set_nodelay(true).unwrap();
            backend.set_nodelay(true).unwrap();
            let link = Arc::new(Link {
                tls: Mutex::new(ServerConnection::new(self.config.clone()).unwrap()),
                client,
                backend,
            });
            self.links.lock().unwrap().push(link.clone());
            let (up, shared) = (link.clone(), self.clone());
            threads.push(thread::spawn(move || up.upstream(&shared)));
            threads.push(thread::spawn(move || link.downstream()));
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

impl Link {
    /// Every end of a connection ends it here silently: the test checks the client's view.
    fn upstream(&self, shared: &Shared) {
        let mut buffer = vec![0; 64 * 1024];
        let mut refused = false;
        loop {
            let mut paused = shared.paused.lock().unwrap();
            while *paused {
                paused = shared.resumed.wait(paused).unwrap();
            }
            drop(paused);
            let n = (&self.client).read(&mut buffer).unwrap_or(0);
            if n == 0 {
                break;
            }
            // After a refusal the rest is read, so that the system does not answer with a reset.
            if !refused && self.open(&buffer[..n]).is_err() {
                refused = true;
                let _ = self.backend.shutdown(Shutdown::Both);
            }
        }
        self.close();
    }

    fn open(&self, mut sealed: &[u8]) -> io::Result<()> {
        let mut plain = Vec::new();
        let mut tls = self.tls.lock().unwrap();
        while !sealed.is_empty() {
            tls.read_tls(&mut sealed)?;
            let processed = tls.process_new_packets();
            self.send(&mut tls, b"")?;
            let there = processed
                .map_err(io::Error::other)?
                .plaintext_bytes_to_read();
            let start = plain.len();
            plain.resize(start + there, 0);
            tls.reader().read_exact(&mut plain[start..])?;
        }
        drop(tls);
        (&self.backend).write_all(&plain)
    }

    fn downstream(&self) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = (&self.backend).read(&mut buffer).unwrap_or(0);
            let mut tls = self.tls.lock().unwrap();
            if n == 0 && tls.is_handshaking() {
                return;
            }
            if n == 0 || self.send(&mut tls, &buffer[..n]).is_err() {
                break;
            }
        }
        let _ = self.client.shutdown(Shutdown::Write);
    }

    fn send(&self, tls: &mut ServerConnection, plain: &[u8]) -> io::Result<()> {
        let mut pieces = plain.chunks(16 * 1024);
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut &self.client)?;
            }
            match pieces.next() {
                Some(piece) => tls.writer().write_all(piece)?,
                None => return Ok(()),
            }
        }
    }

    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.backend.shutdown(Shutdown::Both);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.resume();
        self.cut();
        if let Some(acceptor) = self.acceptor.take() {
            let ended = acceptor.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}
