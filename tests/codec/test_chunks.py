import torch

from gnnperf import codec


def test_what_repeats_is_found_at_every_level(tmp_path):
    """A block of noise 20 times over: nothing but zstd sees it."""
    state = {"w": torch.randn(1000, generator=torch.Generator().manual_seed(0)).repeat(20)}
    sizes = {}
    for level in ("small", "fast"):
        path = tmp_path / level
        codec.save(state, path, level=level)
        sizes[level] = path.stat().st_size
        assert torch.equal(codec.load(path).state["w"], state["w"])
    assert max(sizes.values()) < 10_000
