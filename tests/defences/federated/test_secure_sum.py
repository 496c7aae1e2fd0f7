"""The secure sum: exact with lost clients, and no single update comes out, whatever a curious server tries."""

from dataclasses import replace

import numpy as np
import pytest

from safelight.defences.federated import shamir
from safelight.defences.federated.masks import add_mask
from safelight.defences.federated.secure_client import SecureClient, Terms, mask_key
from safelight.defences.federated.secure_sum import open_sum, secure_sum
from safelight.errors import AccessDenied, InputError

CLIENTS, SIZE = 9, 20_000
UPDATES = list(np.random.default_rng(7).normal(size=(CLIENTS, SIZE)))


def seeded(seed=0):
    return np.random.default_rng(seed).bytes


def fixed(updates):
    """The literal sum of fixed-point numbers, without any mask."""
    return sum(np.rint(update * 2**20) for update in updates) / 2**20


def likeness(values, update):
    """The correlation of what the server holds with the true update: within 4 / sqrt(SIZE) it is chance."""
    return abs(np.corrcoef(values.view("<i4").astype(float), update)[0, 1])


CHANCE = 4 / np.sqrt(SIZE)


@pytest.mark.parametrize("early", [set(), {0}, {3, 8}])
@pytest.mark.parametrize("late", [set(), {1}])
def test_the_sum_is_exact_whoever_is_lost(early, late):
    done = secure_sum(UPDATES, 6, lost_early=early, lost_late=late)
    assert done.counted == tuple(sorted(set(range(CLIENTS)) - early))
    assert np.array_equal(done.total, fixed(UPDATES[name] for name in done.counted))
    assert done.traffic.updates == 4 * SIZE * len(done.counted)


def test_the_sum_does_not_depend_on_the_secrets_and_the_messages_do():
    one, other = (secure_sum(UPDATES[:4], draw=seeded(seed)) for seed in (1, 2))
    again = secure_sum(UPDATES[:4], draw=seeded(1))
    assert np.array_equal(one.total, other.total)
    assert not np.array_equal(one.masked[0], other.masked[0])
    assert np.array_equal(one.masked[0], again.masked[0])


# Attacks by a server that keeps every message ------------------------------------------------------------------------


def stripped(done, terms, victim):
    """Return the victim's message less every mask that the opened shares give away."""
    left = done.masked[victim].copy()
    seed = shamir.join({holder: given.alive[victim] for holder, given in done.opened.items()}, terms.threshold)
    add_mask(left, seed, -1)
    for name in next(iter(done.opened.values())).gone:
        secret = shamir.join({holder: given.gone[name] for holder, given in done.opened.items()}, terms.threshold)
        add_mask(left, mask_key(secret, done.keys[victim].masking, terms), -1 if victim < name else 1)
    return left


def test_a_masked_update_looks_like_uniform_noise():
    done = secure_sum(UPDATES, 6, draw=seeded())
    for name, values in done.masked.items():
        bits = np.unpackbits(values.view(np.uint8)).reshape(SIZE, 32)
        assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 / np.sqrt(4 * SIZE)  # 5 sigma for each of 32 bits
        assert likeness(values, UPDATES[name]) < CHANCE
    plain = np.unpackbits(np.rint(UPDATES[0] * 2**20).astype("<i4").view(np.uint8)).reshape(SIZE, 32)
    assert np.abs(plain.mean(axis=0) - 0.5).max() < 0.05, "the signs are balanced"
    assert abs(np.corrcoef(plain[:, 24], plain[:, 25])[0, 1]) > 0.9, "and the bits of an unmasked one are not free"


@pytest.mark.parametrize("lost", [set(), {0, 4}])
def test_all_that_was_opened_does_not_unmask_one_client(lost):
    terms = Terms(CLIENTS, 6, SIZE)
    done = secure_sum(UPDATES, terms=terms, lost_early=lost, draw=seeded())
    for victim in done.counted:
        assert likeness(stripped(done, terms, victim), UPDATES[victim]) < CHANCE
    # The control: the same masks taken off all at once leave the sum, and the attack is able to see it.
    whole = sum(stripped(done, terms, victim) for victim in done.counted)
    assert likeness(whole, sum(UPDATES[name] for name in done.counted)) > 0.999999


def test_the_last_two_alive_hide_each_other_and_one_alone_would_not():
    """The server learns the sum of two: each is hidden by the other. With all others' keys, one lies bare."""
    terms = Terms(3, 2, SIZE)
    done = secure_sum(UPDATES[:3], terms=terms, lost_early={2}, draw=seeded())
    assert likeness(stripped(done, terms, 0), UPDATES[0]) < CHANCE
    clients = [SecureClient(name, terms, seeded(0)) for name in range(3)]
    draw = seeded(0)  # the secrets are drawn in this order: the control knows them
    secrets = [(draw(32), draw(32), draw(32)) for _ in clients][1]
    left = stripped(done, terms, 0)
    add_mask(left, mask_key(secrets[1], done.keys[0].masking, terms), -1)
    assert likeness(left, UPDATES[0]) > 0.999999


def test_an_update_that_comes_late_stays_hidden_by_its_own_mask():
    """A slow client was taken for lost and its masking key opened; then its message comes in."""
    terms = Terms(CLIENTS, 6, SIZE)
    done = secure_sum(UPDATES, terms=terms, lost_early={4}, draw=seeded())
    late = secure_sum(UPDATES, terms=terms, draw=seeded()).masked[4].copy()  # same secrets, so the same round
    secret = shamir.join({holder: given.gone[4] for holder, given in done.opened.items()}, 6)
    for other in set(range(CLIENTS)) - {4}:
        add_mask(late, mask_key(secret, done.keys[other].masking, terms), -1 if other > 4 else 1)
    assert likeness(late, UPDATES[4]) < CHANCE
    draw = seeded()
    own = [(draw(32), draw(32), draw(32))[2] for _ in range(CLIENTS)][4]
    add_mask(late, own, -1)
    assert likeness(late, UPDATES[4]) > 0.999999, "the control: that mask was the last one"


def exchanged(terms, draw=None):
    """Return clients that have each other's shares, and the shares."""
    clients = {name: SecureClient(name, terms, draw or seeded(name)) for name in range(terms.clients)}
    keys = {name: client.keys() for name, client in clients.items()}
    boxes = {name: client.shares(keys) for name, client in clients.items()}
    for name, client in clients.items():
        client.masked(np.zeros(terms.size), {other: box[name] for other, box in boxes.items() if other != name})
    return clients, keys, boxes


def test_a_server_that_asks_for_both_secrets_is_refused_by_every_client():
    clients, *_ = exchanged(Terms(5, 3, 4))
    everyone = set(clients)
    for name, client in clients.items():
        victim = (name + 1) % 5
        with pytest.raises(AccessDenied, match=f"asks for both secrets of client {victim}.*; nothing was sent"):
            client.open(everyone, {victim})
        client.open(everyone, set())
        with pytest.raises(AccessDenied, match=f"asks client {name} to open the round a second time"):
            client.open(everyone - {victim}, {victim})


def test_a_server_that_lies_to_half_of_the_clients_gets_too_few_shares():
    clients, *_ = exchanged(Terms(6, 4, 4))
    everyone = set(clients)
    dead = {name: clients[name].open(everyone - {0}, {0}) for name in (1, 2)}
    alive = {name: clients[name].open(everyone, set()) for name in (0, 3, 4, 5)}
    with pytest.raises(InputError, match="opens with 4 shares, and 2 are there"):
        shamir.join({name: given.gone[0] for name, given in dead.items()}, 4)
    assert len(shamir.join({name: given.alive[0] for name, given in alive.items()}, 4)) == 32


def test_a_server_that_gives_two_models_is_caught_before_anything_is_sent():
    terms = Terms(4, 3, 4, model=b"one")
    clients = {name: SecureClient(name, replace(terms, model=b"one" if name else b"other")) for name in range(4)}
    keys = {name: client.keys() for name, client in clients.items()}
    boxes = {name: client.shares(keys) for name, client in clients.items()}
    with pytest.raises(
        InputError, match=r"cannot open the share of client 0: .* two different models; nothing was sent"
    ):
        clients[1].masked(np.zeros(4), {other: boxes[other][1] for other in (0, 2, 3)})


def test_a_share_that_was_changed_on_its_way_is_noticed():
    terms = Terms(3, 2, 4)
    clients = {name: SecureClient(name, terms) for name in range(3)}
    keys = {name: client.keys() for name, client in clients.items()}
    boxes = {name: client.shares(keys) for name, client in clients.items()}
    bent = bytes([boxes[2][0][0] ^ 1]) + boxes[2][0][1:]
    with pytest.raises(InputError, match="cannot open the share of client 2: it was changed on its way"):
        clients[0].masked(np.zeros(4), {1: boxes[1][0], 2: bent})
    with pytest.raises(InputError, match="Two clients have one masking key"):
        clients[0].shares({0: keys[0], 1: keys[1], 2: keys[1]})


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda u: u.__setitem__(3, np.nan), r"The update of client 2 holds NaN or infinity in 1 of 50 places"),
        (lambda u: u.__setitem__(3, 1e9), r"The update of client 2 holds a value of size 1e\+09, and at most 8"),
    ],
)
def test_an_update_that_cannot_be_sent_is_refused(change, words):
    updates = [update[:50].copy() for update in UPDATES[:4]]
    change(updates[2])
    with pytest.raises(InputError, match=words):
        secure_sum(updates)


def test_an_update_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"The update of client 1 has shape \(49,\), and the round takes \(50,\)"):
        secure_sum([UPDATES[0][:50], UPDATES[1][:49], UPDATES[2][:50]])


def test_too_few_clients_are_refused_at_every_step():
    few = [update[:5] for update in UPDATES[:6]]
    terms = Terms(20, 15, 5)
    with pytest.raises(InputError, match="Only 6 of 20 clients sent keys, and the threshold is 15; wait for more"):
        secure_sum(few, terms=terms)
    with pytest.raises(InputError, match="Only 3 of 6 clients sent an update, and the threshold is 4: the sum cannot"):
        secure_sum(few, 4, lost_early={0, 1, 2})
    with pytest.raises(InputError, match="Only 3 of 6 clients opened the sum, and the threshold is 4"):
        secure_sum(few, 4, lost_early={0}, lost_late={1, 2})
    clients, *_ = exchanged(Terms(5, 4, 4))
    with pytest.raises(InputError, match="Only 3 of 5 clients sent an update, and the threshold is 4"):
        clients[0].open({0, 1, 2}, {3, 4})
    with pytest.raises(InputError, match="asks client 0 about 4 clients, and 5 sent it shares"):
        clients[0].open({0, 1, 2, 3}, set())


@pytest.mark.parametrize(("clients", "threshold"), [(2, 2), (4, 2), (4, 5), (0, 0)])
def test_a_threshold_that_protects_nobody_is_refused(clients, threshold):
    with pytest.raises(InputError, match=f"of {clients} clients cannot have the threshold {threshold}"):
        Terms(clients, threshold, 1)


def test_shares_that_do_not_fit_the_key_are_noticed():
    terms = Terms(3, 2, 4)
    clients, keys, _ = exchanged(terms)
    opened = {name: clients[name].open({0, 1}, {2}) for name in (0, 1)}
    masked = {name: np.zeros(4, dtype="<u4") for name in (0, 1)}
    with pytest.raises(InputError, match="shares of client 2 do not give the key that it sent"):
        open_sum(terms, {**keys, 2: keys[0]}, masked, opened)


def test_lost_clients_at_random_never_change_the_sum():
    rng = np.random.default_rng(0)
    for _ in range(15):
        n = int(rng.integers(3, 12))
        updates = list(rng.uniform(-8, 8, (n, 13)))
        threshold = int(rng.integers(n // 2 + 1, n + 1))
        order = rng.permutation(n)
        early, late = np.sort(rng.integers(0, n - threshold + 1, 2))
        lost = set(order[:early].tolist()), set(order[early:late].tolist())
        done = secure_sum(updates, threshold, lost_early=lost[0], lost_late=lost[1])
        assert np.array_equal(done.total, fixed(updates[name] for name in done.counted))
