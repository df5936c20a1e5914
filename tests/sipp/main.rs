//! SIPp as PBX and as cloud, the built gateway between them: every behaviour of `sip-fixtures/scenarios` over real
//! sockets, spoken by a SIP implementation that is not ours. Afterwards the gateway must be empty and stop when told.

mod flood;
mod gateway;
mod sipp;
mod table;

use gateway::{Gateway, Ports};
use sipp::{Part, Sipp};
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;
use table::Scenario;

/// How long a pair of scenarios may take; the slowest waits 64*T1 of a shortened T1.
const PATIENCE: Duration = Duration::from_secs(45);

/// One test for each row of the table, by the same name.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $( #[test] fn $name() { play(stringify!($name)); } )*

        #[test]
        fn the_table_and_the_tests_name_the_same_scenarios() {
            let tests = [$(stringify!($name)),*];
            let table = table::read();
            let rows: Vec<&str> = table.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(tests.as_slice(), rows.as_slice());
        }
    };
}

scenarios! {
    a_call_is_bridged_over_udp
    a_call_is_bridged_over_tcp
    a_call_goes_from_tcp_to_udp
    a_call_goes_from_udp_to_tcp
    the_cloud_sees_the_numbers_and_no_question_mark
    compact_and_folded_headers_are_read
    a_late_offer_is_made_by_the_gateway
    a_target_without_offer_makes_it_and_the_ack_answers
    the_late_offer_of_a_target_is_answered_by_a_caller_without_offer
    a_repeated_invite_is_absorbed
    a_lost_answer_is_repeated
    a_lost_ack_of_the_pbx_is_asked_for
    a_lost_ack_to_the_cloud_is_repeated
    an_answer_that_is_never_acknowledged_is_hung_up
    a_cancel_waits_for_the_first_word_of_the_cloud
    a_ringing_call_is_cancelled_on_both_sides
    an_answer_that_crosses_the_cancel_is_hung_up
    a_busy_target_is_busy_for_the_pbx
    a_declined_call_is_declined_for_the_pbx
    an_unknown_address_is_unknown_for_the_pbx
    an_overloaded_target_is_overloaded_for_the_pbx
    a_target_that_only_rings_is_cancelled
    a_silent_target_times_out
    early_media_reaches_the_pbx
    ringing_and_early_media_keep_their_order
    a_forked_answer_is_acknowledged_and_hung_up
    the_pbx_holds_and_resumes
    the_cloud_holds_and_resumes
    an_ack_without_an_answer_does_not_end_the_call
    the_pbx_holds_in_every_direction
    a_hold_of_rfc_2543_is_a_hold
    a_hold_by_port_0_is_a_hold
    a_hold_by_update_is_passed_as_update
    a_hold_by_update_becomes_a_reinvite
    a_second_update_is_told_when_to_come_again
    changes_that_cross_are_refused_on_both_sides
    an_offer_of_ours_that_meets_491_comes_again
    a_change_without_offer_brings_one
    fax_is_refused_and_audio_stays
    fax_is_passed_where_the_trunk_says_so
    a_multipart_invite_is_read
    an_unknown_body_is_refused
    other_streams_are_refused_in_their_places
    another_codec_and_packet_time_are_passed
    a_refused_change_keeps_the_call
    a_description_that_changes_nothing_is_answered_here
    a_blind_transfer_of_the_cloud_brings_the_caller_to_the_named_party
    a_transfer_that_fails_leaves_the_caller_with_the_bot
    a_transfer_goes_on_when_the_one_who_asked_for_it_leaves
    a_transfer_that_is_not_allowed_is_declined_with_a_reason
    the_pbx_puts_another_party_into_the_callers_place
    a_redirected_call_follows_the_contact
    the_cloud_hangs_up
    both_hang_up_and_the_cloud_is_late
    both_hang_up_and_the_pbx_is_late
    a_long_way_to_the_pbx_is_kept_to_the_byte
    a_long_way_to_the_cloud_is_kept_to_the_byte
    an_unknown_source_is_refused
    a_call_without_route_is_refused
    a_pbx_is_told_what_its_trunk_says
    an_invite_without_contact_is_a_bad_request
    a_cut_invite_is_a_bad_request
    an_unknown_method_is_answered_with_the_known_ones
    a_required_unknown_extension_is_named
    a_call_without_hops_left_ends
    options_are_answered
    a_merged_request_is_refused_and_the_call_goes_on
    a_stray_bye_and_a_stray_cancel_are_told_so
    a_reliable_183_is_repeated_until_its_prack_and_holds_the_answer_back
    a_progress_that_is_never_acknowledged_is_refused
    a_caller_without_a_required_extension_is_told_its_name
    the_clouds_progress_is_acknowledged_in_order
    a_lost_prack_is_sent_again
    forks_with_early_media_are_one_dialog_for_the_pbx
    progress_without_media_and_ringing_pass_as_they_are
    a_caller_can_be_answered_at_once
    too_short_a_session_gets_422_and_the_pbx_refreshes_the_longer_one
    a_422_of_the_cloud_is_followed_in_the_same_call
    the_cloud_is_refreshed_by_update_and_by_reinvite
    a_refresher_that_vanished_ends_both_legs
    a_withheld_caller_is_nobody_for_the_cloud
    a_policy_reveals_a_withheld_caller
    a_diverted_call_names_whom_the_caller_dialled
    the_history_of_a_call_names_whom_the_caller_dialled
    user_to_user_and_identifiers_reach_the_cloud
    an_extension_is_called_by_its_number
    allowed_headers_pass_and_no_others
    headers_beyond_the_limit_give_way_in_order
    an_identity_with_unescaped_quotes_counts
    a_target_where_nobody_listens_is_noticed_at_once
    a_large_invite_goes_by_tcp
    a_large_invite_comes_by_udp_where_there_is_no_tcp
    a_contact_behind_nat_is_not_followed
    options_are_refused_when_every_target_is_down
    a_target_that_is_down_is_passed_over
    a_target_that_is_back_is_called_again
    an_unknown_source_is_dropped_where_that_is_wanted
    a_scanner_is_dropped_and_banned
    a_stranger_that_asks_too_fast_is_limited
    a_stranger_is_banned_and_the_ban_is_lifted
    a_pbx_that_proves_itself_comes_in_by_its_user
    challenges_are_offered_by_their_strength
    a_wrong_password_is_refused
    an_answer_to_an_old_challenge_is_stale
    a_pbx_registers_asks_and_takes_back
    a_cloud_that_wants_a_password_gets_it_in_every_request
    a_password_that_is_refused_is_not_tried_again
    the_gateway_registers_at_the_cloud
}

fn play(name: &str) {
    if !sipp::installed() {
        assert!(std::env::var_os("CI").is_none(), "sipp is not installed (apt-get install sip-tester), and this is CI");
        eprintln!("\n*** SKIPPED {name}: sipp is not installed (apt-get install sip-tester) ***\n");
        return;
    }
    let scenario = table::find(name);
    let folder = tempfile::tempdir().unwrap();
    // A socket that listens and never speaks: the one peer that SIPp cannot play.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let mut human = scenario.human.as_deref().map(|name| listening(&Part::human(name), folder.path()));
    let human_port = human.as_ref().map(Sipp::port);
    let at_once = scenario.cloud_comes.is_none();
    let mut cloud =
        at_once.then(|| cloud_part(&scenario, human_port)).flatten().map(|part| listening(&part, folder.path()));
    let cloud_port = match (scenario.cloud.as_deref(), &cloud) {
        (Some("silent"), _) => silent_port,
        (_, Some(cloud)) => cloud.port(),
        // Nobody is there, or not yet.
        (_, None) => sipp::free_ports(),
    };
    let ports = Ports { cloud: cloud_port, human: human_port, silent: silent_port };
    let mut gateway = Gateway::start(&scenario, &ports, folder.path());
    let to = gateway.sip(scenario.pbx_transport);

    let mut complaints = vec![];
    if let Some(line) = &scenario.cloud_comes {
        complaints.extend(gateway.shows(line, Duration::from_secs(20)).err());
        cloud = cloud_part(&scenario, human_port).map(|part| listening(&part.on(Some(cloud_port)), folder.path()));
    }
    complaints.extend(scenario.once.iter().filter_map(|line| gateway.shows(line, Duration::from_secs(20)).err()));
    complaints.extend(Sipp::start(&Part::pbx(&scenario, to), folder.path()).finish(PATIENCE).err());
    if let Some(act) = &scenario.afterwards {
        complaints.extend(gateway.lift(&act.lift).err());
        let part = Part::again(&scenario, &act.pbx, to);
        complaints.extend(Sipp::start(&part, folder.path()).finish(PATIENCE).err());
    }
    complaints.extend(cloud.as_mut().and_then(|cloud| cloud.finish(Duration::from_secs(10)).err()));
    complaints.extend(human.as_mut().and_then(|human| human.finish(Duration::from_secs(10)).err()));
    complaints.extend(gateway.empties(Duration::from_secs(10)).err());
    complaints.extend(scenario.reason.as_deref().and_then(|reason| gateway.counted_one_call(reason).err()));
    complaints.extend(scenario.finally.iter().filter_map(|line| gateway.shows(line, Duration::from_secs(10)).err()));
    complaints.extend(gateway.stop(Duration::from_secs(15)).err());
    assert!(complaints.is_empty(), "\n{name}\n{}\n--- gateway log\n{}", complaints.join("\n"), gateway.log());
}

fn cloud_part(scenario: &Scenario, human_port: Option<u16>) -> Option<Part> {
    let name = scenario.cloud.as_deref().filter(|name| !matches!(*name, "silent" | "nobody"))?;
    Some(Part::cloud(scenario, name, human_port))
}

fn listening(part: &Part, folder: &Path) -> Sipp {
    let mut sipp = Sipp::start(part, folder);
    sipp.listens(Duration::from_secs(10));
    sipp
}
