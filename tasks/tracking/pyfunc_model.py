"""The registered form of a bundle: an MLflow pyfunc model that takes and gives tensors.

MLflow stores this file with the model ("models from code"), so nothing is pickled.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from fusion_models.bundle import Bundle, load_bundle, predict_batch

if TYPE_CHECKING:
    NamedTensors = dict[str, np.ndarray]
else:
    # MLflow warns of hints from which it cannot infer a schema, except of this one: the schema of the named
    # tensors is in the signature that the model is logged with.
    NamedTensors = np.ndarray


class BundleModel(PythonModel):
    """Predict expected counts (sample, horizon, cell) with the bundle that the model was logged with."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle from the model's artifacts."""
        self._bundle: Bundle = load_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: NamedTensors,
        params: dict[str, object] | None = None,
    ) -> np.ndarray:
        """Return rates (sample, horizon, cell), expected target events, for named input tensors."""
        return predict_batch(self._bundle, model_input)


mlflow.models.set_model(BundleModel())
