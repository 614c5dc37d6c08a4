//! Secrets that something else than the manifests fills: certificates of cert-manager, and values that External Secrets
//! fetches from where they are kept.

use std::collections::BTreeMap;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

use super::manifest::{CertificateSpec, Contents, Manifests, Object, StatefulSetSpec};

/// A certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The library refused.
    #[error("the certificate {name}")]
    Issue { name: String, source: rcgen::Error },
}

/// An authority, by the Secret that it is in.
type Authorities = BTreeMap<(String, String), CertifiedIssuer<'static, KeyPair>>;

/// The Secret of the first user, which an operator makes where the manifests do not, and its keys.
const INIT: &str = "tidemark-init";
const INIT_KEYS: [&str; 6] = ["username", "password", "org", "bucket", "retention", "admin-token"];

/// Fills in what is not there. Answers what was made, for people.
pub(crate) fn fill(manifests: &mut Manifests) -> Result<Vec<String>, SecretError> {
    let mut told = Vec::new();
    for external in &manifests.externals {
        let name = if external.spec.target.name.is_empty() {
            &external.metadata.name
        } else {
            &external.spec.target.name
        };
        let keys = external.spec.data.iter().map(|one| &one.secret_key);
        let contents: Contents = keys.map(|key| (key.clone(), value(key).into_bytes())).collect();
        told.push(format!(
            "Secret {name} of ExternalSecret {}: {} values made up",
            external.metadata.name,
            contents.len()
        ));
        manifests.secrets.insert((external.metadata.namespace.clone(), name.clone()), contents);
    }
    let firsts =
        manifests.stateful_sets.iter().map(|set| (set.metadata.namespace.clone(), of_first_user(set)));
    for key in firsts.collect::<Vec<_>>() {
        manifests.secrets.entry(key).or_insert_with(|| {
            told.push(format!("Secret {INIT}: nobody makes it; {} values made up", INIT_KEYS.len()));
            INIT_KEYS.iter().map(|key| ((*key).to_owned(), value(key).into_bytes())).collect()
        });
    }
    let mut certificates = std::mem::take(&mut manifests.certificates);
    // Authorities first, each after the one that signs it: those that nobody in the manifests signs are their own.
    certificates.sort_by_key(|one| (!one.spec.is_ca, signer(manifests, one).is_some()));
    let mut authorities = Authorities::new();
    for certificate in &certificates {
        let contents = issue(manifests, certificate, &mut authorities)
            .map_err(|source| SecretError::Issue { name: certificate.metadata.name.clone(), source })?;
        let spec = &certificate.spec;
        told.push(format!(
            "Secret {} of Certificate {}: {}",
            spec.secret_name,
            certificate.metadata.name,
            if spec.is_ca { "an authority".to_owned() } else { spec.dns_names.join(", ") }
        ));
        manifests
            .secrets
            .insert((certificate.metadata.namespace.clone(), spec.secret_name.clone()), contents);
    }
    manifests.certificates = certificates;
    Ok(told)
}

/// The name of the Secret of the first user, as a StatefulSet mounts it: a generator adds a hash to it.
pub(crate) fn of_first_user(set: &Object<StatefulSetSpec>) -> String {
    let volumes = set.spec.template.spec.volumes.iter();
    let mut names = volumes.filter_map(|volume| volume.secret.as_ref()).map(|files| &files.secret_name);
    let is_it =
        |name: &&String| name.strip_prefix(INIT).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    names.find(is_it).cloned().unwrap_or_else(|| INIT.to_owned())
}

/// The Secret of the authority that signs a certificate, where the manifests name one.
fn signer(manifests: &Manifests, certificate: &Object<CertificateSpec>) -> Option<(String, String)> {
    let reference = &certificate.spec.issuer_ref;
    let namespace = certificate.metadata.namespace.clone();
    let of_cluster = reference.kind == "ClusterIssuer";
    let kind = if of_cluster { "ClusterIssuer" } else { "Issuer" };
    let at = if of_cluster { String::new() } else { namespace.clone() };
    let issuer = manifests.issuers.get(&(kind.to_owned(), at, reference.name.clone()))?;
    issuer.ca.as_ref().map(|authority| (namespace, authority.secret_name.clone()))
}

fn issue(
    manifests: &Manifests,
    certificate: &Object<CertificateSpec>,
    authorities: &mut Authorities,
) -> Result<Contents, rcgen::Error> {
    let spec = &certificate.spec;
    let mut params = CertificateParams::new(spec.dns_names.clone())?;
    let addresses = spec.ip_addresses.iter().filter_map(|address| address.parse().ok());
    params.subject_alt_names.extend(addresses.map(SanType::IpAddress));
    let common = if spec.common_name.is_empty() { &certificate.metadata.name } else { &spec.common_name };
    params.distinguished_name.push(DnType::CommonName, common.clone());
    let key = KeyPair::generate()?;
    let key_pem = key.serialize_pem();
    // Whoever signs otherwise (by ACME, or itself) has an authority of its own here.
    let by = signer(manifests, certificate)
        .unwrap_or_else(|| (certificate.metadata.namespace.clone(), format!(" of {}", spec.issuer_ref.name)));
    if spec.is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = (certificate.metadata.namespace.clone(), spec.secret_name.clone());
        let (authority, parent) = match authorities.get(&by) {
            Some(parent) => (CertifiedIssuer::signed_by(params, key, parent)?, parent.pem()),
            None => {
                let authority = CertifiedIssuer::self_signed(params, key)?;
                let pem = authority.pem();
                (authority, pem)
            }
        };
        let contents = contents(authority.pem(), key_pem, parent);
        authorities.insert(own, authority);
        return Ok(contents);
    }
    if !authorities.contains_key(&by) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, spec.issuer_ref.name.clone());
        authorities.insert(by.clone(), CertifiedIssuer::self_signed(params, KeyPair::generate()?)?);
    }
    let authority = &authorities[&by];
    let signed = params.signed_by(&key, authority)?;
    Ok(contents(signed.pem(), key_pem, authority.pem()))
}

fn contents(certificate: String, key: String, authority: String) -> Contents {
    let all = [("tls.crt", certificate), ("tls.key", key), ("ca.crt", authority)];
    all.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

/// A value for a key.
fn value(key: &str) -> String {
    match key {
        "retention" => "0".to_owned(),
        key if key.contains("password") || key.contains("token") => random(),
        key => format!("a-{key}"),
    }
}

/// Characters that nobody guesses.
fn random() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(32).collect()
}

#[cfg(test)]
mod tests;
