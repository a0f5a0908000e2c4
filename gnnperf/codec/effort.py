"""How hard the writer looks for the smallest streams."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["auto", "fast", "small"]
LEVELS = ("auto", "fast", "small")
# Below so many bytes of tensors every stream is coded as well as it can be within a second.
AUTO_STRONG_BELOW_BYTES = 10_000_000
# The level at which pcodec is within a hundredth of its best, at a third of the time.
WEAK_PCO = 8


@dataclass(frozen=True)
class Effort:
    """Levels of the two libraries and where they are spent.

    `pco` is pcodec's level, `modal_pco` its level where it may take numbers apart, `zstd` the level
    that every candidate is tried at, `strong_zstd` the one for streams that it may make the
    smallest. Chunks of more lanes than `sample_above` are judged by a sample of `sample_blocks`
    blocks; codecs that are up to `margin` times larger than the best on it are then done in full.
    Classes of lines are looked for in `class_sample` values, nearly. Masks are tried as gaps up to
    a share `gaps_below` of lanes. `is_thorough` tries all.
    """

    pco: int
    modal_pco: int
    zstd: int
    strong_zstd: int
    sample_above: int
    sample_blocks: int
    margin: float
    class_sample: int
    gaps_below: float
    is_thorough: bool = False


FAST = Effort(8, 10, 1, 1, 1 << 13, 8, margin=0.0, class_sample=1 << 13, gaps_below=0.35)
STRONG = Effort(12, 12, 3, 19, 1 << 17, 16, margin=1.005, class_sample=1 << 16, gaps_below=1.0)
LARGE = Effort(8, 12, 3, 3, 1 << 13, 8, margin=0.0, class_sample=1 << 13, gaps_below=0.35)
SMALL = Effort(
    12, 12, 3, 19, 1 << 62, 1, 0.0, class_sample=1 << 62, gaps_below=1.0, is_thorough=True
)


def effort_for(level: Level, raw_bytes: int) -> Effort:
    """The effort of a level for a state of so many bytes."""
    if level == "auto":
        return STRONG if raw_bytes < AUTO_STRONG_BELOW_BYTES else LARGE
    return SMALL if level == "small" else FAST
