import torch

from gnnperf import codec


def test_what_repeats_is_only_looked_for_where_size_counts(tmp_path):
    """A block of noise 20 times over: nothing but zstd sees it, and `fast` does without."""
    state = {"w": torch.randn(1000, generator=torch.Generator().manual_seed(0)).repeat(20)}
    sizes = {}
    for level in ("small", "fast"):
        path = tmp_path / level
        codec.save(state, path, level=level)
        sizes[level] = path.stat().st_size
        assert torch.equal(codec.load(path).state["w"], state["w"])
    assert sizes["small"] < 10_000
    assert sizes["fast"] > 50_000
