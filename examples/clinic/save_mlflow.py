"""Save a forest as MLflow keeps models; this file alone runs in the environment of the model servers.

Run: python save_mlflow.py FOREST.skops FOLDER
"""

import sys

import mlflow.sklearn
from skops import io

OWN = ["sklearn.tree._tree.Tree"]  # skops trusts trees only in files that one wrote oneself, as this one was

mlflow.sklearn.save_model(
    io.load(sys.argv[1], trusted=OWN),
    sys.argv[2],
    pyfunc_predict_fn="predict_proba",
    pip_requirements=["scikit-learn"],
    skops_trusted_types=OWN,
)
