"""Tasks in other processes: the same results, nothing lost but what was in hand, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safelight.compute.engine import IN_VAIN, Engine, run
from safelight.compute.ledger import Ledger, versions
from safelight.compute.shadows import ShadowPool, stacks
from safelight.compute.worker import Task, do, pack
from safelight.data.functions import load_function
from safelight.data.records import Records
from safelight.errors import InputError, MissingExtra, WorkersLost
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images

TWO = Engine(jobs=2)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return Records.of(pd.DataFrame(rng.normal(size=(90, 3)), columns=list("abc")), rng.integers(0, 3, 90))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"jobs": 0}, "The number of jobs is 0; give at least 1"),
        ({"jobs": -1}, "The number of jobs is -1"),
        ({"kind": "dask"}, 'The engine is \'dask\'; use "local" or "ray"'),
        ({"kind": "ray", "gpus": -0.5}, "-0.5 GPUs; give 0 or more"),
        ({"kind": "ray", "gpus": float("nan")}, "nan GPUs"),
        ({"address": "10.0.0.5:6379"}, "are for the engine ray"),
        ({"gpus": 0.5}, "are for the engine ray"),
        ({"kind": "ray", "jobs": 1}, "The engine ray works with 2 jobs or more"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(settings, said):
    with pytest.raises(InputError) as refused:
        Engine(**settings)
    assert said in str(refused.value)


OWN = """
import os, signal, time
import threading
from pathlib import Path
import numpy as np
from sklearn.tree import DecisionTreeClassifier
from torch import nn

def square(number):
    return [np.array([number**2, os.getpid()])]

def threads(number):
    from joblib import effective_n_jobs
    from threadpoolctl import threadpool_info
    return [np.array([effective_n_jobs(-1), *(pool["num_threads"] for pool in threadpool_info())])]

class Shares:
    "Work on a large array, which says whether it was shared rather than copied."

    def __init__(self, records):
        self.records = records
    def __call__(self, number):
        where = self.records.x
        while isinstance(where, np.ndarray) and not isinstance(where, np.memmap):
            where = where.base
        self.records.x[0] = number  # Some estimators write into what they are given.
        return [np.array([isinstance(getattr(where, "obj", where), np.memmap), self.records.x.sum()])]

def dense(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, classes))

class Tree(DecisionTreeClassifier):
    pass

def build(seed):
    return Tree(max_depth=3, random_state=seed)

def fit(records, seed):
    return build(seed).fit(records.x, records.y)

def dies_once(records, seed):
    try:
        Path("died").touch(exist_ok=False)
    except FileExistsError:
        return fit(records, seed)
    os.kill(os.getpid(), signal.SIGKILL)

def dies(records, seed):
    os.kill(os.getpid(), signal.SIGKILL)

def refuses(records, seed):
    from safelight.errors import MissingExtra
    raise MissingExtra("lightgbm", "torch", "This recipe")

def slow(records, seed):
    with open("pids", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)

lock = threading.Lock()

def holds_a_lock(records, seed):
    with lock:
        return fit(records, seed)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function of the user's own file, as `--recipe` loads it: no worker can import its module."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return lambda name: load_function(f"own.py:{name}", tmp_path)


@pytest.mark.parametrize("folder", [False, True])
def test_results_come_by_key_from_other_processes_and_are_kept(own, tmp_path, folder):
    ledger = Ledger(tmp_path / "ledger") if folder else Ledger()
    tasks = [Task((f"k{number}",), (number,)) for number in range(7)]
    found = dict(run(TWO, ledger, own("square"), tasks))
    assert {key: int(array[0]) for key, array in found.items()} == {f"k{n}": n**2 for n in range(7)}
    assert os.getpid() not in {int(array[1]) for array in found.values()}
    assert all(np.array_equal(ledger.get(key), array) for key, array in found.items())
    assert list(run(TWO, ledger, own("square"), [])) == []


def test_a_worker_has_one_thread_and_starts_no_others(own):
    for _, found in run(TWO, Ledger(), own("threads"), [Task((f"{number}",), (number,)) for number in range(2)]):
        assert set(found.tolist()) == {1}


def test_records_go_to_the_workers_once_and_a_task_carries_positions_alone(own):
    records = Records.of(np.ones((600, 1, 28, 28)), np.arange(600) % 2)
    work = own("Shares")(records)
    packed = pack(work)
    assert len(packed.head) < 4_000
    assert sum(len(array) for array in packed.arrays) >= records.x.nbytes
    found = dict(run(TWO, Ledger(), work, [Task((f"{number}",), (1,)) for number in range(3)]))
    assert all(array.tolist() == [1, 600 * 784] for array in found.values())
    assert (records.x == 1).all()


def test_functions_of_the_users_own_file_work_in_other_processes(own, table):
    one, _ = ShadowPool(FunctionRecipe(own("fit"))).answers(table, 4)
    two, _ = ShadowPool(FunctionRecipe(own("fit")), engine=TWO).answers(table, 4)
    assert np.array_equal(one, two)


def test_a_recipe_that_cannot_travel_is_said(own, table):
    with pytest.raises(InputError, match=r"cannot be sent to other processes \(.*leave out --jobs and --engine"):
        ShadowPool(FunctionRecipe(own("holds_a_lock")), engine=TWO).answers(table, 4)


def test_an_error_of_the_recipe_is_its_own(own, table):
    with pytest.raises(MissingExtra, match="This recipe needs the package lightgbm"):
        ShadowPool(FunctionRecipe(own("refuses")), engine=TWO).answers(table, 4)


def test_a_killed_worker_costs_what_it_had_in_hand(own, table, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    found, _ = ShadowPool(FunctionRecipe(own("dies_once")), ledger=ledger, engine=TWO).answers(table, 6)
    assert Path("died").exists()
    assert np.array_equal(found, ShadowPool(FunctionRecipe(own("fit"))).answers(table, 6)[0])


def test_a_worker_with_other_packages_is_said(own):
    packed = replace(pack(own("square")), versions="safelight 0.0.1, numpy 1.26.4")
    with pytest.raises(WorkersLost, match=r"The worker on .* has safelight .* runs with safelight 0.0.1, numpy 1.26.4"):
        do(packed, None, 0, Task(("key",), (1,)))


def test_a_worker_that_lacks_a_module_is_said(own, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def fit(records, seed):\n    pass\n", vars(module))
    monkeypatch.setitem(sys.modules, "only_here", module)
    packed = pack(FunctionRecipe(module.fit))
    monkeypatch.delitem(sys.modules, "only_here")
    with pytest.raises(WorkersLost, match=r"The worker on .* cannot load the recipe \(No module named 'only_here'\)"):
        do(packed, None, 0, Task(("key",), (1,)))


def test_workers_that_always_die_end_the_audit_with_a_sentence(own, table):
    said = rf"Workers died {IN_VAIN} times without finishing one of 4 tasks; what was done is kept and --resume goes on"
    with pytest.raises(WorkersLost, match=said):
        ShadowPool(FunctionRecipe(own("dies")), engine=TWO).answers(table, 4)


DRIVER = """
import sys
import numpy as np, pandas as pd
from safelight.compute.engine import Engine
from safelight.compute.shadows import ShadowPool
from safelight.data.functions import load_function
from safelight.data.records import Records
from safelight.recipes.function import FunctionRecipe
if __name__ == "__main__":
    table = Records.of(pd.DataFrame({"a": np.arange(40.0)}), np.arange(40) % 2)
    ShadowPool(FunctionRecipe(load_function("own.py:slow")), engine=Engine(jobs=2)).answers(table, 4)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true, seconds):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return true()


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_workers_end_when_the_driver_is_killed(own, tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    driver = subprocess.Popen([sys.executable, "driver.py"], env=environment)
    pids = Path("pids")
    assert until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 30)
    workers = [int(pid) for pid in pids.read_text().split()]
    assert all(map(alive, workers))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert until(lambda: not any(map(alive, workers)), 5), "workers went on without a driver"


# The ledger ----------------------------------------------------------------------------------------------------------
def test_a_folder_of_other_versions_is_noticed_once(tmp_path):
    assert Ledger(tmp_path).ignored == ""
    _, mark = (tmp_path / "VERSION").read_text().splitlines()
    assert Ledger(tmp_path).ignored == ""
    (tmp_path / "VERSION").write_text(f"safelight 0.0.1, numpy 1.0\n{mark}\n")
    assert Ledger(tmp_path).ignored == "safelight 0.0.1, numpy 1.0"
    assert Ledger(tmp_path).ignored == "", "it was said"


def test_a_worker_knows_the_folder_by_its_mark_not_by_its_path(tmp_path):
    ledger = Ledger(tmp_path / "one")
    folder, mark = ledger.place
    assert Ledger().place is None
    assert Ledger.is_at(folder, mark)
    assert not Ledger.is_at(str(tmp_path / "absent"), mark)
    (tmp_path / "one" / "VERSION").write_text(f"{versions()}\nanother\n")
    assert not Ledger.is_at(folder, mark), "another machine has a folder of the same name"


# Stacked networks ----------------------------------------------------------------------------------------------------
def test_a_shadow_has_the_same_neighbours_however_many_are_asked_for():
    assert [(part.start, part.stop) for part in stacks(3)] == [(0, 4)]
    assert [(part.start, part.stop) for part in stacks(8)] == [(0, 4), (4, 8)]
    assert [(part.start, part.stop) for part in stacks(17)] == [(0, 4), (4, 8), (8, 16), (16, 32)]


def test_stacked_networks_are_the_same_to_the_last_bit(own, digits, tmp_path):
    records = digits.take(np.arange(201))
    recipe = TorchRecipe(own("dense"), Images((1, 8, 8)), epochs=3, batch=25, rate=0.02)
    whole, inside = ShadowPool(recipe).answers(records, 18)
    assert inside.shape == (18, 201)
    grown = ShadowPool(recipe, ledger=Ledger(tmp_path / "ledger"))
    for count in (2, 7, 18):
        assert np.array_equal(grown.answers(records, count)[0], whole[:count])
    for torn in sorted((tmp_path / "ledger").glob("*.npy"))[::3]:
        torn.unlink()
    assert np.array_equal(grown.answers(records, 18)[0], whole)
    assert np.array_equal(ShadowPool(recipe, engine=TWO).answers(records, 18)[0], whole)
