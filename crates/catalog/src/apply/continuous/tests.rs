//! Continuous queries come, are noted to have run, and go.

use model::Timestamp;

use crate::apply::apply;
use crate::apply::tests::{done, refused};
use crate::command::{Command, ErrorCode};
use crate::samples::*;
use crate::state::State;

fn with_query() -> State {
    let mut state = State::default();
    done(&mut state, &bootstrap());
    done(&mut state, &set_up());
    done(&mut state, &Command::CreateContinuousQuery { query: continuous_query(5, 1, "db", "q") });
    state
}

#[test]
fn a_name_stands_for_one_query_of_a_database() {
    let mut state = with_query();
    let same = continuous_query(6, 1, "db", "q");
    done(&mut state, &Command::CreateContinuousQuery { query: same.clone() });
    assert_eq!(state.continuous_queries().count(), 1, "the same again is the same");
    let mut other = same;
    other.text.push(' ');
    let create = Command::CreateContinuousQuery { query: other };
    refused(&mut state, &create, ErrorCode::Conflict, "continuous query already exists");
    done(&mut state, &Command::CreateContinuousQuery { query: continuous_query(6, 1, "other", "q") });
    assert_eq!(state.continuous_query_by_name(org_id(1), "other", "q").unwrap().id.get(), 6);
    let nowhere = Command::CreateContinuousQuery { query: continuous_query(7, 9, "db", "r") };
    refused(&mut state, &nowhere, ErrorCode::NotFound, "organization not found");
}

#[test]
fn there_is_a_limit_of_them() {
    let mut state = with_query();
    for id in 2..=4096 {
        let query = continuous_query(100 + id, 1, "db", &format!("q{id}"));
        apply(&mut state, &Command::CreateContinuousQuery { query });
    }
    let one_more = Command::CreateContinuousQuery { query: continuous_query(9000, 1, "db", "r") };
    let message = "there are at most 4096 continuous queries";
    refused(&mut state, &one_more, ErrorCode::UnprocessableEntity, message);
    done(&mut state, &Command::CreateContinuousQuery { query: continuous_query(9000, 1, "db", "q") });
}

#[test]
fn runs_are_noted_and_never_taken_back() {
    let mut state = with_query();
    let id = continuous_query(5, 1, "db", "q").id;
    let last = |state: &State| state.continuous_query(id).unwrap().last_run;
    for (at, noted) in [(60, 60), (120, 120), (90, 120)] {
        done(&mut state, &Command::NoteContinuousRun { id, at: Timestamp(at) });
        assert_eq!(last(&state), Some(Timestamp(noted)));
    }
    done(&mut state, &Command::DeleteContinuousQuery { id });
    done(&mut state, &Command::NoteContinuousRun { id, at: Timestamp(180) });
    assert_eq!(state.continuous_queries().count(), 0, "a note makes nothing");
    let again = Command::DeleteContinuousQuery { id };
    refused(&mut state, &again, ErrorCode::NotFound, "continuous query not found");
}

#[test]
fn they_go_with_their_organization() {
    let mut state = with_query();
    done(&mut state, &Command::DeleteOrg { id: org_id(1) });
    assert_eq!(state.continuous_queries().count(), 0);
}
