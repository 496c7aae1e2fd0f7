"""Sums of clipped gradients: the fast ways give what one backward pass a record gives."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("opacus")

from torch import nn  # noqa: E402

from safelight.defences.training import ghost, ghost_layers  # noqa: E402
from safelight.errors import InputError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def dense(inplace=False):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 9), nn.ReLU(inplace), nn.Linear(9, 7, bias=False), nn.Linear(7, 4))


def convolution():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 4)
    )


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows, self.head = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.rows(x[:, 0])).mean(1))


def frozen():
    net = dense()
    net[1].requires_grad_(False)
    net[4].weight.requires_grad_(False)
    return net


def strided():
    """Patches both smaller and larger than their Gram matrices, groups, padding, dilation, layer norm, in place."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(True), nn.Conv2d(8, 8, 2, groups=4, stride=2, bias=False),
        nn.GroupNorm(4, 8), nn.Conv2d(8, 16, (2, 3), dilation=(2, 1), padding=(0, 1)), nn.LayerNorm([16, 1, 3]),
        nn.Flatten(), nn.Linear(48, 4),
    )  # fmt: skip


def padded():
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"), nn.Conv2d(4, 2, 2, padding="same"),
                         nn.Flatten(), nn.Linear(72, 4))  # fmt: skip


def rows():
    """A layer that only Opacus knows."""
    return nn.Sequential(nn.Flatten(1, 2), nn.Conv1d(6, 4, 3), nn.Flatten(), nn.Linear(16, 4))


NETS = {
    "dense": dense, "in place": lambda: dense(True), "convolution": convolution, "strided": strided, "tokens": Tokens,
    "frozen": frozen, "padded": padded, "rows": rows,
}  # fmt: skip


def batch(net, n=12):
    images, labels = torch.randn(n, 1, 6, 6), torch.arange(n) % 4
    cross = nn.functional.cross_entropy
    # Losses of very different sizes, so that some gradients are cut and others are not.
    sizes = torch.logspace(-2, 1, n)
    many = lambda logits: cross(logits, labels, reduction="none") * sizes  # noqa: E731
    one = lambda logits, row: cross(logits[0], labels[row]) * sizes[row]  # noqa: E731
    return images, many, one


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize(("clip", "kept"), [(0.05, 2**23), (1.0, 0), (1e6, 2**23)])
def test_the_fast_sum_is_the_literal_one(kind, clip, kept, monkeypatch):
    monkeypatch.setattr(ghost_layers, "MOST_KEPT", kept)
    torch.manual_seed(0)
    net = NETS[kind]().train()
    images, many, one = batch(net)
    slow = ghost.one_by_one(net, images, one, clip)
    with ghost.clipping(net, torch.rand(3, 1, 6, 6)) as clipped:
        assert isinstance(clipped, ghost.OnePass) == (kind != "rows")
        for _ in range(2):  # nothing is left over from the first time
            fast = clipped(images, many, clip)
            assert len(fast) == len(slow) == len(ghost.trainable(net))
            for left, right in zip(fast, slow):
                assert torch.allclose(left, right, rtol=1e-4, atol=1e-5 * min(clip, 1.0))
    whole = torch.cat([part.flatten() for part in fast])
    assert whole.norm() <= 12 * clip * 1.0001


@pytest.mark.parametrize("kind", ["dense", "convolution", "tokens"])
def test_opacus_agrees(kind):
    torch.manual_seed(1)
    net = NETS[kind]().train()
    images, many, one = batch(net)
    with ghost._opacus(net) as clipped:
        found = clipped(images, many, 0.3)
    for left, right in zip(found, ghost.one_by_one(net, images, one, 0.3)):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-6)


def test_one_record_moves_the_sum_by_at_most_the_clipping_norm_and_reaches_it():
    torch.manual_seed(0)
    net, images, labels = dense().train(), 10 * torch.randn(12, 1, 6, 6), torch.arange(12) % 4

    def summed(rows):
        losses = lambda logits: nn.functional.cross_entropy(logits, labels[rows], reduction="none")  # noqa: E731
        return torch.cat([part.flatten() for part in clipped(images[rows], losses, 0.2)])

    with ghost.clipping(net, torch.rand(3, 1, 6, 6)) as clipped:
        moved = [float((summed(range(12)) - summed([k for k in range(12) if k != i])).norm()) for i in range(12)]
    assert max(moved) == pytest.approx(0.2, rel=1e-4)


@pytest.mark.parametrize("kind", ["known", "by Opacus"])
def test_the_network_is_left_as_it_was(kind):
    net = (convolution if kind == "known" else rows)().train()
    before = set(vars(net)), {name: set(vars(part)) for name, part in net.named_modules()}
    with ghost.clipping(net, torch.rand(3, 1, 6, 6)) as clipped:
        images, many, _ = batch(net)
        clipped(images, many, 1.0)
    assert before == (set(vars(net)), {name: set(vars(part)) for name, part in net.named_modules()})
    assert all(one.grad is None and not hasattr(one, "_norm_sample") for one in net.parameters())
    assert not any(part._forward_hooks or part._backward_hooks for part in net.modules())


class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(36, 4)

    def forward(self, x):
        x = self.layer(x.flatten(1))
        return x - x.mean(0)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(36, 36), nn.Linear(36, 4)

    def forward(self, x):
        return self.last(self.first(torch.tanh(self.first(x.flatten(1)))))


def test_what_cannot_be_clipped_is_refused():
    counting = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4, track_running_stats=True), nn.Flatten(),
                             nn.Linear(64, 4))  # fmt: skip
    for net, message in (
        (Mixing(), "does not treat each record alone"),
        (Twice(), "use each weight once"),
        (nn.Sequential(nn.Flatten(), dense()[1].requires_grad_(False)), "no weights that want a gradient"),
        (counting, "keeps statistics of its inputs"),
        (nn.Sequential(*rows()[:2], nn.ReLU(True), *rows()[2:]), "no layers that work in place"),
    ):
        with pytest.raises(InputError, match=message), ghost.clipping(net.train(), torch.rand(3, 1, 6, 6)):
            pass


def test_a_wrong_sum_is_noticed_before_any_record_is_met():
    """As with Opacus 1.6.0 on convolutions whose padding is not zeros."""
    net, probe = dense().train(), torch.rand(3, 1, 6, 6)
    right = ghost.OnePass(net)
    ghost._same_as_one_by_one(net, right, probe)
    for off in (1.003, float("nan")):
        wrong = lambda *asked, off=off: [part * off for part in right(*asked)]  # noqa: E731
        with pytest.raises(InputError, match="is off by"):
            ghost._same_as_one_by_one(net, wrong, probe)


def test_dropout_does_not_disturb_the_check():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 4)).train()
    with ghost.clipping(net, torch.rand(3, 1, 6, 6)):
        assert net[1].training
