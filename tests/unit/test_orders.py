"""Commands out: the bytes that schema and envelope give, for every workspace of an operation."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from consumer.operation import Target, message_id
from consumer.orders import Orders
from schemas.catalog import BY_NAME, SOURCE
from schemas.commands import StartWorkspace, StopWorkspace
from schemas.envelope import Attributes, read, write
from schemas.strict import canonical_json

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
_TIMES = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants it naive)
_TARGETS = st.builds(
    Target,
    operation_id=st.uuids(),
    workspace_id=st.uuids(),
    name=_TEXT,
    instance_id=_TEXT | st.none(),
    runtime=_TEXT | st.none(),
    previous_status=_TEXT,
    generation=st.integers(0, 2**63 - 1),
    deadline=_TIMES,
)
_KINDS = {"workspace.stop": StopWorkspace, "workspace.start": StartWorkspace}


@given(
    st.sampled_from(sorted(_KINDS)),
    st.uuids(),
    st.lists(_TARGETS, min_size=1, max_size=3),
    _TIMES,
    st.lists(_TEXT | st.none(), min_size=3, max_size=3),
)
def test_a_command_is_what_schema_and_envelope_give(
    kind: str,
    operation_id: UUID,
    targets: list[Target],
    time: datetime,
    sent: list[str | None],
) -> None:
    """To the byte, whatever stands in names and in what the sender wrote."""
    correlation_id, causation_id, traceparent = sent
    orders = Orders(
        kind,
        operation_id,
        time=time,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
    )
    for target in (one._replace(operation_id=operation_id) for one in targets):
        identity, body = orders.write(target)
        assert identity == str(message_id(operation_id, str(target.workspace_id)))
        attributes = Attributes(
            id=identity,
            source=SOURCE,
            type=kind,
            subject=str(target.workspace_id),
            time=time,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
            operation_id=str(operation_id),
            dataschema=BY_NAME[kind].dataschema,
        )
        assert body == write(attributes, _KINDS[kind].model_validate(target._asdict()))


@given(_TARGETS)
def test_a_command_can_be_read_back(target: Target) -> None:
    """It is valid by its own schema."""
    orders = Orders(
        "workspace.stop",
        target.operation_id,
        time=target.deadline,
        correlation_id="c",
        causation_id="m",
        traceparent=None,
    )
    _, data = read(orders.write(target)[1])
    found = BY_NAME["workspace.stop"].adapter.validate_json(canonical_json(data))
    assert found == StopWorkspace(**target._asdict())
