"""MIFace of the Adversarial Robustness Toolbox on one linear or one-hidden-layer network; run by bench_against_art.

Reads INPUT.npz (weights w0, b0, w1, b1, ...; settings), writes OUTPUT.npz (pictures and CPU seconds a setting). It runs
in an environment of its own: python art_miface.py INPUT.npz OUTPUT.npz
"""

import sys
import time

import numpy as np
import torch
from art.attacks.inference.model_inversion import MIFace
from art.estimators.classification import PyTorchClassifier
from torch import nn

torch.set_num_threads(1)
given = np.load(sys.argv[1])
layers: list[nn.Module] = [nn.Flatten()]
count = sum(name.startswith("w") for name in given.files)
for number in range(count):
    weight, offset = given[f"w{number}"], given[f"b{number}"]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = torch.as_tensor(weight), torch.as_tensor(offset)
    layers += [layer, nn.Sigmoid()] if number + 1 < count else [layer]
net = nn.Sequential(*layers)
people, shape = int(given["people"]), tuple(given["shape"])
found: dict[str, np.ndarray] = {}
for steps in given["steps"]:
    for rate in given["rates"]:
        classifier = PyTorchClassifier(
            nn.Sequential(net, nn.Softmax(1)),
            nn.CrossEntropyLoss(),
            shape,
            people,
            clip_values=(0, 1),
            device_type="cpu",
        )
        # threshold=1.0 turns its stopping rule off, which is inverted.
        attack = MIFace(classifier, max_iter=int(steps), threshold=1.0, learning_rate=float(rate), batch_size=people,
                        verbose=False)  # fmt: skip
        started = time.process_time()
        pictures = attack.infer(np.full((people, *shape), 0.5, np.float32), y=np.arange(people))
        found[f"{int(steps)} steps, rate {float(rate):g}"] = pictures.astype(np.float32)
        found[f"seconds {int(steps)} steps, rate {float(rate):g}"] = np.array(time.process_time() - started)
np.savez(sys.argv[2], **found)
