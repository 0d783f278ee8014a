//! The page `docs::testing` shows in pieces what its tests include as a file.

#[test]
fn the_page_shows_the_program_that_its_tests_run() {
    let page = include_str!("../../src/docs/testing.md");
    let app = include_str!("../../src/docs/testing/app.rs");
    // Every other piece is code, and that of a test has the program in its hidden lines.
    let shown: Vec<String> = page
        .split("\n```")
        .skip(1)
        .step_by(2)
        .map(|piece| {
            let is_shown = |line: &&str| *line != "#" && !line.starts_with("# ");
            let lines = piece.lines().skip(1).filter(is_shown);
            lines.map(|line| format!("{line}\n")).collect()
        })
        .collect();
    let parts: Vec<&String> = shown.iter().filter(|part| app.contains(*part)).collect();
    assert_eq!(parts.len(), 3, "the program, what tests share, payments");
    // The comment at its head, and the empty lines between the parts.
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let head = app.find("use ").expect("code");
    assert_eq!(head + length + 2, app.len());
}
