use super::*;

const MANIFESTS: &str = "
kind: Issuer
metadata: { name: self, namespace: n }
spec: { selfSigned: {} }
---
kind: Issuer
metadata: { name: ca, namespace: n }
spec: { ca: { secretName: ca-tls } }
---
kind: Certificate
metadata: { name: node, namespace: n }
spec: { secretName: node-tls, dnsNames: ['*.peers.n.svc', peers.n.svc], issuerRef: { name: ca, kind: Issuer } }
---
kind: Certificate
metadata: { name: ca, namespace: n }
spec: { secretName: ca-tls, isCA: true, commonName: ca, issuerRef: { name: self, kind: Issuer } }
---
kind: ExternalSecret
metadata: { name: e, namespace: n }
spec: { target: { name: made }, data: [{ secretKey: username }, { secretKey: admin-token }] }
";

#[test]
fn certificates_are_signed_by_the_authority_that_the_manifests_name() {
    let mut manifests = Manifests::read(MANIFESTS).unwrap();
    fill(&mut manifests).unwrap();
    let of = |name: &str, key: &str| manifests.secrets[&("n".to_owned(), name.to_owned())][key].clone();
    assert_eq!(of("node-tls", "ca.crt"), of("ca-tls", "tls.crt"));
    assert_ne!(of("node-tls", "tls.crt"), of("ca-tls", "tls.crt"));
    assert!(String::from_utf8(of("node-tls", "tls.key")).unwrap().contains("PRIVATE KEY"));
}

#[test]
fn values_that_are_kept_elsewhere_are_made_up() {
    let mut manifests = Manifests::read(MANIFESTS).unwrap();
    fill(&mut manifests).unwrap();
    let made = &manifests.secrets[&("n".to_owned(), "made".to_owned())];
    assert_eq!(made["username"], b"a-username");
    assert_eq!(made["admin-token"].len(), 32);
}

#[test]
fn the_secret_of_the_first_user_may_have_a_hash_in_its_name() {
    let set = |secret: &str| {
        let text = format!(
            "kind: StatefulSet\nmetadata: {{name: t, namespace: n}}\nspec: {{template: {{spec: {{volumes: \
             [{{name: other, secret: {{secretName: tidemark-initial}}}}, {{name: init, secret: {{secretName: {secret}}}}}]}}}}}}\n"
        );
        Manifests::read(&text).unwrap()
    };
    for (secret, expected) in
        [("tidemark-init", "tidemark-init"), ("tidemark-init-5h2k", "tidemark-init-5h2k"), ("x", INIT)]
    {
        let mut manifests = set(secret);
        assert_eq!(of_first_user(&manifests.stateful_sets[0]), expected);
        fill(&mut manifests).unwrap();
        assert!(manifests.secrets.contains_key(&("n".to_owned(), expected.to_owned())));
    }
}
