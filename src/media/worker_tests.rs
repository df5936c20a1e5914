//! The thread: commands, panics, end.

use super::*;
use crate::media::socket::tests::any_pair;
use crate::media::{Flow, PayloadMap, SideConfig, Timeouts};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;
use std::time::Duration;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

impl WorkerHandle {
    /// Waits until the thread has obeyed all commands so far.
    pub(crate) fn settle(&self) {
        let (sender, receiver) = mpsc::channel();
        self.send(Command::Echo(sender));
        receiver.recv_timeout(PATIENCE).unwrap();
    }
}

fn worker() -> (WorkerHandle, mpsc::Receiver<MediaEvent>) {
    let (sender, events) = mpsc::channel();
    let worker = Worker::spawn(
        "media-test",
        Box::new(move |event| {
            let _ = sender.send(event);
        }),
    )
    .unwrap();
    (worker, events)
}

#[test]
fn readiness_survives_its_way_through_epoll() {
    for berth in [0, 1, 77, usize::MAX >> 3] {
        for side in [Side::A, Side::B] {
            for channel in [Channel::Rtp, Channel::Rtcp] {
                let ready = Ready::Socket(BerthId(berth), side, channel);
                assert_eq!(Ready::from_data(ready.data().u64()), ready);
            }
        }
    }
    assert_eq!(Ready::from_data(Ready::Wake.data().u64()), Ready::Wake);
    assert_eq!(Ready::from_data(Ready::Tick.data().u64()), Ready::Tick);
}

#[test]
fn a_stopped_worker_is_gone_with_its_sockets_and_takes_commands_without_effect() {
    let (mut worker, events) = worker();
    let pairs = [any_pair(LOCAL), any_pair(LOCAL)];
    let port = pairs[0].port;
    let berth = worker.adopt(pairs, Family::V4).unwrap();
    assert!(worker.is_alive());
    worker.stop();
    assert!(!worker.is_alive());
    worker.stop();
    worker.open(berth, 1, Arc::default());
    worker.command(berth, RelayCommand::Close);
    assert!(events.recv_timeout(PATIENCE).is_err(), "the callback went with the thread");
    PortPair::bind(LOCAL, port).unwrap();
}

#[test]
fn a_panic_costs_one_worker_nothing_but_that_packet() {
    let (worker, _events) = worker();
    worker.send(Command::Panic);
    worker.settle();
    assert!(worker.is_alive());
}

#[test]
fn a_worker_that_panics_again_and_again_ends_and_can_still_be_stopped() {
    let (mut worker, events) = worker();
    for _ in 0..PANICS {
        worker.send(Command::Panic);
    }
    assert_eq!(events.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    worker.stop();
    assert!(!worker.is_alive());
}

#[test]
fn commands_for_a_berth_without_a_relay_do_nothing() {
    let (mut worker, events) = worker();
    let berth = worker.adopt([any_pair(LOCAL), any_pair(LOCAL)], Family::V4).unwrap();
    let timeouts = Timeouts { initial: Duration::ZERO, ongoing: Duration::ZERO, held: Duration::ZERO };
    for berth in [berth, BerthId(99)] {
        worker.command(berth, RelayCommand::Watch(timeouts));
        worker.command(berth, RelayCommand::Reset(Side::A));
        worker.command(berth, RelayCommand::Close);
    }
    worker.settle();
    worker.stop();
    assert!(events.try_recv().is_err());
}

#[test]
fn silence_is_told_while_watched_and_the_tick_rests_afterwards() {
    let (mut worker, events) = worker();
    let berth = worker.adopt([any_pair(LOCAL), any_pair(LOCAL)], Family::V4).unwrap();
    worker.open(berth, 42, Arc::default());
    let config = SideConfig {
        remote: Some("127.0.0.1:9".parse().unwrap()),
        remote_rtcp: None,
        may_come_from: Vec::new(),
        payload_map: PayloadMap::identity(),
        send: Flow::Open,
        receive: Flow::Open,
        traffic: crate::media::Traffic::Rtp,
    };
    worker.command(berth, RelayCommand::Configure { side: Side::B, config });
    let timeouts = Timeouts { initial: Duration::from_millis(1), ongoing: PATIENCE, held: PATIENCE };
    worker.command(berth, RelayCommand::Watch(timeouts));
    let silent = MediaEvent::Silent { owner: 42, side: Side::B, clock: crate::media::SilenceClock::Initial };
    assert_eq!(events.recv_timeout(PATIENCE), Ok(silent));
    worker.command(berth, RelayCommand::Close);
    worker.settle();
    worker.stop();
    assert!(events.try_recv().is_err(), "side A is unknown, so nothing is expected of it");
}
