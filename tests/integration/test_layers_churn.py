"""A container that never rests while its layer is carried: after the stop, nothing may be wrong or missing."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.churn import churning
from tests.support.layers import LAYERS
from tests.support.trees import differences, make_layer, untold


@pytest.mark.parametrize("seed", range(4))
def test_a_layer_changed_during_live_passes_is_carried_exactly(seed: int, tmp_path: Path) -> None:
    source, target = make_layer(tmp_path, "old"), make_layer(tmp_path, "new")
    transfer = LAYERS.begin(str(source), str(target), untold)
    with churning(source, tmp_path / "outside", seed):
        for _ in range(1 + seed):
            transfer.copy_live()
            # Beyond the margin, so that what is quiet is not copied again and must be right as it is.
            time.sleep(0.5 * seed)
    transfer.finish()
    assert differences(source, target) == []


def test_a_mapping_dirty_before_the_live_pass_is_carried_with_later_stores(tmp_path: Path) -> None:
    source, target = make_layer(tmp_path, "old"), make_layer(tmp_path, "new")
    program = """
import mmap, sys
with open(sys.argv[1], "w+b") as file:
    file.truncate(1 << 20)
    mapped = mmap.mmap(file.fileno(), 0)
mapped[:] = b"a" * (1 << 20)
print("stored", flush=True)
sys.stdin.readline()
mapped[5000:5006] = b"second"
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(source / "mapped")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"stored\n"
        time.sleep(2.5)  # older than the margin: only the write-protection after syncfs shows the next store
        transfer = LAYERS.begin(str(source), str(target), untold)
        transfer.copy_live()
        writer.communicate(b"go\n")
    transfer.finish()
    assert (target / "mapped").read_bytes()[5000:5006] == b"second"
    assert differences(source, target) == []
