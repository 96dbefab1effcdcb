"""Images: where they come from, and what is done to them on the way into a net."""

from resnet_lab.data.augment import Augmentation, augment, center_crop, normalize, rescale
from resnet_lab.data.base import Dataset, DatasetError, DatasetInfo, split_validation
from resnet_lab.data.datasets import DATASETS, dataset_info, is_downloaded, load_dataset
from resnet_lab.data.preprocess import ImageError, image_to_tensor, read_image

__all__ = [
    "DATASETS",
    "Augmentation",
    "Dataset",
    "DatasetError",
    "DatasetInfo",
    "ImageError",
    "augment",
    "center_crop",
    "dataset_info",
    "image_to_tensor",
    "is_downloaded",
    "load_dataset",
    "normalize",
    "read_image",
    "rescale",
    "split_validation",
]
