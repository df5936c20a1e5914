//! Starts that fail, gateways that are dropped, and what shards share.

use super::{Config, Gateway, StartError, shard_count, share_of};
use crate::config::value::{PortRange, Secret};

#[tokio::test]
async fn a_start_that_fails_at_the_end_leaves_nothing_behind() {
    let scene = crate::sim::scene::Scene::start().await.unwrap();
    let mut config = crate::config::parse(&scene.configuration()).unwrap();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.sip.listen[0].address = free;
    let daily = config.daily.as_mut().unwrap();
    daily.hmac.0 = vec![Secret::new("no base64")];
    let problem = Gateway::start(config).await.map(drop).unwrap_err();
    assert!(matches!(problem, StartError::Secret(_)), "{problem}");
    std::net::UdpSocket::bind(free).expect("the shards have ended and their sockets are closed");
}

#[tokio::test]
async fn a_gateway_that_is_dropped_ends_by_itself() {
    let scene = crate::sim::scene::Scene::start().await.unwrap();
    let config = crate::config::parse(&scene.configuration()).unwrap();
    let gateway = Gateway::start(config).await.unwrap();
    let shards = gateway.shared.shards.clone();
    drop(gateway);
    for shard in shards {
        shard.ended().await;
    }
}

#[test]
fn shards_share_the_ports_without_overlap_and_without_splitting_a_pair() {
    for count in 1..=7 {
        let mut next = 20_000;
        for number in 0..count {
            let share = share_of(20_000, 29_999, number, usize::from(count));
            assert_eq!(*share.start(), next);
            assert_eq!(share.start() % 2, 0);
            assert_eq!(share.end() % 2, 1);
            next = share.end() + 1;
        }
        assert_eq!(next, 30_000);
    }
    assert_eq!(share_of(10_001, 10_008, 0, 1), 10_002..=10_007);
    // Three calls on three shards: nobody is left with half a call.
    let shares = [0, 1, 2].map(|number| share_of(20_000, 20_011, number, 3));
    assert_eq!(shares, [20_000..=20_003, 20_004..=20_007, 20_008..=20_011]);
}

#[test]
fn there_are_never_more_shards_than_calls_that_the_ports_have_room_for() {
    let mut config = Config::default();
    config.sip.shards = 8;
    config.media.ports = PortRange { first: 20_000, last: 20_007 };
    assert_eq!(shard_count(&config), 2);
    config.media.ports = PortRange { first: 20_000, last: 29_999 };
    assert_eq!(shard_count(&config), 8);
}
