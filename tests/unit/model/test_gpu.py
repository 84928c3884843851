"""Which GPUs an allocation takes, keeps and gives up, and which processes on them are foreign."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import GpuCountNegative, InvalidRequest, NotEnoughGpus
from app.model.gpu import Gpu, GpuProcess, Holder, check_count, choose, foreign, split_kept

UUIDS = st.lists(st.sampled_from([f"GPU-{i}" for i in range(12)]), unique=True)
HOLDER = Holder("foo", 0, "op", "ours")


def used_by(memory: int | None, container: str | None) -> Gpu:
    return Gpu("GPU-0", 0, processes=(GpuProcess(7, memory, container),))


@given(UUIDS, st.integers(0, 12), st.integers())
def test_it_chooses_that_many_different_free_gpus_or_refuses_with_the_counts(free, count, seed):
    if count <= len(free):
        chosen = choose(free, count, 12, Random(seed))
        assert len(chosen) == len(set(chosen)) == count
        assert set(chosen) <= set(free)
    else:
        with pytest.raises(NotEnoughGpus) as caught:
            choose(free, count, 12, Random(seed))
        assert caught.value.data == {"requested": count, "free": len(free), "total": 12}


def test_rivals_choose_different_gpus_of_many_equal_ones():
    free = [f"GPU-{i}" for i in range(8)]
    assert {choose(free, 1, 8, Random(seed))[0] for seed in range(200)} == set(free)


def test_the_choice_does_not_depend_on_the_order_of_the_free_ones():
    free = [f"GPU-{i}" for i in range(8)]
    assert choose(free, 3, 8, Random(1)) == choose(free[::-1], 3, 8, Random(1)) == choose(set(free), 3, 8, Random(1))


@given(UUIDS, UUIDS, st.integers(0, 12))
def test_what_is_held_is_either_kept_or_given_up_and_only_usable_ones_are_kept(held, usable, count):
    kept, given_up = split_kept(held, usable, count)
    assert sorted(kept + given_up) == sorted(held)
    assert set(kept) <= set(usable)
    assert len(kept) == min(count, len(set(held) & set(usable)))


def test_the_first_ones_held_are_kept_and_the_rest_given_up():
    assert split_kept(["a", "b", "c"], {"a", "b", "c"}, 2) == (["a", "b"], ["c"])


def test_a_lost_gpu_is_given_up_even_if_enough_are_wanted():
    assert split_kept(["a", "b"], {"b"}, 2) == (["b"], ["a"])


@given(st.integers(0, 1024))
def test_a_count_up_to_1024_is_accepted(count):
    assert check_count(count) == count


def test_a_negative_count_has_its_own_code():
    with pytest.raises(GpuCountNegative) as caught:
        check_count(-1)
    assert caught.value.code == 1018


def test_an_absurd_count_is_refused():
    with pytest.raises(InvalidRequest, match="1024"):
        check_count(1025)


@pytest.mark.parametrize(
    ("memory", "container", "holder", "is_foreign"),
    [
        (100, None, None, True),
        (99, None, None, False),
        (None, None, None, True),
        (100, "theirs", None, True),
        (100, "theirs", HOLDER, True),
        (100, "ours", HOLDER, False),
        (None, "ours", HOLDER, False),
        (100, None, HOLDER, True),
        (100, None, Holder("foo", 0, "op", None), True),
    ],
)
def test_a_process_is_foreign_unless_its_the_holders_or_uses_less_than_the_threshold(
    memory, container, holder, is_foreign
):
    gpu = used_by(memory, container)
    assert foreign(gpu, holder, 100) == (gpu.processes if is_foreign else ())


def test_only_the_foreign_ones_of_several_processes_are_told():
    processes = (GpuProcess(1, 500, "ours"), GpuProcess(2, 500, None), GpuProcess(3, 5, None))
    assert foreign(Gpu("GPU-0", 0, processes=processes), HOLDER, 100) == (processes[1],)
