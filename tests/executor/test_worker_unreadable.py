"""Worker: what it cannot read goes to the dead letters with a reason."""

import pytest

from consumer.message import UnreadableError
from tests.executor.desk import Desk, command, inbound


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b"[]", "JSON object"),
        (b"{}", "specversion"),
        (command("workspace.pause").body, "'workspace.pause' is no command for an executor"),
        (command("workspace.nonsense").body, "'workspace.nonsense' is no command"),
        (command(data={"generation": "7"}).body, "generation"),
        (command(data={"workspace_id": "w"}).body, "workspace_id"),
        (command(data={"extra": 1}).body, "extra"),
        (command(data={"deadline": "tomorrow"}).body, "deadline"),
        (b"[" * 60_000, "nested too deep"),
    ],
)
async def test_what_cannot_be_read_says_what_is_wrong(body: bytes, why: str) -> None:
    """The reason is fit for the dead-letter queue, and nothing was asked of anybody."""
    desk = Desk()
    with pytest.raises(UnreadableError, match=why):
        await desk.worker.handle(inbound(body))
    assert desk.executor.orders == []
    assert desk.fenced == []
    assert desk.published == []
