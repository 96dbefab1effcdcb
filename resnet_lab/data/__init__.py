"""Pictures: where they come from, and what is done to them on the way into a net."""

from resnet_lab.data.base import Dataset, DatasetError, DatasetInfo, split_validation
from resnet_lab.data.datasets import DATASETS, load_dataset

__all__ = ["DATASETS", "Dataset", "DatasetError", "DatasetInfo", "load_dataset", "split_validation"]
