"""A Flower app of ten classes in numpy, one digit a client; run by test_flower.py in Flower's own environment."""

import os
import sys

os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

sys.path.insert(0, sys.argv[1])  # the folder of flower.py, and nothing else of Safelight
from flower import capture

DATA, FOLDER, CLIENTS = sys.argv[2], sys.argv[3], int(sys.argv[4])
app = ClientApp(mods=[capture(FOLDER)])


@app.train()
def train(message, context):
    with np.load(DATA) as file:
        x, y = (file[name][context.node_config["partition-id"]] for name in ("x", "y"))
    weights, offsets = message.content["arrays"].to_numpy_ndarrays()
    logits = weights @ x + offsets
    off = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum() - np.eye(10)[y]
    arrays = ArrayRecord([weights - 0.1 * np.outer(off, x), offsets - 0.1 * off])
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})}), reply_to=message)


server = ServerApp()


@server.main()
def main(grid, context):
    rule = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=CLIENTS, min_available_nodes=CLIENTS)
    done = rule.start(grid=grid, initial_arrays=ArrayRecord([np.zeros((10, 64)), np.zeros(10)]), num_rounds=2)
    np.savez(f"{FOLDER}/final.npz", *done.arrays.to_numpy_ndarrays())


run_simulation(server, app, CLIENTS, backend_config={"client_resources": {"num_cpus": 1}})
