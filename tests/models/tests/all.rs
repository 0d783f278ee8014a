//! Each model in some thousand interleavings, others each time.

use models::check::check;
use models::send;
use models::transport::{budgets, handovers, peers, pools, waiters};

#[test]
fn every_waiter_is_answered_exactly_once() {
    check(waiters::every_waiter_is_answered_exactly_once);
}

#[test]
fn every_waiter_for_capacity_gets_some() {
    check(budgets::every_waiter_for_capacity_gets_some);
}

#[test]
fn closing_a_budget_wakes_all_waiters() {
    check(budgets::closing_wakes_all_waiters);
}

#[test]
fn capacity_returned_after_the_end_of_an_account_stays_returned() {
    check(budgets::returned_capacity_stays_returned_after_the_end);
}

#[test]
fn jobs_behind_a_stuck_one_are_run() {
    check(pools::jobs_behind_a_stuck_one_are_run);
}

#[test]
fn jobs_during_the_end_of_a_pool_are_run() {
    check(pools::jobs_during_the_end_are_run);
}

#[test]
fn many_shutdowns_end_everything_once() {
    check(pools::many_shutdowns_end_everything_once);
}

#[test]
fn no_connection_outlives_the_end_of_its_peer() {
    check(peers::nothing_is_left_after_the_end);
}

#[test]
fn the_free_list_is_empty_after_the_end() {
    check(send::nothing_is_kept_after_the_end);
}

#[test]
fn a_deferred_value_is_used_exactly_once() {
    check(handovers::a_deferred_value_is_used_exactly_once);
}

#[test]
fn a_deferred_value_that_is_not_taken_is_used_by_the_timer() {
    check(handovers::a_deferred_value_that_is_not_taken_is_used_by_the_timer);
}

#[test]
fn a_lookup_is_made_once_at_a_time_and_all_followers_get_its_result() {
    check(handovers::a_lookup_is_made_once_at_a_time_and_all_followers_get_its_result);
}

#[test]
fn a_promise_is_kept_once_and_wakes_all_that_wait() {
    check(handovers::a_promise_is_kept_once_and_wakes_all_that_wait);
}
