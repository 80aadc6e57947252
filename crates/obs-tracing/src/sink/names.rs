//! The ids of a line under the names that other systems know.

use super::Line;

/// An id that a line has as a member of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdName {
    /// The member of the line.
    pub(super) member: &'static str,
    /// The same in snake case, as fields of code and labels are named.
    #[cfg(feature = "loki")]
    pub(super) snake: &'static str,
    /// The attribute of OpenTelemetry's semantic conventions, or a name in their style where they have none.
    #[cfg(feature = "otlp")]
    pub(super) attribute: &'static str,
}

macro_rules! ids {
    ($($member:literal, $snake:literal, $attribute:literal;)*) => {
        &[$(IdName {
            member: $member,
            #[cfg(feature = "loki")]
            snake: $snake,
            #[cfg(feature = "otlp")]
            attribute: $attribute,
        }),*]
    };
}

/// All ids but those of trace and span, which every protocol has a place of their own for.
pub(super) const IDS: &[IdName] = ids! {
    "correlationId", "correlation_id", "correlation_id";
    "userId", "user_id", "user.id";
    "organizationId", "organization_id", "organization.id";
    "agentId", "agent_id", "gen_ai.agent.id";
    "sessionId", "session_id", "session.id";
    "requestId", "request_id", "request.id";
    "workflow", "workflow", "workflow.name";
    "step", "step", "workflow.step";
    "tool", "tool", "gen_ai.tool.name";
};

/// The ids that a line has.
pub(super) fn ids_of<'a>(line: &'a Line<'_>) -> impl Iterator<Item = (&'static IdName, &'a str)> {
    let members = line.members();
    IDS.iter().filter_map(move |id| Some((id, members.get(id.member)?.as_str()?)))
}
