"""The array functions of probes, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dinosearch.errors import InvalidInput
from dinosearch.probes.calibration import best_temperature, cross_entropy, modest, softmax
from dinosearch.probes.descent import Descent, descend, gradient
from dinosearch.probes.figures import calibration_error, report, suspects, wilson
from dinosearch.probes.heads import KernelHead, NeighbourHead, Scaling
from dinosearch.probes.pooling import WIDEST, pool, rotation, widths
from dinosearch.probes.queue import choose, entropy, mixed
from dinosearch.probes.recipe import Recipe
from dinosearch.probes.schedule import rate_factor
from dinosearch.probes.splitting import folds, stratified_split
from dinosearch.probes.training import Material, clearly_better, picture_weights


def rng(seed=0):
    return np.random.default_rng(seed)


# -- pooling -----------------------------------------------------------------------------


def test_blocks_of_features_are_what_they_say_and_padding_is_left_out():
    cls = np.array([0.6, 0.8], np.float32)
    tokens = np.array([[1, 0], [0, 0], [0, 1], [0, 0], [0.6, -0.8]], np.float16)
    found = pool("cls+mean+std+top+covariance", cls, tokens)
    first, second = np.array([1, 0, 0.6]), np.array([0, 1, -0.8])
    product = (first * second).mean()
    expected = [
        *(0.6, 0.8),
        *(first.mean(), second.mean()),
        *(first.std(), second.std()),
        *(1, 1),
        *(math.sqrt((first**2).mean()), -math.sqrt(-product), math.sqrt((second**2).mean())),
    ]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert widths("cls+mean+std+top+covariance", 2, 2) == [2, 2, 2, 2, 3]


def test_top_is_the_mean_of_the_highest_twentieth():
    tokens = np.stack([np.arange(1, 41), np.full(40, 5)], 1)
    np.testing.assert_allclose(pool("top", np.zeros(2), tokens), [39.5, 5])


def test_wide_tokens_are_turned_into_few_numbers_that_keep_their_cosines():
    turned = rotation(768)
    np.testing.assert_allclose(turned.T @ turned, np.eye(WIDEST), atol=1e-5)
    assert pool("covariance", np.zeros(2), np.ones((3, 768))).shape == (8256,)
    assert widths("covariance", 768, 768) == [8256]


@pytest.mark.parametrize(
    ("features", "message"), [("cls+max", "'max' is none"), ("cls+cls", "twice"), ("", "is none")]
)
def test_features_there_are_not(features, message):
    with pytest.raises(InvalidInput, match=message):
        pool(features, np.zeros(2), np.ones((2, 2)))


# -- parts -------------------------------------------------------------------------------


def test_a_split_keeps_strata_in_proportion_and_copies_together():
    strata = ["a"] * 40 + ["b"] * 20 + ["c"]
    rest, part = stratified_split(strata, 0.25, rng=rng())
    counts = [sum(strata[row] == name for row in part) for name in "abc"]
    assert counts == [10, 5, 0]
    assert sorted([*rest, *part]) == list(range(61))
    other = stratified_split(strata, 0.25, rng=rng(1))[1]
    assert part.tolist() != other.tolist()
    assert part.tolist() == stratified_split(strata, 0.25, rng=rng())[1].tolist()

    groups = [row // 4 for row in range(60)] + [99]
    rest, part = stratified_split(strata, 0.3, rng=rng(), groups=groups)
    assert not {groups[row] for row in rest} & {groups[row] for row in part}
    assert len(part) == 4 * (3 + 2)  # of 10 and of 5 groups


def test_folds_hold_every_picture_once_and_every_class_evenly():
    strata = np.array([0] * 30 + [1] * 10)
    fold = folds(strata, 5, rng=rng())
    assert [(fold[strata == 0] == k).sum() for k in range(5)] == [6] * 5
    assert [(fold[strata == 1] == k).sum() for k in range(5)] == [2] * 5
    groups = np.arange(40) // 2
    fold = folds(strata, 5, rng=rng(), groups=groups)
    assert all(len(set(fold[groups == one])) == 1 for one in range(20))
    with pytest.raises(InvalidInput, match="cannot fill"):
        folds([1, 2], 3, rng=rng())


# -- learning rates and descent ----------------------------------------------------------


def test_a_schedule_climbs_then_falls_along_a_cosine():
    found = [rate_factor(step, 12, warmup=4, schedule="cosine") for step in range(12)]
    np.testing.assert_allclose(found[:5], [0.25, 0.5, 0.75, 1, 1])
    assert found[8] == pytest.approx(0.5)
    assert found[11] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert [rate_factor(step, 5, warmup=2) for step in range(5)] == [0.5, 1, 1, 1, 1]
    with pytest.raises(InvalidInput, match="does not fit"):
        rate_factor(0, 4, warmup=4)
    with pytest.raises(InvalidInput, match="not one of"):
        rate_factor(0, 4, schedule="steps")


def data(n=50, wide=6, classes=3):
    draw = rng(7)
    targets = np.eye(classes, dtype=np.float32)[draw.integers(0, classes, n)]
    return draw.normal(size=(n, wide)).astype(np.float32), targets, draw.uniform(0.5, 2, n)


def test_gathered_gradients_are_those_of_the_large_batch():
    x, targets, counts = data()
    common = {"rates": (0.01, 0.3)}
    whole = descend(x, targets, counts, rng=rng(), how=Descent(40, 16), **common)
    parts = descend(x, targets, counts, rng=rng(), how=Descent(40, 16, accumulate=3), **common)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-6)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-6)
    assert np.abs(whole[0][1] - whole[0][0]).max() > 0.1, "the rates make a difference"


def test_gradients_and_steps_are_those_of_pytorch():
    import torch

    x, targets, counts = (torch.as_tensor(one, dtype=torch.float32) for one in data())
    weight, bias = torch.randn(2, 6, 3), torch.randn(2, 3)
    found = gradient(weight, bias, x, targets, counts, torch.arange(50), 1)
    for head in range(2):
        w, b = weight[head].clone().requires_grad_(), bias[head].clone().requires_grad_()
        each = torch.nn.functional.cross_entropy(x @ w + b, targets, reduction="none")
        ((each * counts).sum() / counts.sum()).backward()
        torch.testing.assert_close(found[0][head], w.grad)
        torch.testing.assert_close(found[1][head], b.grad)

    how = Descent(iterations=12, batch=50, decay=0.01, warmup=3, schedule="cosine")
    ours = descend(*data(), rates=(0.5,), how=how, rng=rng())
    first = rng().normal(0, 0.01, (1, 6, 3)).astype(np.float32)[0]
    w, b = torch.tensor(first, requires_grad=True), torch.zeros(3, requires_grad=True)
    sgd = torch.optim.SGD([w, b], lr=0.5, momentum=0.9, weight_decay=0.01)
    for step in range(12):
        sgd.param_groups[0]["lr"] = 0.5 * rate_factor(step, 12, warmup=3, schedule="cosine")
        sgd.zero_grad()
        each = torch.nn.functional.cross_entropy(x @ w + b, targets, reduction="none")
        ((each * counts).sum() / counts.sum()).backward()
        sgd.step()
    np.testing.assert_allclose(ours[0][0], w.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(ours[1][0], b.detach().numpy(), atol=1e-5)


def test_every_picture_is_seen_once_before_any_is_seen_again():
    # One feature a picture: its weight moves with the first step that sees it, and no other.
    x, targets = np.eye(8, dtype=np.float32), np.eye(2, dtype=np.float32)[[0, 1] * 4]
    how = Descent(iterations=4, batch=2, momentum=0.0)
    weight, _ = descend(x, targets, np.ones(8), rates=(1.0,), how=how, rng=rng())
    moved = weight[0] - rng().normal(0, 0.01, (1, 8, 2)).astype(np.float32)[0]
    assert (np.abs(moved).max(axis=1) > 0.1).all()


@pytest.mark.parametrize(("weights", "expected"), [("none", 0.2), ("balanced", 0.5)])
def test_class_weights_make_a_rare_class_count(weights, expected):
    # Nothing to see: all a head can learn is how much each class counts.
    x, targets = np.zeros((20, 3), np.float32), np.eye(2, dtype=np.float32)[[0] * 16 + [1] * 4]
    material = Material(x, targets, (3,), np.arange(20))
    counts = picture_weights(material, Recipe(class_weights=weights))
    assert counts.sum() == pytest.approx(20)
    _, bias = descend(x, targets, counts, rates=(0.1,), how=Descent(600, 20), rng=rng())
    assert softmax(bias)[0, 1] == pytest.approx(expected, abs=1e-3)


def test_better_by_chance_is_not_better():
    one = np.array([True] * 13 + [False] * 3 + [True] * 50)
    other = np.array([False] * 13 + [True] * 3 + [True] * 50)
    assert clearly_better(one, other), "13 against 3: 10 is more than twice the root of 16"
    one[12], other[12] = False, True
    assert not clearly_better(one, other), "12 against 4: 8 is not"
    assert not clearly_better(other, one)


# -- heads -------------------------------------------------------------------------------


def test_the_vote_of_the_nearest_by_hand():
    angles = np.deg2rad([0, 10, 20, 90, 100, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 2, 0]]
    head = NeighbourHead(vectors.astype(np.float16), targets, k=3, temperature=0.07)
    votes = np.exp(np.cos(np.deg2rad([1, 9, 19])) / 0.07)
    shares = np.array([votes[0], votes[1] + votes[2], 0]) / votes.sum()
    at = np.deg2rad(1)
    found = softmax(head.scores(3 * np.array([[np.cos(at), np.sin(at)]])))[0]
    np.testing.assert_allclose(found, shares, atol=2e-3)
    assert found.argmax() == 1, "two a little farther outvote the nearest"
    alone = NeighbourHead(vectors.astype(np.float16), targets, k=1)
    assert softmax(alone.scores(np.array([[1.0, 0.02]])))[0].argmax() == 0


def test_a_kernel_head_by_hand():
    support = np.array([[0, 0], [3, 4]], np.float32)
    head = KernelHead(
        support, np.array([[1, -1], [2, -2]], np.float32), np.zeros(2, np.float32), 0.1
    )
    near = np.exp(-0.1 * 25)
    np.testing.assert_allclose(head.scores(np.zeros((1, 2)))[0], [1 + 2 * near, -1 - 2 * near])


def test_scaled_blocks_weigh_alike_and_constant_columns_nothing():
    x = rng().normal(size=(400, 7)) * [1, 5, 1, 1, 9, 2, 1] + 3
    x[:, 6] = 2
    scaled = Scaling.standard(x, blocks=[2, 5])(x)
    first, second = np.square(scaled[:, :2]).sum(1).mean(), np.square(scaled[:, 2:]).sum(1).mean()
    assert first == pytest.approx(0.5, abs=1e-4)
    assert second == pytest.approx(0.4, abs=1e-4), "four of its five columns move"
    np.testing.assert_array_equal(Scaling.standard(x)(x)[:, 6], 0)
    np.testing.assert_allclose(Scaling.standard(x)(x)[:, :6].std(0), 1, atol=1e-4)


# -- figures -----------------------------------------------------------------------------


def test_wilson_intervals_that_are_known():
    # Worked out from the formula of Wilson (1927).
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_report_by_hand():
    given = np.array([0, 0, 0, 1, 1, 2])
    sure = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    predicted = np.array([0, 0, 1, 1, 1, 0])
    found = report(given, sure[predicted], ["a", "b", "c"])
    assert found["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["interval"] == pytest.approx(list(wilson(4, 6)))
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["ece"] == pytest.approx(0.8 - 4 / 6)
    b, c = found["per_class"]["b"], found["per_class"]["c"]
    assert (b["precision"], b["recall"], b["f1"]) == pytest.approx((2 / 3, 1, 0.8))
    assert (c["pictures"], c["precision"], c["recall"]) == (1, None, 0)


def test_calibration_error_by_hand():
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    given = np.array([0, 1, 0, 0])
    assert calibration_error(given, sure) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_a_temperature_makes_boastful_scores_honest():
    draw = rng(3)
    honest = draw.normal(size=(4000, 3)) * 1.5
    shares = softmax(honest)
    drawn = (draw.random(4000)[:, None] > shares.cumsum(1)).sum(1)
    targets = np.eye(3)[drawn]
    boastful = honest * 5
    temperature = best_temperature(boastful, targets)
    assert temperature == pytest.approx(5, rel=0.1)
    before = cross_entropy(softmax(boastful), targets)
    after = cross_entropy(softmax(boastful, temperature=temperature), targets)
    assert after < before - 0.3
    assert calibration_error(drawn, softmax(boastful)) > 0.15
    assert calibration_error(drawn, softmax(boastful, temperature=temperature)) < 0.03


def test_few_pictures_without_a_fault_do_not_make_a_probe_certain():
    targets = np.eye(2)[[0, 0, 0, 1]]
    np.testing.assert_allclose(modest(targets), [[0.8, 0.2]] * 3 + [[1 / 3, 2 / 3]])
    three = modest(np.eye(3)[[0, 0, 1]])
    np.testing.assert_allclose(three, [[0.75, 0.125, 0.125]] * 2 + [[1 / 6, 2 / 3, 1 / 6]])
    scores = np.array([[1.0, -1.0]] * 3 + [[-1.0, 1.0]])
    temperature = best_temperature(scores, modest(targets))
    right = (3 * 0.8 + 2 / 3) / 4
    assert softmax(scores, temperature=temperature)[0, 0] == pytest.approx(right, abs=1e-3)


def test_the_planted_wrong_label_is_suspected_first_and_doubt_is_not():
    given = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    of_one = np.array([0.1, 0.2, 0.1, 0.95, 0.9, 0.8, 0.55, 0.03])
    found = suspects(given, np.stack([1 - of_one, of_one], 1))
    assert found == [(7, 0), (3, 1)]  # 6 is in doubt, but no class claims it
    assert suspects(given, np.stack([1 - given, given], 1).astype(float)) == []


# -- queue -------------------------------------------------------------------------------


def test_the_queue_takes_doubtful_pictures_that_differ_and_no_copy_twice():
    angles = np.deg2rad([0, 1, 30, 60, 61, 90])
    cls = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    doubt = np.array([0.9, 0.8, 0.1, 0.5, 0.6, 0.0])
    groups = np.arange(6)
    drawn, chosen = choose(cls, groups, doubt, 2, rng=rng(), uncertain=True)
    assert (drawn, chosen) == ([], [0, 5]), "the most doubtful, then the farthest from it"
    drawn, chosen = choose(cls, groups, doubt, 6, rng=rng(), uncertain=True)
    assert len(drawn) == 1
    taken = [*drawn, *chosen]
    assert len(taken) == 4, "1 degree apart is the same picture"
    assert not {0, 1} <= set(taken)
    assert not {3, 4} <= set(taken)
    groups[5] = 2
    drawn, chosen = choose(cls, groups, doubt, 6, rng=rng(), uncertain=True)
    assert len({2, 5} & {*drawn, *chosen}) == 1, "equal content, whatever the vectors say"


def test_doubt_and_the_order_of_the_queue():
    assert entropy(np.array([[0.5, 0.5], [1.0, 0.0]])) == pytest.approx([math.log(2), 0], abs=1e-9)
    assert mixed(1, 4) == [1, 2, 0, 3, 4]
    assert sorted(mixed(3, 7)) == list(range(10))
