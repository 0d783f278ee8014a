//! I5, for the whole process: threads and files can be counted only while no other test runs.

#[test]
fn each_case_leaves_no_thread_and_no_file_behind() {
    if crate::bench::watch::resources().is_some() {
        // The cases run one by one already.
        return;
    }
    let mut child = crate::support::apart::this_binary();
    child.args(["--test-threads=1", "case_"]);
    // These count in processes of their own.
    for apart in ["::netns::", "case_32_", "case_35_"] {
        child.args(["--skip", apart]);
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains(" 0 passed"), "{text}");
}
