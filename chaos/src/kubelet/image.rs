//! The product's image as its Dockerfile describes it: entry point, command and environment of the last stage. Where there is
//! no Dockerfile, what the image is to be.

use std::path::Path;

/// The name of the image that is run here; that of no other is.
pub(crate) const NAME: &str = "tidemark";
/// Where the program is in it.
pub(crate) const PROGRAM: &str = "/usr/local/bin/tidemark";
/// Who the process is when the pod does not say.
const USER: u32 = 65532;

/// What an image says of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) entry_point: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) user: u32,
}

impl Default for Image {
    fn default() -> Self {
        let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            entry_point: vec![PROGRAM.to_owned()],
            command: vec!["serve".to_owned()],
            environment: vec![
                one("TIDEMARK_DATA_DIR", "/var/lib/tidemark"),
                one("TIDEMARK_HTTP_BIND_ADDRESS", ":8086"),
                one("TIDEMARK_PROBE_BIND_ADDRESS", ":8089"),
                one("TIDEMARK_LOG_FORMAT", "json"),
            ],
            user: USER,
        }
    }
}

impl Image {
    /// What a Dockerfile says, where it is there; only of its last stage, as of an image that starts with nothing.
    pub(crate) fn of(dockerfile: &Path) -> Self {
        std::fs::read_to_string(dockerfile).map(|text| Self::read(&text)).unwrap_or_default()
    }

    fn read(dockerfile: &str) -> Self {
        let joined = dockerfile.replace("\\\n", " ");
        let lines: Vec<&str> = joined.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
        let stage = lines.iter().rposition(|line| line.starts_with("FROM ")).unwrap_or(0);
        let mut image = Self { environment: Vec::new(), ..Self::default() };
        for line in &lines[stage..] {
            let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match verb {
                "ENTRYPOINT" => image.entry_point = list(rest),
                "CMD" => image.command = list(rest),
                "ENV" => image.environment.extend(rest.split_whitespace().filter_map(pair)),
                "USER" => {
                    let user = rest.trim().split(':').next().and_then(|user| user.parse().ok());
                    image.user = user.unwrap_or(USER);
                }
                _ => {}
            }
        }
        image
    }
}

/// The words of a list as JSON has it.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text.trim()).unwrap_or_default()
}

fn pair(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.trim_matches('"').to_owned()))
}

/// Whether an image is the product's.
pub(crate) fn is_ours(image: &str) -> bool {
    let without_digest = image.split('@').next().unwrap_or_default();
    let last = without_digest.rsplit('/').next().unwrap_or_default();
    last.split(':').next() == Some(NAME)
}

#[cfg(test)]
mod tests;
