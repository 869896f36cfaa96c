"""What an executor answers on `workspace.events`."""

from pydantic import Field

from schemas.strict import Counter, Id, Strict, Text


class Stopped(Strict):
    """`workspace.stopped`: the machine is stopped, or there was none to stop."""

    operation_id: Id
    workspace_id: Id
    generation: Counter = Field(description="the command's")
    instance_id: Text | None = None
    detail: Text | None = Field(None, description="for people")


class Started(Stopped):
    """`workspace.started`: the machine runs, or there was none to start."""


class StopFailed(Stopped):
    """`workspace.stop.failed`: the machine was not stopped. Final: it will not be tried again."""

    code: Text = Field(description="'superseded', or the executor's own word")
    retryable: bool = Field(description="whether sending the whole command again may help")


class StartFailed(StopFailed):
    """`workspace.start.failed`: the machine was not started."""
