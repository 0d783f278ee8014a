//! The servers of an example.

use std::io;

use rocketmq_blocking::embedded::Cluster;

/// The given name servers, or those of a cluster inside this process, which runs until it is
/// dropped and keeps no messages.
pub fn given_or_embedded(given: Option<String>) -> io::Result<(String, Option<Cluster>)> {
    if let Some(address) = given {
        return Ok((address, None));
    }
    let cluster = Cluster::builder()
        .keep_messages(false)
        .record_requests(false)
        .start()?;
    Ok((cluster.name_server(), Some(cluster)))
}
