"""Every way a command can be refused: code, status and title, in order of precedence."""

from enum import StrEnum


class Code(StrEnum):
    """Why a command was refused. Where several apply, the first of this list is the answer."""

    INVALID_COMMAND = "invalid_command"
    ID_REUSED = "id_reused"
    EXPIRED = "expired"
    FORBIDDEN = "forbidden"
    WORKSPACE_NOT_FOUND = "workspace_not_found"
    ANCESTOR_PAUSED = "ancestor_paused"
    TREE_CHANGED = "tree_changed"
    DESCENDANTS_EXIST = "descendants_exist"
    BLAST_RADIUS_EXCEEDED = "blast_radius_exceeded"

    @property
    def status(self) -> int:
        """The HTTP status a gateway would give (RFC 9110)."""
        return _STATUS_AND_TITLE[self][0]

    @property
    def heading(self) -> str:
        """The RFC 9457 `title`: the same for every occurrence (section 3.1.3)."""
        return _STATUS_AND_TITLE[self][1]

    @property
    def type(self) -> str:
        """The URI that identifies the problem (RFC 9457, section 3.1.1)."""
        return f"urn:workspace-lifecycle:problem:{self.value}"


OK = 200

_STATUS_AND_TITLE = {
    Code.INVALID_COMMAND: (422, "The command is malformed"),
    Code.ID_REUSED: (422, "The message id was used before with another body"),
    Code.EXPIRED: (412, "The command is too old to be carried out"),
    Code.FORBIDDEN: (403, "The sender is not allowed to do this"),
    Code.WORKSPACE_NOT_FOUND: (404, "No such workspace"),
    Code.ANCESTOR_PAUSED: (409, "A workspace above it is paused"),
    Code.TREE_CHANGED: (412, "The tree is no longer the one the sender was shown"),
    Code.DESCENDANTS_EXIST: (409, "Descendants would be affected and cascade was not asked for"),
    Code.BLAST_RADIUS_EXCEEDED: (409, "More workspaces would change than the cap allows"),
}
