"""Storages from a file's streams: all, or the lanes that are asked for (FORMAT.md, 4)."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from gnnperf.codec.chunks import decode_chunk
from gnnperf.codec.errors import CodecError
from gnnperf.codec.header import CHUNK_LANES, Header, Storage, group_members
from gnnperf.codec.lanes import Lanes
from gnnperf.codec.pool import side_by_side
from gnnperf.codec.sources import Source


class Body:
    """The streams that follow a header, read chunk by chunk; raises CodecErrors."""

    def __init__(self, header: Header, start: int, source: Source):
        self.header, self._source = header, source
        self._members = group_members(header.storages)
        self._starts: list[list[int]] = []
        for chunks in header.groups:
            ends = list(accumulate((chunk.stored_bytes for chunk in chunks), initial=start))
            self._starts.append(ends[:-1])
            start = ends[-1]
        self._lane_counts: list[int] = []
        self._first_lanes: dict[int, int] = {}
        for members in self._members:
            first = 0
            for number in members:
                self._first_lanes[number] = first
                first += header.storages[number].lane_count
            self._lane_counts.append(first)
        # Small tensors share a chunk, and are asked for one after the other.
        self._last: tuple[tuple[int, int], Lanes] | None = None

    def contents(self, threads: int = 1) -> list[Tensor]:
        """The bytes of every storage as a flat uint8 tensor."""
        out = [torch.empty(s.size_bytes, dtype=torch.uint8) for s in self.header.storages]
        buffers: list[Lanes] = []
        tasks: list[tuple[int, int, Lanes]] = []
        for group, members in enumerate(self._members):
            lanes = self._group_buffer(group, members, out)
            buffers.append(lanes)
            for index in range(len(self.header.groups[group])):
                place = slice(index * CHUNK_LANES, (index + 1) * CHUNK_LANES)
                tasks.append((group, index, lanes[place]))
        side_by_side(lambda task: self._decode(*task), tasks, threads)
        for members, lanes in zip(self._members, buffers, strict=True):
            if len(members) > 1:
                self._scatter(members, lanes, out)
        for number, storage in enumerate(self.header.storages):
            if storage.group < 0:
                out[number].copy_(out[storage.copy_of])
        return out

    def _group_buffer(self, group: int, members: list[int], out: list[Tensor]) -> Lanes:
        dtype = self.header.storages[members[0]].lane.unsigned
        if len(members) == 1:
            lanes: Lanes = out[members[0]].numpy().view(dtype)
            return lanes
        return np.empty(self._lane_counts[group], dtype)

    def _scatter(self, members: list[int], lanes: Lanes, out: list[Tensor]) -> None:
        for number in members:
            first, count = self._first_lanes[number], self.header.storages[number].lane_count
            out[number].numpy().view(lanes.dtype)[:] = lanes[first : first + count]

    def read(self, number: int, start: int, stop: int) -> Tensor:
        """Lanes `start` to `stop` of a storage, as flat uint8; only their chunks are read."""
        storage = self.header.storages[number]
        if storage.group < 0:
            return self.read(storage.copy_of, start, stop)
        out = torch.empty((stop - start) * storage.lane.width_bytes, dtype=torch.uint8)
        lanes: Lanes = out.numpy().view(storage.lane.unsigned)
        low = self._first_lanes[number] + start
        high = self._first_lanes[number] + stop
        for index in range(low // CHUNK_LANES, -(-high // CHUNK_LANES)):
            base, count = index * CHUNK_LANES, self._lanes_in(storage.group, index)
            begin, end = max(low, base), min(high, base + count)
            target = lanes[begin - low : end - low]
            if len(target) == count:
                self._decode(storage.group, index, target)
            else:
                target[:] = self._chunk(storage, index)[begin - base : end - base]
        return out

    def _lanes_in(self, group: int, index: int) -> int:
        return min(CHUNK_LANES, self._lane_counts[group] - index * CHUNK_LANES)

    def _chunk(self, storage: Storage, index: int) -> Lanes:
        place = (storage.group, index)
        if self._last is None or self._last[0] != place:
            self._last = None
            lanes: Lanes = np.empty(self._lanes_in(*place), storage.lane.unsigned)
            self._decode(*place, lanes)
            self._last = place, lanes
        return self._last[1]

    def _decode(self, group: int, index: int, out: Lanes) -> None:
        chunk = self.header.groups[group][index]
        storage = self.header.storages[self._members[group][0]]
        stream = self._source.read(self._starts[group][index], chunk.stored_bytes)
        try:
            decode_chunk(chunk, stream, storage.lane, storage.bits, out, index * CHUNK_LANES)
        except CodecError as error:
            raise type(error)(f"chunk {index} of group {group}: {error}") from None
