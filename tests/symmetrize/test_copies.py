"""Copies of an orbit: which are made, and what they have in common with single moves."""

import pytest
import torch

from equitune import copies
from equitune.actions import CubeRotations, Rotate90

SHAPES = {"square": (2, 3, 4, 4), "volume": (2, 3, 3, 3, 3)}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_copies_are_single_moves_in_the_layout_of_the_input(name, layout):
    shape = SHAPES[name]
    action = Rotate90() if name == "square" else CubeRotations()
    channels_last = torch.channels_last if name == "square" else torch.channels_last_3d
    layout = channels_last if layout == "channels_last" else torch.contiguous_format
    x = torch.rand(shape).to(memory_format=layout)
    elements = list(range(action.group.order))
    for chosen in (elements, elements[1:3], torch.tensor(elements[1:3])):
        found = copies.moved(action, chosen, x)
        assert torch.equal(found, torch.cat([action(int(g), x) for g in chosen]))
        assert found.is_contiguous(memory_format=layout)
        ys = found.unflatten(0, (len(chosen), len(x)))
        for back in copies.moved_back(action, chosen, ys):
            assert torch.equal(back, x)


def test_all_of_the_group_moves_back_at_once():
    action, x = Rotate90(), torch.rand(SHAPES["square"])
    ys = action.orbit(x)
    assert torch.equal(copies.moved_back(action, None, ys), x.expand_as(ys))


def test_elements_are_told_apart_by_the_shape_of_their_copies():
    wide, tall = Rotate90(square=False), torch.rand(2, 3, 4, 6)
    assert copies.of_one_shape([(wide, tall)], range(4)) == [[0, 2], [1, 3]]
    assert copies.of_one_shape([(wide, tall[..., :4])], range(4)) == [[0, 1, 2, 3]]
    assert copies.of_one_shape([(Rotate90(), tall)], [0, 1]) == [[0, 1]]


def test_drawn_elements_are_different_ones():
    for _ in range(20):
        elements = copies.drawn(6, 4)
        assert len({*elements}) == 4
        assert {*elements} <= set(range(6))


def test_each_different_row_is_kept_once_where_it_first_stands():
    ids, other = torch.randint(0, 2, (40, 3)), torch.randint(0, 2, (40, 1))
    first, origin = copies.unique_rows([ids, other])
    seen, places = {}, []
    for place, row in enumerate(torch.cat([ids, other], 1).tolist()):
        places.append(seen.setdefault(tuple(row), place))
    assert first.tolist() == sorted(set(places))
    assert first[origin].tolist() == places
    with pytest.raises(TypeError, match=r"input 1 is torch\.float32: expected int"):
        copies.unique_rows([ids, other.float()])
