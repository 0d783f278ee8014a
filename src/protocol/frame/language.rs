/// A peer's language, by the protocol's number (Java's `LanguageCode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(u8);

impl Language {
    /// Java.
    pub const JAVA: Language = Language(0);
    /// Any language without its own number; the best choice for brokers before 4.9.4.
    pub const OTHER: Language = Language(7);
    /// Go.
    pub const GO: Language = Language(9);
    /// Rust (brokers know it from 4.9.4 on).
    pub const RUST: Language = Language(12);

    #[rustfmt::skip]
    const NAMES: [&'static str; 14] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP",
        "OMS", "RUST", "NODE_JS",
    ];

    /// The name that a JSON header carries.
    pub fn name(self) -> &'static str {
        Language::NAMES
            .get(usize::from(self.0))
            .copied()
            .unwrap_or("OTHER")
    }

    /// The number that a binary header carries.
    pub fn number(self) -> u8 {
        self.0
    }

    /// An unknown number counts as [`Language::OTHER`].
    pub fn from_number(number: u8) -> Language {
        if usize::from(number) < Language::NAMES.len() {
            Language(number)
        } else {
            Language::OTHER
        }
    }

    /// An unknown name counts as [`Language::OTHER`].
    pub fn from_name(name: &str) -> Language {
        let number = Language::NAMES.iter().position(|n| *n == name);
        number
            .and_then(|n| u8::try_from(n).ok())
            .map_or(Language::OTHER, Language)
    }
}
