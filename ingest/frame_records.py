"""A camera's frame as a record: the value is the picture; entity, time, encoding and modality stand in the headers."""

from ingest.record import Headers, Record

ENCODING, MODALITY = "encoding", "modality"
"""Headers; entity and time have the names they have in JSON. Without a modality it is the monitor's first image."""


def is_frame(record: Record) -> bool:
    """Does the record say how its picture is encoded?"""
    return any(name == ENCODING for name, _ in record.headers)


def own_headers(record: Record) -> tuple[tuple[str, bytes], ...]:
    """The headers without which the record could not be read again: a frame's."""
    return tuple(record.headers) if is_frame(record) else ()


def fields_of(record: Record, time_key: str) -> dict[str, object]:
    """The headers as the fields that a JSON record has; a time in whole digits is epoch milliseconds."""
    fields: dict[str, object] = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    time = str(fields.get(time_key, ""))
    return fields | ({time_key: int(time)} if time.removeprefix("-").isdecimal() else {})


def frame_headers(
    entity: str, time_ms: int, encoding: str, entity_key: str = "entity", time_key: str = "time"
) -> Headers:
    """The headers that a frame is sent with. `time_ms`: epoch milliseconds."""
    return [(entity_key, entity.encode()), (time_key, b"%d" % time_ms), (ENCODING, encoding.encode())]
