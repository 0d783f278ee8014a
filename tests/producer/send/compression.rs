use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::protocol::sys_flag;
use rocketmq_blocking::{Compression, ErrorKind, Message};

use crate::support::patient as builder;

#[test]
fn large_bodies_go_compressed_by_the_chosen_type_and_level() {
    let kinds = [
        (Compression::Zlib, sys_flag::COMPRESSION_ZLIB),
        #[cfg(feature = "lz4")]
        (Compression::Lz4, sys_flag::COMPRESSION_LZ4),
        #[cfg(feature = "zstd")]
        (Compression::Zstd, sys_flag::COMPRESSION_ZSTD),
    ];
    let body = "all work and no play makes jack a dull boy\n".repeat(200);
    for (kind, bits) in kinds {
        let cluster = Cluster::start().unwrap();
        let producer = builder(&cluster)
            .compression(kind)
            .compress_level(9)
            .start()
            .unwrap();
        for body in [&body[..4096], &body[..4095], "short"] {
            let _ = producer.send(&Message::new("T", body)).unwrap();
        }
        let [large, below, short] = &cluster.messages("T")[..] else {
            panic!("three messages")
        };
        assert_eq!(large.sys_flag(), sys_flag::COMPRESSED | bits, "{kind:?}");
        assert!(large.raw_body().len() < 1000, "{kind:?}");
        assert_eq!(large.body(), &body.as_bytes()[..4096], "{kind:?}");
        assert_eq!((below.sys_flag(), short.sys_flag()), (0, 0));
    }
}

#[test]
fn a_level_that_the_type_does_not_have_is_refused_at_the_start() {
    let cluster = Cluster::start().unwrap();
    let start = |kind, level| {
        let builder = builder(&cluster).compression(kind).compress_level(level);
        builder.start().map(drop).map_err(|error| error.kind())
    };
    assert_eq!(start(Compression::Zlib, 9), Ok(()));
    assert_eq!(start(Compression::Zlib, 10), Err(ErrorKind::Config));
    #[cfg(feature = "zstd")]
    {
        assert_eq!(start(Compression::Zstd, 22), Ok(()));
        assert_eq!(start(Compression::Zstd, 23), Err(ErrorKind::Config));
    }
    #[cfg(feature = "lz4")]
    assert_eq!(start(Compression::Lz4, 99), Ok(()), "it has no levels");
}
