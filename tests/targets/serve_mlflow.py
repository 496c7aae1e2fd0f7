"""Serve skops files through MLflow's own scoring server: `python serve_mlflow.py PORT NAME=FILE:FUNCTION ...`."""

import sys
import tempfile

import mlflow.pyfunc
import mlflow.sklearn
import uvicorn
from fastapi import FastAPI
from mlflow.pyfunc import scoring_server
from skops import io

served = FastAPI()
for argument in sys.argv[2:]:
    name, _, source = argument.partition("=")
    file, _, function = source.partition(":")
    folder = tempfile.mkdtemp() + "/model"
    mlflow.sklearn.save_model(io.load(file), folder, pyfunc_predict_fn=function, pip_requirements=["scikit-learn"])
    served.mount(f"/{name}", scoring_server.init(mlflow.pyfunc.load_model(folder)))
uvicorn.run(served, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
