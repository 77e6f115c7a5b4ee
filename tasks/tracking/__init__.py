"""The only importer of mlflow: experiments, runs with their children, lineage, and the model registry."""
