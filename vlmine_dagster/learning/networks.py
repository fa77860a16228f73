"""Networks that are trained here: a linear probe, and a small convolutional network from scratch."""

import torch
from torch import nn

WIDTHS = (32, 64, 128, 256)


class Probe(nn.Module):
    """A linear classifier on standardised features: softmax(W (x - mean) / scale + b).

    Args:
        feature_size: Floats an image.
        class_count: Classes.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, feature_size: int, class_count: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("scale", torch.ones(feature_size))
        self.linear = nn.Linear(feature_size, class_count)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (N, C) for features of shape (N, D)."""
        logits: torch.Tensor = self.linear((features.float() - self.mean) / self.scale)
        return logits


class SmallConvNet(nn.Module):
    """Four blocks of convolution, batch norm, ReLU and 2 x 2 pooling, then the mean over space and a linear layer.

    About 0.4 million weights. Takes pictures of 16 pixels a side or more.

    Args:
        class_count: Classes.
    """

    def __init__(self, class_count: int):
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
        self.linear = nn.Linear(before, class_count)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (N, C) for RGB pictures of shape (N, H, W, 3), uint8."""
        scaled = pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1.0)
        features = self.blocks(scaled.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        logits: torch.Tensor = self.linear(features)
        return logits
