"""Which precision a run has if nobody asks for one."""

from __future__ import annotations

import pytest
import torch

from nst_lightning.training.precision import choose_precision


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize(
    ("native", "limit", "found"),
    [
        (True, "", "bf16-mixed"),
        (True, "ALL", "bf16-mixed"),
        (True, "AVX512_CORE_AMX", "bf16-mixed"),
        (True, "AVX512_CORE", "32-true"),
        (True, "avx2", "32-true"),
        (True, "SSE41", "32-true"),
        (False, "", "32-true"),
    ],
)
def test_bf16_where_the_convolutions_may_use_its_instructions(monkeypatch, variable, native, limit, found):
    """If this fails, a run computes bf16 without instructions for it, many times slower than float32, or never."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, limit)
    assert choose_precision(None)[0] == found
    assert choose_precision("bf16-mixed")[0] == "bf16-mixed"
