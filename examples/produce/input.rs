//! Reads the messages one by one: only one of them is in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::iter;

use crate::args::{Args, Source};

/// The default limit of a message, at the producer and at the broker.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

pub struct Record {
    pub key: Option<String>,
    pub body: Vec<u8>,
}

pub type Records = Box<dyn Iterator<Item = io::Result<Record>>>;

/// One body again and again, or else the lines of the input.
pub fn records(args: &Args) -> io::Result<Records> {
    let input: Box<dyn BufRead> = match args.source() {
        Source::Body(body) => {
            let record = move || {
                let (key, body) = (None, body.clone());
                Ok(Record { key, body })
            };
            let count = usize::try_from(args.count()).unwrap_or(usize::MAX);
            return Ok(Box::new(iter::repeat_with(record).take(count)));
        }
        Source::File(path) => {
            let file = File::open(path).map_err(|error| named(path.display(), &error))?;
            Box::new(BufReader::new(file))
        }
        Source::Stdin => Box::new(io::stdin().lock()),
    };
    let mut lines = Lines {
        input,
        delimiter: args.delimiter().to_vec(),
        drops_return: args.delimiter() == b"\n",
        number: 0,
    };
    let key_delimiter = args.key_delimiter().map(<[u8]>::to_vec);
    let skips_blank = args.skips_blank();
    let is_blank = |line: &io::Result<Vec<u8>>| {
        let blank = |line: &Vec<u8>| line.trim_ascii().is_empty();
        line.as_ref().is_ok_and(blank)
    };
    Ok(Box::new(iter::from_fn(move || {
        let line = lines
            .by_ref()
            .find(|line| !(skips_blank && is_blank(line)))?;
        let record = line.and_then(|line| record(line, key_delimiter.as_deref()));
        Some(record.map_err(|error| named(format_args!("line {}", lines.number), &error)))
    })))
}

/// The input, cut at the delimiter.
struct Lines {
    input: Box<dyn BufRead>,
    delimiter: Vec<u8>,
    drops_return: bool,
    /// That of the last line.
    number: u64,
}

impl Iterator for Lines {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.number += 1;
        self.read().transpose()
    }
}

impl Lines {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let last = self.delimiter.last().copied().unwrap_or(b'\n');
        // The dropped parts of a line do not count.
        let most = LONGEST_LINE + usize::from(self.drops_return) + self.delimiter.len();
        let mut line = Vec::new();
        loop {
            // A text that ends like the delimiter need not be one, so a line may take several
            // rounds.
            let mut rest = self.input.by_ref().take((most - line.len()) as u64);
            let is_end = rest.read_until(last, &mut line)? == 0;
            if line.ends_with(&self.delimiter) {
                line.truncate(line.len() - self.delimiter.len());
                break;
            }
            if line.len() == most {
                return Err(too_long());
            }
            if is_end && line.is_empty() {
                return Ok(None);
            }
            if is_end {
                break;
            }
        }
        if self.drops_return && line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.len() > LONGEST_LINE {
            return Err(too_long());
        }
        Ok(Some(line))
    }
}

/// Takes the key off a line, if lines have keys.
fn record(mut line: Vec<u8>, key_delimiter: Option<&[u8]>) -> io::Result<Record> {
    let Some(delimiter) = key_delimiter else {
        let (key, body) = (None, line);
        return Ok(Record { key, body });
    };
    let at = line
        .windows(delimiter.len())
        .position(|part| part == delimiter)
        .ok_or_else(|| {
            let delimiter = delimiter.escape_ascii();
            invalid(format!("no key: there is no \"{delimiter}\" in it"))
        })?;
    let body = line.split_off(at + delimiter.len());
    line.truncate(at);
    let key = String::from_utf8(line).map_err(|_| invalid("the key is not UTF-8"))?;
    let key = Some(key).filter(|key| !key.is_empty());
    Ok(Record { key, body })
}

fn too_long() -> io::Error {
    invalid(format!("longer than {LONGEST_LINE} bytes"))
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

fn named(what: impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
