"""What the group does is code: no average, cast, move or state dict of a model changes it."""

import copy

import pytest
import torch
from small_models import S3, Picture, Words, rows_of
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equitune.actions import Action, AxisPermutation, Constant, Rotate90, TokenPermutation, Trivial
from equitune.groups import CyclicGroup
from equitune.symmetrize import EquiTuned

C2 = CyclicGroup(2)


def joints(count=25):
    """A left-right exchange of many joints, whose numbers an average would round."""
    return AxisPermutation(C2, [range(count), [count - 1 - v for v in range(count)]], axis=1)


def gait(action):
    return EquiTuned(nn.Linear(3, 3), action, action)


def words_model():
    words = TokenPermutation(S3, rows_of(S3))
    return EquiTuned(Words(8), words, words.on_logits(), dedupe=True), torch.randint(8, (3, 4))


@pytest.mark.parametrize("decay", [0.9, 0.9999])
def test_weight_averages_do_not_change_the_action(decay):
    model = gait(joints())
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    for _ in range(3):
        with torch.no_grad():
            model.module.weight.add_(torch.randn(3, 3))
        average.update_parameters(model)
    action, plain = average.module.output_action, average.module.module
    assert torch.equal(action.permutations, joints().permutations)
    x = torch.randn(2, 25, 3)
    torch.testing.assert_close(average(x), (plain(x) + plain(x.flip(1)).flip(1)) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_mean_of_state_dicts_is_a_state_dict_of_the_same_action(dtype):
    models = [gait(joints()) for _ in range(3)]
    states = [model.state_dict() for model in models]
    soup = {k: sum(s[k].to(dtype) for s in states) / 3 for k in states[0]}
    other = gait(joints())
    other.load_state_dict(soup)
    expected = sum(model.module.weight.to(dtype) for model in models) / 3
    assert torch.equal(other.module.weight, expected.float())
    assert torch.equal(other.output_action.permutations, joints().permutations)


def test_a_state_dict_of_another_action_is_refused_and_changes_nothing():
    rotate, shift = joints(4), AxisPermutation(C2, [[0, 1, 2, 3], [1, 0, 3, 2]], axis=1)
    model = gait(rotate)
    before = copy.deepcopy(model.state_dict())
    for other in (gait(shift), EquiTuned(nn.Linear(3, 3), rotate, Trivial(C2))):
        with pytest.raises(ValueError, match=r"other actions than AxisPermutation.*: build the"):
            model.load_state_dict(other.state_dict())
        with pytest.raises(ValueError, match="other actions"):  # inside a larger model too
            nn.Sequential(model).load_state_dict(nn.Sequential(other).state_dict())
    assert all(torch.equal(x, before[k]) for k, x in model.state_dict().items())
    model.load_state_dict(gait(rotate).state_dict())


def test_state_dicts_of_earlier_versions_are_read():
    """They held the permutations themselves, or nothing where an action had none."""
    model, other = gait(joints(4)), gait(joints(4))
    state = {k: x for k, x in other.state_dict().items() if k != "_extra_state"}
    rows = joints(4).permutations
    old = {**state, "input_actions.0.permutations": rows, "output_action.permutations": rows}
    for given in (state, old):
        model.load_state_dict(given)
        assert torch.equal(model.module.weight, other.module.weight)
    with pytest.raises(ValueError, match="other actions"):
        model.load_state_dict({**old, "output_action.permutations": rows.flip(0)})
    for missing in (state | {"extra": rows}, {}):
        with pytest.raises(RuntimeError, match="Error"):  # torch's own check is as strict as before
            model.load_state_dict(missing)


def test_casts_and_moves_do_not_reach_a_shared_action():
    words = TokenPermutation(S3, rows_of(S3))
    one, two = (EquiTuned(Words(8), words, words.on_logits()) for _ in range(2))
    x = torch.randint(8, (3, 4))
    expected = two(x)
    one.half().to("meta")
    assert torch.equal(two(x), expected)
    assert one(x.to("meta")).shape == (3, 4, 8)
    assert torch.equal(words.permutations, torch.tensor(rows_of(S3)))
    words.permutations.zero_()  # a copy
    assert torch.equal(two(x), expected)
    assert torch.equal(copy.deepcopy(two)(x), expected)


def test_actions_are_no_part_of_parameters_buffers_or_modules():
    model, _ = words_model()
    names = {name.split(".")[0] for name, _ in model.named_modules() if name}
    assert names == {"module", "combine"}
    assert not list(model.buffers())
    assert "TokenPermutation(SymmetricGroup(3), size=8) → AxisPermutation" in repr(model)


def test_an_action_is_made_whole_under_a_default_device_and_in_fake_mode():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with torch.device("meta"):
        words = TokenPermutation(S3, rows_of(S3))
    assert words(1, torch.arange(8)).tolist() == rows_of(S3)[1]
    mode = FakeTensorMode()
    with mode:
        made = TokenPermutation(S3, rows_of(S3))
        ids = torch.randint(8, (3, 4))
        module = Words(8)
        model = EquiTuned(module, made, made.on_logits(), dedupe=True)
        assert model(ids).shape == (3, 4, 8)
    assert made(1, torch.arange(8)).tolist() == rows_of(S3)[1]


def test_token_actions_under_vmap():
    words = TokenPermutation(S3, rows_of(S3))
    x, g = torch.randint(8, (5, 3, 4)), torch.arange(3)
    for move in (lambda ids: words(2, ids), words.orbit, lambda ids: words(g, ids)):
        expected = torch.stack([move(ids) for ids in x])
        assert torch.equal(torch.vmap(move)(x), expected)
    logits = torch.randn(5, 3, 8)
    moved = torch.vmap(lambda p: words.on_logits()(2, p))(logits)
    assert torch.equal(moved, words.on_logits()(2, logits))
    module = nn.Embedding(8, 8)
    model = EquiTuned(module, words, words.on_logits(), dedupe=True)
    torch.testing.assert_close(torch.vmap(model)(x), torch.stack([model(ids) for ids in x]))


def test_export_with_dedupe_gives_the_same_values():
    words = TokenPermutation(S3, rows_of(S3))
    model = EquiTuned(nn.Embedding(8, 8), words, words.on_logits(), dedupe=True).eval()
    x = torch.randint(8, (3, 4))
    exported = torch.export.export(model, (x,)).module()
    for ids in (x, torch.randint(8, (3, 4))):
        torch.testing.assert_close(exported(ids), model(ids), rtol=1e-6, atol=1e-6)


class Turn(Action):
    """Components that turn: a tensor that an action of one's own needs."""

    def __init__(self, matrix):
        super().__init__(C2)
        self.matrix = Constant(matrix)

    def act(self, g, x):
        return x @ self.matrix.on(x).to(x.dtype).T if g else x


def test_a_constant_is_copied_and_follows_the_input():
    matrix = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    turn = Turn(matrix)
    matrix.zero_()
    x = torch.randn(3, 2)
    assert torch.equal(turn(1, x), x.flip(1))
    assert turn(1, x.to("meta")).device.type == "meta"
    model = EquiTuned(nn.Linear(2, 2), turn, turn).to("meta").to_empty(device="cpu").double()
    assert torch.equal(model.input_actions[0](1, x.double()), x.double().flip(1))


def test_rotated_images_keep_channels_last():
    seen = []

    class Layout(Picture):
        def forward(self, x):
            seen.append((x.is_contiguous(memory_format=torch.channels_last), x.is_contiguous()))
            return super().forward(x)

    rotate, module = Rotate90(), Layout()
    x = torch.randn(2, 2, 6, 6)
    for chunk_size in (None, 1, 3):
        model = EquiTuned(module, rotate, rotate, chunk_size=chunk_size)
        expected = model(x)
        assert all(layouts == (False, True) for layouts in seen)
        seen.clear()
        torch.testing.assert_close(model(x.to(memory_format=torch.channels_last)), expected)
        assert all(layouts == (True, False) for layouts in seen)
        seen.clear()
