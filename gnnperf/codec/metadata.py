"""Metadata: a JSON object, the same in as out (FORMAT.md, sections 2 and 8)."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from gnnperf.codec.errors import MetadataError

MAX_BYTES = 1 << 18
MAX_DEPTH = 32

Metadata = dict[str, Any]


def pack(metadata: Mapping[str, Any] | None) -> bytes:
    """Compact JSON, nothing for no metadata.

    Raises MetadataError for what strict JSON would change or refuse: tuples, keys that are no
    strings, NaN, sets, and for more than the limits; TypeError if it is no mapping.
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a mapping with string keys, not a {type(metadata).__name__}")
    if not metadata:
        return b""
    metadata = dict(metadata)
    try:
        blob = _canonical(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise MetadataError(f"metadata is no JSON: {error}") from None
    if parse(blob) != metadata:
        raise MetadataError(
            "metadata would not come back from JSON as it is; "
            "use dicts with string keys, lists, strings, numbers, booleans and None"
        )
    return blob


def parse(blob: bytes, *, canonical: bool = True) -> Metadata:
    """The object; raises MetadataError if it is none, or above the limits, or ambiguous.

    `canonical` also refuses text that `pack` would write in another way, as version 2 asks.
    """
    if not blob:
        return {}
    if len(blob) > MAX_BYTES:
        raise MetadataError(f"metadata is {len(blob)} bytes long, at most {MAX_BYTES} are allowed")
    try:
        metadata = json.loads(
            blob.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_duplicates,
        )
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"metadata is no JSON: {error}") from None
    if not isinstance(metadata, dict):
        raise MetadataError(f"metadata is a JSON {type(metadata).__name__}, not an object")
    if _depth_exceeds(metadata, MAX_DEPTH):
        raise MetadataError(f"metadata is nested deeper than {MAX_DEPTH} levels")
    if canonical and (not metadata or _canonical(metadata) != blob):
        raise MetadataError("metadata is not in the one form that the format allows")
    return metadata


def _canonical(metadata: Metadata) -> bytes:
    return json.dumps(metadata, separators=(",", ":"), allow_nan=False).encode("ascii")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not strict JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:40]} overflows")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Metadata:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return found


def _depth_exceeds(metadata: Metadata, limit: int) -> bool:
    level: list[Any] = [metadata]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
