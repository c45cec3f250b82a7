"""Parts of packed group keys: what goes into the words comes out of them, whatever the parts' sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuql.execution.fused.group_keys import places_of_bits, tight_places
from gpuql.execution.fused.keys import PACKED_LIMIT

CARDINALITIES = st.lists(
    st.one_of(
        st.integers(1, 300),
        st.integers(0, 62).map(lambda bits: 1 << bits),
        st.integers(1, PACKED_LIMIT),
    ),
    min_size=1,
    max_size=12,
)


@given(cardinalities=CARDINALITIES, data=st.data())
def test_parts_come_back(cardinalities: list[int], data: st.DataObject) -> None:
    codes = [data.draw(st.sampled_from((0, size - 1, size // 2))) for size in cardinalities]
    for places in (tight_places(cardinalities), places_of_bits(cardinalities)):
        num_words = max(place.word for place in places) + 1
        assert {place.word for place in places} == set(range(num_words))
        words = [0] * num_words
        for place, code, cardinality in zip(places, codes, cardinalities, strict=True):
            assert cardinality <= place.room
            words[place.word] += code * place.stride
        assert all(0 <= word < PACKED_LIMIT for word in words)
        arrays = [np.array([word], np.int64) for word in words]
        assert [int(place.codes(arrays)[0]) for place in places] == codes
    # Shifts never cost a word.
    assert max(places_of_bits(cardinalities)).word == max(tight_places(cardinalities)).word


@pytest.mark.parametrize(
    ("cardinalities", "words"),
    [
        ([1], [0]),
        ([PACKED_LIMIT], [0]),
        ([PACKED_LIMIT, 1], [0, 0]),
        ([PACKED_LIMIT, 2], [0, 1]),
        ([1 << 40, 1 << 40, 1 << 20, 1 << 20], [0, 1, 0, 1]),
        ([3] * 39, [0] * 39),  # 3 ** 39 fits one word, 39 times two bits do not
    ],
)
def test_parts_go_to_the_first_word_with_room(cardinalities: list[int], words: list[int]) -> None:
    assert [place.word for place in places_of_bits(cardinalities)] == words
    assert tight_places(cardinalities)[0].stride == 1
