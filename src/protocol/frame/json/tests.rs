use super::*;

fn decode(header: &[u8]) -> Result<Command, ProtocolError> {
    super::decode(header, ExtFields::new())
}

#[track_caller]
fn fields(header: &str) -> Vec<(String, String)> {
    let command = decode(header.as_bytes()).unwrap();
    command
        .ext
        .iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

#[test]
fn odd_fields_are_taken_as_text_or_left_out() {
    let header = r#"{"code":0,"opaque":7,"extFields":{"a":"x","b":null,"c":4,"d":true,"e":{"f":1},"h":[[1],2],"g":"\u0001"}}"#;
    let texts = [("a", "x"), ("c", "4"), ("d", "true"), ("g", "\u{1}")];
    assert_eq!(
        fields(header),
        texts.map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
}

#[test]
fn every_text_is_written_as_serde_reads_it() {
    let all: String = (0..0x300u32).filter_map(char::from_u32).collect();
    for start in all.char_indices().map(|(i, _)| i) {
        for len in [0, 1, 15, 16, 17, 33] {
            let piece: String = all[start..].chars().take(len).collect();
            let mut out = Vec::new();
            text(&mut out, &piece);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), piece);
        }
    }
}

#[test]
fn invalid_input_is_an_error_and_never_a_panic() {
    for bad in [
        "",
        "{",
        "[]",
        "null",
        r#"{"code":"0","opaque":1}"#,
        r#"{"code":0}"#,
        r#"{"code":0,"opaque":99999999999}"#,
        r#"{"code":0,"opaque":1}x"#,
        r#"{"code":0,"opaque":1,"extFields":[]}"#,
        r#"[0,0,1,"JAVA",493]"#,
    ] {
        assert!(decode(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(decode(&[b'{', 0xFF, b'}']).is_err());
    assert!(decode("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn absent_fields_have_defaults_and_an_unknown_language_is_other() {
    let command = decode(br#"{"code":0,"opaque":1,"language":"COBOL"}"#).unwrap();
    assert_eq!(
        (command.flag, command.version, command.language),
        (0, 0, Language::OTHER)
    );
    assert!(command.ext.is_empty());
}

fn plain(header: &[u8]) -> Option<Command> {
    decode_plain(header, ExtFields::new())
}

const ANSWER: &str = r#"{"code":0,"extFields":{"queueId":"3","TRACE_ON":"true","MSG_REGION":"DefaultRegion","msgId":"7F00000100002A9F0000000000000000","queueOffset":"12"},"flag":1,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":493}"#;

/// Where this parser answers, serde answers the same.
#[track_caller]
fn check(header: &[u8]) -> bool {
    match plain(header) {
        Some(command) => {
            let other = any_json::decode(header).unwrap();
            assert_eq!(command, other, "{}", String::from_utf8_lossy(header));
            assert_eq!(command.ext.len(), other.ext.len());
            true
        }
        None => false,
    }
}

#[test]
fn answers_of_brokers_are_plain() {
    for header in [
        ANSWER,
        r#"{"code":1,"flag":1,"language":"GO","opaque":-7,"remark":"no, really","version":0}"#,
        r#"{"extFields":{},"opaque":2147483647,"code":0}"#,
    ] {
        assert!(check(header.as_bytes()), "{header}");
    }
}

#[test]
fn unusual_headers_are_left_to_serde() {
    for header in [
        "",
        "{",
        "{}",
        r#"{"code":0}"#,
        r#"{"code":0,"opaque":1"#,
        r#"{"code":0,"opaque":1}x"#,
        r#"{"code":0,"opaque":1,}"#,
        r#"{"code":0, "opaque":1}"#,
        r#"{"code":00,"opaque":1}"#,
        r#"{"code":-0,"opaque":1}"#,
        r#"{"code":-,"opaque":1}"#,
        r#"{"code":1-1,"opaque":1}"#,
        r#"{"code":2147483648,"opaque":1}"#,
        r#"{"code":0.5,"opaque":1}"#,
        r#"{"code":0,"code":0,"opaque":1}"#,
        r#"{"code":0,"opaque":1,"remark":null}"#,
        r#"{"code":0,"opaque":1,"remark":"a\n"}"#,
        r#"{"code":0,"opaque":1,"remark":"größer"}"#,
        r#"{"code":0,"opaque":1,"extFields":{"a":1}}"#,
        r#"{"code":0,"opaque":1,"extFields":{"a":"b",}}"#,
        r#"{"code":0,"opaque":1,"extFields":null}"#,
        r#"{"code":0,"opaque":1,"other":"x"}"#,
    ] {
        assert!(!check(header.as_bytes()), "{header}");
    }
    assert!(plain(b"{\"code\":0,\"opaque\":1,\"remark\":\"\xFF\"}").is_none());
}

#[test]
fn every_header_with_one_byte_changed_is_read_as_serde_reads_it_or_left() {
    for at in 0..ANSWER.len() {
        for byte in (0..128).chain([0x80, 0xC3, 0xFF]) {
            let mut header = ANSWER.as_bytes().to_vec();
            header[at] = byte;
            check(&header);
        }
        check(&ANSWER.as_bytes()[..at]);
    }
}
