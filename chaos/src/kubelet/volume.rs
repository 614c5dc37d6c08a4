//! The volumes of a pod as directories: those that outlive it, those that go with it, and ConfigMaps, Secrets and fields of
//! the pod as files.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::environment::{EnvironmentError, Facts, Stores, resource};
use super::manifest::Contents;
use super::template::{Container, Downward, Files, Item, PodSpec, Volume};

const FILE_MODE: u32 = 0o644;

/// A volume could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// A file or directory.
    #[error("the volume {volume}")]
    Disk { volume: String, source: io::Error },
    /// What is to be in it is not there.
    #[error("the volume {volume}: {what} is not there")]
    Missing { volume: String, what: String },
    /// A field of the pod.
    #[error("the volume {volume}")]
    Field { volume: String, source: EnvironmentError },
    /// Nothing is known of its kind.
    #[error("the volume {0} is of a kind that is not known here")]
    Kind(String),
    /// No container's mount may name it.
    #[error("there is no volume {0}")]
    NoVolume(String),
}

/// Where the directories are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Of volumes that outlive pods.
    pub(crate) claims: PathBuf,
    /// Of this pod alone.
    pub(crate) pod: PathBuf,
}

/// A volume that is there.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) path: PathBuf,
    pub(crate) is_read_only: bool,
}

/// The name of the claim of a pod for a template.
pub(crate) fn claim_name(template: &str, pod: &str) -> String {
    format!("{template}-{pod}")
}

/// The directory of a claim.
pub(crate) fn claim_path(claims: &Path, namespace: &str, claim: &str) -> PathBuf {
    claims.join(namespace).join(claim)
}

/// Makes all volumes of a pod. `templates` are the claims that each pod has one of.
pub(crate) fn make(
    spec: &PodSpec,
    templates: &[String],
    facts: &Facts,
    stores: Stores<'_>,
    places: &Places,
) -> Result<BTreeMap<String, Ready>, VolumeError> {
    let mut ready = BTreeMap::new();
    let group = spec.security_context.fs_group;
    for template in templates {
        let claim = claim_name(template, &facts.name);
        let path = claim_path(&places.claims, &facts.namespace, &claim);
        let failed = |source| VolumeError::Disk { volume: template.clone(), source };
        std::fs::create_dir_all(&path).map_err(failed)?;
        own(&path, group).map_err(failed)?;
        ready.insert(template.clone(), Ready { path, is_read_only: false });
    }
    let containers: Vec<&Container> = spec.containers.iter().chain(&spec.init_containers).collect();
    for volume in &spec.volumes {
        let failed = |source| VolumeError::Disk { volume: volume.name.clone(), source };
        if let Some(claim) = &volume.persistent_volume_claim {
            let path = claim_path(&places.claims, &facts.namespace, &claim.claim_name);
            std::fs::create_dir_all(&path).map_err(failed)?;
            own(&path, group).map_err(failed)?;
            ready.insert(volume.name.clone(), Ready { path, is_read_only: false });
            continue;
        }
        let path = places.pod.join("volumes").join(&volume.name);
        std::fs::create_dir_all(&path).map_err(failed)?;
        if volume.empty_dir.is_some() {
            // For whoever the containers are.
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).map_err(failed)?;
            own(&path, group).map_err(failed)?;
            ready.insert(volume.name.clone(), Ready { path, is_read_only: false });
            continue;
        }
        let files = files(volume, &containers, facts, stores)?;
        write(&path, &files, group).map_err(failed)?;
        ready.insert(volume.name.clone(), Ready { path, is_read_only: true });
    }
    Ok(ready)
}

/// A file of a volume.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    path: String,
    bytes: Vec<u8>,
    mode: u32,
}

/// What is in a volume of files.
fn files(
    volume: &Volume,
    containers: &[&Container],
    facts: &Facts,
    stores: Stores<'_>,
) -> Result<Vec<Content>, VolumeError> {
    let name = &volume.name;
    if let Some(files) = &volume.config_map {
        return of_store(name, stores.config_maps, files, &files.name, None, facts);
    }
    if let Some(files) = &volume.secret {
        return of_store(name, stores.secrets, files, &files.secret_name, None, facts);
    }
    if let Some(downward) = &volume.downward_api {
        return of_fields(name, downward, containers, facts);
    }
    let Some(projected) = &volume.projected else { return Err(VolumeError::Kind(name.clone())) };
    let (mut all, mode) = (Vec::new(), projected.default_mode);
    for source in &projected.sources {
        if let Some(files) = &source.config_map {
            all.extend(of_store(name, stores.config_maps, files, &files.name, mode, facts)?);
        }
        if let Some(files) = &source.secret {
            all.extend(of_store(name, stores.secrets, files, &files.name, mode, facts)?);
        }
        if let Some(downward) = &source.downward_api {
            all.extend(of_fields(name, downward, containers, facts)?);
        }
        if let Some(token) = &source.service_account_token {
            // Nobody is there who would take it.
            let bytes = format!("token of {}", facts.account).into_bytes();
            all.push(Content { path: token.path.clone(), bytes, mode: mode.unwrap_or(FILE_MODE) });
        }
    }
    Ok(all)
}

fn of_store(
    volume: &str,
    store: &BTreeMap<super::manifest::Key, Contents>,
    files: &Files,
    name: &str,
    mode: Option<u32>,
    facts: &Facts,
) -> Result<Vec<Content>, VolumeError> {
    let mode = files.default_mode.or(mode).unwrap_or(FILE_MODE);
    let missing = |what: &str| VolumeError::Missing { volume: volume.to_owned(), what: what.to_owned() };
    let contents = match store.get(&(facts.namespace.clone(), name.to_owned())) {
        Some(contents) => contents,
        None if files.optional => return Ok(Vec::new()),
        None => return Err(missing(name)),
    };
    if files.items.is_empty() {
        let one =
            |(key, bytes): (&String, &Vec<u8>)| Content { path: key.clone(), bytes: bytes.clone(), mode };
        return Ok(contents.iter().map(one).collect());
    }
    let one = |item: &Item| match contents.get(&item.key) {
        Some(bytes) => Ok(Some(Content {
            path: item.path.clone(),
            bytes: bytes.clone(),
            mode: item.mode.unwrap_or(mode),
        })),
        None if files.optional => Ok(None),
        None => Err(missing(&format!("{name}/{}", item.key))),
    };
    files.items.iter().filter_map(|item| one(item).transpose()).collect()
}

fn of_fields(
    volume: &str,
    downward: &Downward,
    containers: &[&Container],
    facts: &Facts,
) -> Result<Vec<Content>, VolumeError> {
    let one = |item: &Item| {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => facts.field(field),
            (None, Some(asked)) => resource(asked, containers),
            (None, None) => Ok(String::new()),
        };
        let value = value.map_err(|source| VolumeError::Field { volume: volume.to_owned(), source })?;
        Ok(Content {
            path: item.path.clone(),
            bytes: value.into_bytes(),
            mode: item.mode.unwrap_or(FILE_MODE),
        })
    };
    downward.items.iter().map(one).collect()
}

/// Writes files; the group of the pod may read them.
fn write(directory: &Path, files: &[Content], group: Option<u32>) -> io::Result<()> {
    for file in files {
        let path = directory.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, &file.bytes)?;
        let shared = if group.is_some() { file.mode | 0o040 } else { file.mode };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(shared))?;
        if group.is_some() {
            std::os::unix::fs::chown(&path, None, group)?;
        }
    }
    Ok(())
}

/// Gives a directory to the group of the pod, when it is not yet its own (`OnRootMismatch`).
fn own(directory: &Path, group: Option<u32>) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    let mode = std::fs::metadata(directory)?.permissions().mode();
    std::os::unix::fs::chown(directory, None, Some(group))?;
    std::fs::set_permissions(directory, PermissionsExt::from_mode(mode | 0o2770))
}
