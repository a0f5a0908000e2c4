"""`gnnperf pack`, `unpack` and `inspect`."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from tabulate import tabulate

from gnnperf.codec.compare import first_difference
from gnnperf.codec.effort import LEVELS
from gnnperf.codec.errors import CodecError
from gnnperf.codec.files import decode, encode, load, save
from gnnperf.codec.header import Limits
from gnnperf.codec.listing import TensorInfo, inspect
from gnnperf.codec.state import QuantizedTensor, Value
from gnnperf.system.files import replacing
from gnnperf.system.text import printable

# The file that was just written is ours.
_NO_LIMITS = {"max_bytes": 1 << 62, "max_tensors": 1 << 62, "max_header_bytes": 1 << 62}


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the three commands; each sets `run`, which takes the parsed arguments."""
    pack = subparsers.add_parser("pack", help="store a torch state_dict small and exact")
    pack.add_argument("source", metavar="MODEL.pt", help="a state_dict saved with torch.save")
    pack.add_argument("target", metavar="MODEL.gnnz", help="the file to write")
    pack.add_argument("--level", choices=LEVELS, default="auto")
    _add_threads(pack)
    pack.set_defaults(run=pack_command)
    unpack = subparsers.add_parser("unpack", help="turn a .gnnz file into a torch state_dict")
    unpack.add_argument("source", metavar="MODEL.gnnz", help="the file to read")
    unpack.add_argument("target", metavar="MODEL.pt", help="the file to write")
    unpack.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help="refuse tensors of more bytes (256 MiB or 1000 times the file, whichever is more)",
    )
    _add_limits(unpack)
    _add_threads(unpack)
    unpack.set_defaults(run=unpack_command)
    listing = subparsers.add_parser("inspect", help="list the tensors of a .gnnz file")
    listing.add_argument("source", metavar="MODEL.gnnz", help="the file to list")
    _add_limits(listing)
    listing.set_defaults(run=inspect_command)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="work on N threads")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = Limits()
    parser.add_argument(
        "--max-tensors",
        type=int,
        default=limits.max_tensors,
        metavar="N",
        help=f"refuse files of more tensors ({limits.max_tensors})",
    )
    parser.add_argument(
        "--max-header-bytes",
        type=int,
        default=limits.max_header_bytes,
        metavar="N",
        help=f"refuse longer headers ({limits.max_header_bytes} bytes)",
    )


def pack_command(arguments: argparse.Namespace) -> None:
    """Store a torch file as a state file, read it again and compare, and print the sizes."""
    _check_differ(arguments.source, arguments.target)
    state = _torch_state(arguments.source)
    level, threads = arguments.level, arguments.threads
    with _file_errors(arguments.target):
        stored_bytes = save(state, arguments.target, level=level, threads=threads)
        # The file is ours: how far it expands is no reason to distrust it.
        if Path(arguments.target).is_file():
            read = load(arguments.target, threads=threads, **_NO_LIMITS)
        else:  # What went into a pipe is gone; the same bytes are read from memory.
            blob = encode(state, level=level, threads=threads)
            read = decode(blob, threads=threads, **_NO_LIMITS)
        difference = first_difference(state, read.state)
    if difference:
        raise CodecError(f"{arguments.target}: does not read back as written, {difference}")
    ratio = os.path.getsize(arguments.source) / stored_bytes
    print(
        f"{arguments.target}: {stored_bytes} bytes, {ratio:.2f} times smaller than "
        f"{arguments.source}; read back and equal",
        # Behind the content of a pipe no sentence may stand.
        file=sys.stdout if Path(arguments.target).is_file() else sys.stderr,
    )


def unpack_command(arguments: argparse.Namespace) -> None:
    """Turn a state file into a torch file that torch.load reads with weights_only=True.

    A quantized tensor becomes a dict of its values, bits, scale and zero_point, which `pack` knows.
    """
    _check_differ(arguments.source, arguments.target)
    with _file_errors(arguments.source):
        decoded = load(
            arguments.source,
            max_bytes=arguments.max_bytes,
            max_tensors=arguments.max_tensors,
            max_header_bytes=arguments.max_header_bytes,
            threads=arguments.threads,
        )
    state = {name: _to_torch(value) for name, value in decoded.state.items()}
    with _file_errors(arguments.target), replacing(Path(arguments.target)) as temporary:
        try:
            torch.save(state, temporary)
        # Some dtypes, and storages seen through several.
        except (RuntimeError, KeyError) as error:
            raise CodecError(
                f"{arguments.target}: torch.save refuses it ({error}); "
                f"read {arguments.source} with gnnperf.codec.load"
            ) from None
    print(
        f"{arguments.target}: {len(decoded.state)} tensors",
        file=sys.stdout if Path(arguments.target).is_file() else sys.stderr,
    )


def inspect_command(arguments: argparse.Namespace) -> None:
    """Print a table of the tensors of a state file and what each costs."""
    with _file_errors(arguments.source):
        listing = inspect(
            arguments.source,
            max_tensors=arguments.max_tensors,
            max_header_bytes=arguments.max_header_bytes,
        )
    rows = [_row(info, listing.file_bytes) for info in listing.tensors]
    header_share = _share(listing.header_bytes, listing.file_bytes)
    rows.append(("(header)", "", "", "", str(listing.header_bytes), header_share))
    headings = ("tensor", "shape", "dtype", "encoding", "bytes", "share")
    print(tabulate(rows, headings, disable_numparse=True, colalign=("left",) * 4 + ("right",) * 2))
    if any(info.is_apportioned for info in listing.tensors):
        print("~ the tensor shares a stream; its part of the bytes is by number of elements")
    dense_bytes = sum(info.dense_bytes for info in listing.tensors)
    print(f"{listing.file_bytes} bytes for {dense_bytes} bytes of tensors")
    for key, value in listing.metadata.items():
        print(f"{printable(key)}: {printable(value)}")


def _row(info: TensorInfo, file_bytes: int) -> tuple[str, ...]:
    mark = "~" if info.is_apportioned else ""
    shape = " x ".join(map(str, info.shape)) or "scalar"
    sizes = f"{mark}{info.stored_bytes:.0f}", _share(info.stored_bytes, file_bytes)
    return printable(info.name), shape, info.dtype, info.encoding, *sizes


def _share(part_bytes: float, file_bytes: int) -> str:
    return f"{100 * part_bytes / file_bytes:.1f} %"


def _torch_state(path: str) -> dict[str, Value]:
    with _file_errors(path):
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # torch.load raises what its unpickler and zip reader raise
            reason = str(error).strip().partition("\n")[0]
            raise CodecError(
                f"{path}: torch.load with weights_only=True refuses it ({reason}); "
                "save a plain state_dict with torch.save(model.state_dict(), path)"
            ) from None
    if not isinstance(loaded, Mapping):
        raise CodecError(
            f"{path}: holds a {type(loaded).__name__}, not a state_dict; save model.state_dict()"
        )
    return {name: _from_torch(path, name, value) for name, value in loaded.items()}


def _from_torch(path: str, name: object, value: object) -> Value:
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping) and set(value) == {"values", "bits", "scale", "zero_point"}:
        return QuantizedTensor(**value)
    raise CodecError(
        f"{path}: entry {name!r} is a {type(value).__name__}, not a tensor; "
        "if the file is a whole checkpoint, save its state_dict alone and pack that"
    )


def _to_torch(value: Value) -> object:
    # vars keeps the tensors themselves, so that shared ones stay shared.
    return dict(vars(value)) if isinstance(value, QuantizedTensor) else value


def _check_differ(source: str, target: str) -> None:
    """Refuse to write over what is read, by whatever name."""
    try:
        same = os.path.samefile(source, target)
    except (OSError, ValueError):
        same = False
    if same:
        raise CodecError(
            f"{target}: source and target are the same file; name another file to write"
        )


@contextmanager
def _file_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CodecError(f"{path}: {error.strerror or error}") from None
