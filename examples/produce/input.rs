//! The bodies to send.

use std::io::{self, BufRead};
use std::iter;

use crate::args::Args;

pub type Bodies = Box<dyn Iterator<Item = io::Result<Vec<u8>>>>;

/// One body again and again, or else the lines of stdin, without their line ends.
pub fn bodies(args: &Args) -> Bodies {
    match args.body() {
        Some(body) => {
            let count = usize::try_from(args.count()).unwrap_or(usize::MAX);
            Box::new(iter::repeat_n(body, count).map(Ok))
        }
        None => {
            let lines = io::stdin().lock().split(b'\n');
            Box::new(lines.map(|line| line.map(without_return)))
        }
    }
}

fn without_return(mut line: Vec<u8>) -> Vec<u8> {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    line
}
