//! What a gateway may say of itself.

use super::*;

fn gateway() -> GatewayInfo {
    let text = |text: &str| text.to_owned();
    GatewayInfo { id: 7, address: text("a:1"), zone: text("z"), version: text("1"), level: Level::FIRST }
}

#[test]
fn what_a_gateway_says_is_read_as_it_was_said_and_no_more_than_it_needs() {
    assert_eq!(GatewayInfo::read(gateway().message()), Some(gateway()));
    let no_id = peer::Gateway { id: Bytes::new(), ..gateway().message() };
    assert_eq!(GatewayInfo::read(no_id), None);
    let endless = GatewayInfo { zone: "z".repeat(TEXT_BYTES_MAX + 1), ..gateway() };
    assert_eq!(GatewayInfo::read(endless.message()), None);
}

#[test]
fn seats_are_given_back_and_there_are_so_many() {
    let watchers = Arc::<Watchers>::default();
    let seats: Vec<_> = (0..GATEWAYS_MAX).map(|_| watchers.sit(gateway()).map_err(drop)).collect();
    assert!(seats.iter().all(Result::is_ok));
    assert!(watchers.sit(gateway()).is_err_and(|refused| refused.code() == tonic::Code::ResourceExhausted));
    drop(seats);
    assert!(watchers.gateways().is_empty());
    let seat = watchers.sit(gateway());
    assert_eq!((seat.is_ok(), watchers.gateways()), (true, vec![gateway()]));
}
