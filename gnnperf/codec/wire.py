"""Varints and strings, written and read with every length checked (FORMAT.md, head)."""

from dataclasses import dataclass

from gnnperf.codec.errors import HeaderError, LimitError, TrailingDataError, TruncatedError

MAX_VARINT_BYTES = 9
_OF_ONE_BYTE = bytes(range(0x80))


def varint(value: int) -> bytes:
    """Unsigned LEB128 of 0 <= value < 2^63."""
    if not 0 <= value < 1 << 63:
        raise LimitError(f"{value} does not fit 63 bits")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text: bytes) -> bytes:
    """Length and bytes."""
    return varint(len(text)) + text


@dataclass
class Reader:
    """A position in some bytes; each method takes the next field or raises a CodecError.

    `place` is what the bytes are, for messages.
    """

    data: bytes
    position: int = 0
    place: str = "header"

    def where(self) -> str:
        """For messages."""
        return f"{self.place} byte {self.position}"

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes."""
        end = self.position + count
        if end > len(self.data):
            raise self._short(count, what)
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self.data) - self.position, "the rest")

    def _short(self, count: int, what: str) -> TruncatedError:
        left = len(self.data) - self.position
        return TruncatedError(f"{self.where()}: {what} needs {count} bytes, {left} left")

    def u8(self, what: str) -> int:
        """One byte."""
        if self.position >= len(self.data):
            raise self._short(1, what)
        byte = self.data[self.position]
        self.position += 1
        return byte

    def u32(self, what: str) -> int:
        """Four bytes, little-endian."""
        return int.from_bytes(self.take(4, what), "little")

    def varint(self, what: str, at_most: int | None = None) -> int:
        """An unsigned LEB128 number in its shortest form; raises LimitError above `at_most`."""
        start, value = self.position, 0
        # Almost always it is one byte, and there are many of them.
        if start < len(self.data) and (first := self.data[start]) < 0x80 and at_most is None:
            self.position += 1
            return first
        for index in range(MAX_VARINT_BYTES):
            byte = self.u8(what)
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                break
        else:
            raise HeaderError(
                f"{self.place} byte {start}: {what} takes over {MAX_VARINT_BYTES} bytes"
            )
        if index and not byte:
            raise HeaderError(
                f"{self.place} byte {start}: {what} is {value} in more bytes than it needs"
            )
        if at_most is not None and value > at_most:
            raise LimitError(
                f"{self.place} byte {start}: {what} is {value}, at most {at_most} is allowed"
            )
        return value

    def varints(self, what: str, count: int) -> tuple[int, ...]:
        """`count` varints."""
        found: list[int] = []
        while len(found) < count:
            # Almost always each is one byte, and a forged header is all numbers.
            ahead = self.data[self.position : self.position + count - len(found)]
            short = ahead[: len(ahead) - len(ahead.lstrip(_OF_ONE_BYTE))]
            self.position += len(short)
            found += short
            if len(found) < count:
                found.append(self.varint(what))
        return tuple(found)

    def string(self, what: str, at_most: int) -> bytes:
        """A length and that many bytes."""
        return self.take(self.varint(f"the length of {what}", at_most), what)

    def finish(self) -> None:
        """Raise TrailingDataError unless everything was read."""
        if self.position != len(self.data):
            left = len(self.data) - self.position
            raise TrailingDataError(f"{self.where()}: {left} bytes after the last field")
