"""A real Ray cluster of two nodes on loopback: the same answers, through killed workers and a killed driver."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safelight.compute import cluster
from safelight.compute.engine import IN_VAIN, Engine
from safelight.compute.ledger import Ledger
from safelight.compute.shadows import ShadowPool
from safelight.data.functions import load_function
from safelight.data.records import Records
from safelight.errors import InputError, MissingExtra, WorkersLost
from safelight.recipes.function import FunctionRecipe

ROOT = Path(__file__).resolve().parents[2]
on_two_nodes = pytest.mark.cluster

OWN = """
import os, signal, time
from pathlib import Path
from sklearn.tree import DecisionTreeClassifier

HERE = Path(__file__).parent

def fit(records, seed):
    return DecisionTreeClassifier(max_depth=3, random_state=seed).fit(records.x, records.y)

def dies_once(records, seed):
    try:
        (HERE / "died").touch(exist_ok=False)
    except FileExistsError:
        return fit(records, seed)
    os.kill(os.getpid(), signal.SIGKILL)

def dies(records, seed):
    os.kill(os.getpid(), signal.SIGKILL)

def where(records, seed):
    import ray
    (HERE / f"node-{ray.get_runtime_context().get_node_id()}").touch()
    time.sleep(0.5)
    return fit(records, seed)

def fit_on_a_gpu(records, seed):
    with open(HERE / "gpus", "a") as file:
        file.write(os.environ["CUDA_VISIBLE_DEVICES"] + chr(10))
    return fit(records, seed)

def slow(records, seed):
    with open(HERE / "pids", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)

def wrong(records, seed):
    raise ValueError("this recipe is wrong")
"""

DRIVER = """
import sys
import numpy as np, pandas as pd
from safelight.compute.engine import Engine
from safelight.compute.shadows import ShadowPool
from safelight.data.functions import load_function
from safelight.data.records import Records
from safelight.recipes.function import FunctionRecipe
engine = Engine("ray", address=sys.argv[1])
engine.open()
table = Records.of(pd.DataFrame({"a": np.arange(40.0)}), np.arange(40) % 2)
ShadowPool(FunctionRecipe(load_function("own.py:slow")), engine=engine).answers(table, 4)
"""


@pytest.fixture(scope="module")
def engine():
    two_nodes = load_function("loopback.py:ray_nodes", ROOT / "benchmarks")
    with two_nodes(gpus=1) as address:
        made = Engine("ray", address=address)
        made.open()
        yield made
        cluster.leave()


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return lambda name: FunctionRecipe(load_function(f"own.py:{name}", tmp_path))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return Records.of(pd.DataFrame(rng.normal(size=(90, 3)), columns=list("abc")), rng.integers(0, 3, 90))


@on_two_nodes
@pytest.mark.parametrize("folder", [True, False])
def test_two_nodes_share_the_work_and_answer_as_this_process_does(engine, own, table, tmp_path, folder):
    ledger = Ledger(tmp_path / "ledger") if folder else Ledger()
    found, _ = ShadowPool(own("where"), ledger=ledger, engine=engine).answers(table, 6)
    assert len(list(tmp_path.glob("node-*"))) == 2
    assert np.array_equal(found, ShadowPool(own("fit")).answers(table, 6)[0])
    assert len(list((tmp_path / "ledger").glob("*.npy"))) == (6 if folder else 0)


@on_two_nodes
def test_where_no_folder_is_shared_results_come_home_after_one_task_a_worker(engine, own, table, monkeypatch):
    kept, sizes, whole = [], [], cluster._workers

    def counted(engine):
        parallel, jobs = whole(engine)
        return lambda calls: (sizes.append(len(done := parallel(calls))), done)[1], jobs

    monkeypatch.setattr(cluster, "_workers", counted)
    ledger = Ledger()
    ledger.put = lambda key, array: (kept.append(key), Ledger.put(ledger, key, array))
    ShadowPool(own("fit"), ledger=ledger, engine=engine).answers(table, 5)
    assert sizes == [2, 2, 1]
    assert len(kept) == 5


@on_two_nodes
def test_a_killed_worker_costs_what_it_had_in_hand(engine, own, table, tmp_path):
    found, _ = ShadowPool(own("dies_once"), ledger=Ledger(tmp_path / "ledger"), engine=engine).answers(table, 6)
    assert (tmp_path / "died").exists()
    assert np.array_equal(found, ShadowPool(own("fit")).answers(table, 6)[0])


@on_two_nodes
def test_workers_that_always_die_end_the_audit_with_a_sentence(engine, own, table):
    with pytest.raises(WorkersLost, match=f"Workers died {IN_VAIN} times without finishing one of 4 tasks"):
        ShadowPool(own("dies"), engine=engine).answers(table, 4)


@on_two_nodes
def test_an_error_of_the_recipe_is_its_own(engine, own, table):
    with pytest.raises(ValueError, match="this recipe is wrong"):
        ShadowPool(own("wrong"), engine=engine).answers(table, 4)


@on_two_nodes
def test_more_workers_than_fit_are_refused(engine):
    with pytest.raises(InputError, match=r"3 workers of 1 CPU and 0 GPU each do not fit .* 2 CPU and 2 GPU and room"):
        Engine("ray", jobs=3, address=engine.address).open()
    with pytest.raises(InputError, match=r"2 workers of 1 CPU and 2 GPU each do not fit .* room for 0"):
        Engine("ray", address=engine.address, gpus=2).open()


@on_two_nodes
def test_each_worker_gets_its_share_of_a_gpu(engine, own, table, tmp_path):
    shares = Engine("ray", jobs=2, address=engine.address, gpus=0.25)
    shares.open()
    found, _ = ShadowPool(own("fit_on_a_gpu"), engine=shares).answers(table, 2)
    assert np.array_equal(found, ShadowPool(own("fit")).answers(table, 2)[0])
    assert (tmp_path / "gpus").read_text().split() == ["0", "0"], "the number of the GPU on each node"


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


@on_two_nodes
@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_workers_end_when_the_driver_is_killed(engine, own, tmp_path):
    cluster._dismiss()
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    driver = subprocess.Popen([sys.executable, "driver.py", engine.address], env=environment)
    pids = tmp_path / "pids"
    assert until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 60)
    workers = [int(pid) for pid in pids.read_text().split()]
    assert all(map(alive, workers))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert until(lambda: not any(map(alive, workers)), 20), "workers went on without a driver"


# Bad addresses -------------------------------------------------------------------------------------------------------
def refused(address):
    started = time.monotonic()
    with pytest.raises(InputError) as error:
        cluster._check_answer(address)
    assert time.monotonic() - started < 5
    return str(error.value)


def test_an_address_that_does_not_answer_is_one_sentence_within_seconds():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        assert refused(address) == (
            f"No Ray cluster answers at {address} (Connection refused); start one with `ray start --head`, or correct "
            "--address."
        )
        free.listen()
        assert f"{address} (timed out)" in refused(address), "something hangs there"
    assert "write HOST:PORT" in refused("ray://10.0.0.5:10001")
    assert "write HOST:PORT" in refused("cluster")
    assert "No Ray cluster answers at 127.0.0.1:99999" in refused("127.0.0.1:99999")
    assert "No Ray cluster answers at no.such.host.invalid:6379" in refused("no.such.host.invalid:6379")


def test_another_service_is_no_ray_head():
    import http.server
    import threading

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert "(it is no Ray head)" in refused(f"127.0.0.1:{server.server_port}")
        server.shutdown()


def test_a_missing_ray_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r'engine ray needs the package ray.*pip install "safelight\[ray\]"'):
        Engine("ray").open()
