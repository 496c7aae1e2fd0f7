"""Keep a forest as MLflow keeps models and serve it by `mlflow models serve`; the environment of the servers runs this.

Run: python serve_mlflow.py FOREST.skops FOLDER PORT
"""

import os
import shutil
import sys
from pathlib import Path

import mlflow.sklearn
from skops import io

OWN = ["sklearn.tree._tree.Tree"]  # skops trusts trees only in files that one wrote oneself, as this one was

source, folder, port = sys.argv[1:]
shutil.rmtree(folder, ignore_errors=True)
mlflow.sklearn.save_model(
    io.load(source, trusted=OWN),
    folder,
    pyfunc_predict_fn="predict_proba",
    pip_requirements=["scikit-learn"],
    skops_trusted_types=OWN,
)
here = Path(sys.executable).parent
os.environ["PATH"] = f"{here}{os.pathsep}{os.environ['PATH']}"  # where mlflow looks for its own server
words = ["models", "serve", "-m", folder, "--env-manager", "local", "-h", "127.0.0.1", "-p", port, "-w", "1"]
os.execv(here / "mlflow", ["mlflow", *words])
