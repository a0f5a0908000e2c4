import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.compression.quantization.a2q.packing import pack_rows, unpack_rows
from gnnperf.compression.quantization.errors import QuantizationError


@given(st.lists(st.integers(1, 8), max_size=12), st.integers(1, 9), st.booleans(), st.integers())
def test_rows_come_back_and_take_their_own_widths(widths, width, signed, seed):
    generator = torch.Generator().manual_seed(seed % 2**31)
    bits = torch.tensor(widths, dtype=torch.uint8)
    share = torch.rand(len(widths), width, generator=generator)
    codes = (share * torch.exp2(bits.float()).unsqueeze(-1)).long()
    if signed:
        codes -= 1 << (bits.long() - 1).unsqueeze(-1)
    packed = pack_rows(codes, bits)
    sizes = {size: widths.count(size) * width * size for size in widths}
    assert len(packed) == sum(-(-size // 8) for size in sizes.values())
    assert torch.equal(unpack_rows(packed, bits, width, signed=signed).long(), codes)


@pytest.mark.parametrize("change", [-1, 1])
def test_other_bits_than_it_was_packed_with_are_refused(change):
    bits = torch.tensor([2, 4, 4])
    packed = pack_rows(torch.ones(3, 8), bits)
    packed = packed[:change] if change < 0 else torch.cat([packed, packed[:1]])
    with pytest.raises(QuantizationError, match=f"{10 + change} bytes .* take 10; give the bits"):
        unpack_rows(packed, bits, 8, signed=False)
