use super::*;

/// In a fork, its own clients exist beside those of its parent.
#[test]
fn a_check_for_one_client_is_not_valid_for_a_client_of_another_process() {
    let (own, parents) = (Process(process::id()), Process(process::id() + 1));
    let now = Instant::now();
    for _ in 0..2 {
        assert!(!own.is_forked_at(now));
        assert!(parents.is_forked_at(now));
    }
    // Like a check of the parent just before the fork.
    LOOKED.set(Some((parents.0, now)));
    assert!(!own.is_forked_at(now));
}

/// A thread that has not sent for a while, such as one that forks workers, checks.
#[test]
fn a_thread_checks_again_after_a_tenth_of_a_second() {
    let parents = Process(process::id() + 1);
    let now = Instant::now();
    LOOKED.set(Some((parents.0, now)));
    assert!(!parents.is_forked_at(now + EVERY / 2));
    assert!(parents.is_forked_at(now + EVERY));
}
