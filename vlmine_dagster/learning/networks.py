"""Networks that are trained here: a linear probe, two convolutional networks from scratch, and a checkpoint."""

from typing import Any

import torch
from torch import nn

WIDTHS = (32, 64, 128, 256)
_POOLED_FROM = 128  # pixels a side


class Probe(nn.Module):
    """A linear classifier on standardized features: softmax(W (x - mean) / scale + b).

    Args:
        feature_size: Floats an image.
        class_count: Classes.
        dropout: Share of the standardized features that a dropout pass leaves out.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, feature_size: int, class_count: int, *, dropout: float = 0.0):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("scale", torch.ones(feature_size))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(feature_size, class_count)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (N, C) for features of shape (N, D)."""
        logits: torch.Tensor = self.linear(self.dropout((features.float() - self.mean) / self.scale))
        return logits


class SmallConvNet(nn.Module):
    """Four blocks of convolution, batch norm, ReLU and 2 x 2 pooling, the mean over space, dropout, a linear layer.

    About 0.4 million weights. Takes pictures of 16 pixels a side or more.

    Args:
        class_count: Classes.
        dropout: Share of the 256 features that is dropped in training.
    """

    def __init__(self, class_count: int, *, dropout: float = 0.0):
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in WIDTHS:
            layers += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            before = width
        self.blocks = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(before, class_count)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (N, C) for RGB pictures of shape (N, H, W, 3), uint8."""
        logits: torch.Tensor = self.linear(self.dropout(self.blocks(_scaled(pictures)).mean((2, 3))))
        return logits


class ResNet18(nn.Module):
    """ResNet-18 from scratch, as transformers builds it: 11.2 million weights and a linear layer.

    Its stem halves the picture twice, by a convolution and by max pooling, which was made for 224 pixels. Pictures of
    less than 128 pixels a side keep the second half: 64 pixels then end in 4 x 4 positions, not 2 x 2.

    Args:
        class_count: Classes.
        side: Pixels a side of the pictures that it will see.

    References:
        He et al. 2016, arXiv 1512.03385.
    """

    def __init__(self, class_count: int, *, side: int = 64):
        from transformers import ResNetConfig, ResNetForImageClassification

        super().__init__()
        config = ResNetConfig(
            embedding_size=64,
            hidden_sizes=[64, 128, 256, 512],
            depths=[2, 2, 2, 2],
            layer_type="basic",
            num_labels=class_count,
        )
        self.network = ResNetForImageClassification(config)
        if side < _POOLED_FROM:
            self.network.resnet.embedder.pooler = nn.Identity()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (N, C) for RGB pictures of shape (N, H, W, 3), uint8."""
        logits: torch.Tensor = self.network(_scaled(pictures)).logits
        return logits


class FineTuned(nn.Module):
    """A checkpoint of transformers with a head for other classes; pictures are brought to its size and colours.

    Args:
        network: An image-classification network.
        mean: Mean of each colour that it expects, of values in [0, 1].
        deviation: Standard deviation of each colour.
        side: Pixels a side that it expects.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, network: Any, *, mean: list[float], deviation: list[float], side: int):
        super().__init__()
        self.network = network
        self.side = side
        self.register_buffer("mean", torch.tensor(mean)[None, :, None, None])
        self.register_buffer("deviation", torch.tensor(deviation)[None, :, None, None])

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (N, C) for RGB pictures of shape (N, H, W, 3), uint8."""
        colours = pictures.permute(0, 3, 1, 2).float().div(255)
        sized = nn.functional.interpolate(colours, (self.side, self.side), mode="bilinear", antialias=True)
        logits: torch.Tensor = self.network(pixel_values=(sized - self.mean) / self.deviation).logits
        return logits


def _scaled(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures of shape (N, H, W, 3), uint8, as (N, 3, H, W) from -1 to 1."""
    scaled = pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1.0)
    return scaled.contiguous(memory_format=torch.channels_last)
