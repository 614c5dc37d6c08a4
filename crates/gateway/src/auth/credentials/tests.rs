//! Where credentials are looked for, and in what order.

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
}

fn params(query: &str) -> Params {
    Params::of_uri(&format!("/query?{query}").parse().unwrap(), 10).unwrap()
}

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.into(), password: password.into() }
}

#[test]
fn url_before_header() {
    let with = headers(&[("authorization", "Token t")]);
    assert_eq!(Credentials::v1(&with, &params("u=a&p=b")), password("a", "b"));
    assert_eq!(Credentials::v1(&with, &params("u=a&p=")), Credentials::Token("t".into()));
    assert_eq!(Credentials::v1(&with, &params("p=b")), Credentials::Token("t".into()));
}

#[test]
fn passwords_may_hold_colons() {
    let with = headers(&[("authorization", "Token a:b:c")]);
    assert_eq!(Credentials::v1(&with, &params("")), password("a", "b:c"));
    assert_eq!(Credentials::v2(&with), Credentials::Token("a:b:c".into()));
    let basic = headers(&[("authorization", "basic YTpiOmM=")]);
    assert_eq!(Credentials::v1(&basic, &params("")), password("a", "b:c"));
    assert_eq!(Credentials::v2(&basic), Credentials::None);
    let broken = headers(&[("authorization", "Basic ***")]);
    assert_eq!(Credentials::v1(&broken, &params("")), Credentials::None);
}

#[test]
fn cookies_are_found_among_others() {
    let with = headers(&[("cookie", "a=1; influxdb-oss-session=key; b=2")]);
    assert_eq!(Credentials::v2(&with), Credentials::Session("key".into()));
    assert_eq!(Credentials::v1(&with, &params("")), Credentials::None);
    assert_eq!(session(&headers(&[("cookie", "influxdb-oss-session=")])), None);
}
