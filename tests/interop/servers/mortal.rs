//! Servers that are killed and come back.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::servers::{Process, eventually};

/// A server, and how it was started.
pub struct Mortal<'a> {
    server: &'a Process,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    again: Option<Child>,
}

impl<'a> Mortal<'a> {
    pub fn new(server: &'a Process) -> Mortal<'a> {
        let place = |what: &str| format!("/proc/{}/{what}", server.pid);
        let texts = |what: &str| {
            let bytes = fs::read(place(what)).expect("a running server");
            let texts = bytes
                .split(|byte| *byte == 0)
                .filter(|text| !text.is_empty());
            let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
            texts.collect::<Vec<String>>()
        };
        let pair = |text: &String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Mortal {
            server,
            command: texts("cmdline"),
            environment: texts("environ").iter().filter_map(pair).collect(),
            folder: fs::read_link(place("cwd")).expect("a folder"),
            again: None,
        }
    }

    pub fn kill(&mut self) {
        match self.again.take() {
            None => self.server.kill(),
            Some(mut child) => {
                child.kill().expect("our own child");
                child.wait().expect("its end");
            }
        }
        eventually("it is gone", || !self.accepts());
    }

    pub fn start(&mut self) {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(&self.folder);
        command.env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.again = Some(command.stderr(Stdio::null()).spawn().expect("a server"));
    }

    fn accepts(&self) -> bool {
        TcpStream::connect(&self.server.address).is_ok()
    }
}

impl Drop for Mortal<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.again {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
