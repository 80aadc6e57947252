//! The ids of a line under the names that other systems know.

use super::Line;

/// An id that a line has as a member of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdName {
    /// The member of the line.
    pub(super) member: &'static str,
    /// The same in snake case, as fields of code and labels are named.
    pub(super) snake: &'static str,
}

macro_rules! ids {
    ($($member:literal, $snake:literal;)*) => {
        &[$(IdName {
            member: $member,
            snake: $snake,
        }),*]
    };
}

/// All ids but those of trace and span, which every protocol has a place of their own for.
pub(super) const IDS: &[IdName] = ids! {
    "correlationId", "correlation_id";
    "userId", "user_id";
    "organizationId", "organization_id";
    "agentId", "agent_id";
    "sessionId", "session_id";
    "requestId", "request_id";
    "workflow", "workflow";
    "step", "step";
    "tool", "tool";
};

/// The ids that a line has.
pub(super) fn ids_of<'a>(line: &'a Line<'_>) -> impl Iterator<Item = (&'static IdName, &'a str)> {
    let members = line.members();
    IDS.iter().filter_map(move |id| Some((id, members.get(id.member)?.as_str()?)))
}
