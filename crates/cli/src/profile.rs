//! Which server, with which token: arguments, then environment, then the profile that `tidemark setup` saved, then
//! the active profile of the `influx` command line (`~/.influxdbv2/configs`), then `http://127.0.0.1:8086`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::CliError;

/// Where to connect; the same arguments for every verb that does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connection {
    /// URL of the server.
    #[arg(long, env = "TIDEMARK_HOST", value_name = "URL", global = true)]
    host: Option<String>,
    #[command(flatten)]
    access: Access,
    /// Name or id of the organization.
    #[arg(long = "org", env = "TIDEMARK_ORG", value_name = "ORG")]
    org: Option<String>,
    /// Seconds after which a call is given up.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u64,
}

/// With whose rights to connect.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Access {
    /// API token.
    // One in 64 begins with a hyphen.
    #[arg(
        long,
        short = 't',
        env = "TIDEMARK_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        allow_hyphen_values = true
    )]
    token: Option<String>,
    /// File that holds the API token.
    #[arg(long, env = "TIDEMARK_TOKEN_FILE", value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Name of the saved profile to use.
    #[arg(long, env = "TIDEMARK_PROFILE", value_name = "NAME")]
    profile: Option<String>,
}

/// A resolved connection.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Base URL without a slash at the end.
    pub(crate) url: String,
    /// Token, when there is one.
    pub(crate) token: Option<String>,
    /// Organization, when there is one.
    pub(crate) org: Option<String>,
    /// Limit of one call.
    pub(crate) timeout: std::time::Duration,
}

/// One saved server, in the shape of the `influx` command line's configuration file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// Base URL.
    pub(crate) url: String,
    /// API token.
    #[serde(default)]
    pub(crate) token: String,
    /// Organization.
    #[serde(default)]
    pub(crate) org: String,
    /// Whether it is used when none is named.
    #[serde(default)]
    pub(crate) active: bool,
}

type Profiles = std::collections::BTreeMap<String, Profile>;

const DEFAULT_URL: &str = "http://127.0.0.1:8086";

impl Connection {
    /// Finds the server, the token and the organization.
    pub(crate) fn resolve(&self) -> Result<Target, CliError> {
        let profile = self.access.saved()?;
        let org = self
            .org
            .clone()
            .or_else(|| environment("INFLUX_ORG"))
            .or_else(|| Some(profile.org.clone()).filter(|org| !org.is_empty()));
        let url =
            self.host.clone().or_else(|| saved_host(&profile)).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let timeout = std::time::Duration::from_secs(self.timeout);
        Ok(Target { url: base_url(&url)?, token: self.access.token(&profile)?, org, timeout })
    }

    /// The token given for this call, by flag, variable or file; never a saved one.
    pub(crate) fn own_token(&self) -> Result<Option<String>, CliError> {
        self.access.own_token()
    }
}

/// Where the environment of the `influx` command line, or a profile, says that the server is.
fn saved_host(profile: &Profile) -> Option<String> {
    environment("INFLUX_HOST").or_else(|| Some(profile.url.clone()).filter(|url| !url.is_empty()))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A base URL without a slash at the end.
fn base_url(url: &str) -> Result<String, CliError> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(CliError::Usage(format!("the host is a URL such as {DEFAULT_URL}, not {url:?}")));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

impl Access {
    /// Finds several servers, and the token for them. Where none is named there is the saved one, or none.
    pub(crate) fn resolve(&self, hosts: &[String]) -> Result<(Vec<String>, Option<String>), CliError> {
        let profile = self.saved()?;
        let named = hosts.iter().map(|host| host.trim()).filter(|host| !host.is_empty());
        let mut urls = named.map(base_url).collect::<Result<Vec<String>, CliError>>()?;
        if urls.is_empty() {
            urls = saved_host(&profile).map(|host| base_url(&host)).transpose()?.into_iter().collect();
        }
        Ok((urls, self.token(&profile)?))
    }

    fn token(&self, profile: &Profile) -> Result<Option<String>, CliError> {
        let saved = || Some(profile.token.clone()).filter(|token| !token.is_empty());
        Ok(self.own_token()?.or_else(|| environment("INFLUX_TOKEN")).or_else(saved))
    }

    /// The token given for this call, by flag, variable or file; never a saved one.
    fn own_token(&self) -> Result<Option<String>, CliError> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some(path)) => Ok(Some(read(path)?.trim().to_owned())),
            (None, None) => Ok(None),
        }
    }

    fn saved(&self) -> Result<Profile, CliError> {
        for path in [own_path(), influx_path()].into_iter().flatten() {
            let profiles = load(&path)?;
            let found = match &self.profile {
                Some(name) => profiles.get(name).cloned(),
                None => profiles.into_values().find(|profile| profile.active),
            };
            if let Some(profile) = found {
                return Ok(profile);
            }
        }
        match &self.profile {
            Some(name) => Err(CliError::Usage(format!("there is no profile {name:?}"))),
            None => Ok(Profile::default()),
        }
    }
}

/// Saves a profile as the active one; returns the file.
pub(crate) fn save(name: &str, mut profile: Profile) -> Result<PathBuf, CliError> {
    let path =
        own_path().ok_or_else(|| CliError::Usage("HOME is not set: cannot save a profile".to_owned()))?;
    let mut profiles = load(&path)?;
    profiles.values_mut().for_each(|other| other.active = false);
    profile.active = true;
    profiles.insert(name.to_owned(), profile);
    let text = toml::to_string(&profiles).map_err(|e| CliError::Answer(e.to_string()))?;
    let failed = |source| CliError::File { action: "writing", path: path.clone(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    write_private(&path, &text).map_err(failed)?;
    Ok(path)
}

/// Writes a file that only its owner may read, replacing it whole.
#[expect(clippy::disallowed_methods, reason = "a user's profile is no data of the database")]
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let temporary = path.with_extension("tmp");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

fn own_path() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    config.or_else(|| Some(home()?.join(".config"))).map(|dir| dir.join("tidemark/profiles.toml"))
}

fn influx_path() -> Option<PathBuf> {
    std::env::var_os("INFLUX_CONFIGS_PATH")
        .map(PathBuf::from)
        .or_else(|| Some(home()?.join(".influxdbv2/configs")))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|p| p.is_absolute())
}

fn load(path: &Path) -> Result<Profiles, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|e| CliError::Profile { path: path.to_owned(), reason: e.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Profiles::new()),
        Err(source) => Err(CliError::File { action: "reading", path: path.to_owned(), source }),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::File {
        action: "reading",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
