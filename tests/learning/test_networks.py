"""The networks that are trained here: which weights they have, and what they make of pictures."""

import pytest
import torch

from vlmine_dagster.learning.networks import FineTuned, Probe, SmallConvNet


def test_the_small_network_has_the_weights_that_a_saved_model_holds():
    found = {name: tuple(tensor.shape) for name, tensor in SmallConvNet(7).state_dict().items()}

    # four blocks of which each layer comes after 4 others; no bias ahead of a batch norm, which would take it away
    expected = {"linear.weight": (7, 256), "linear.bias": (7,)}
    for block, (before, width) in enumerate([(3, 32), (32, 64), (64, 128), (128, 256)]):
        expected[f"blocks.{4 * block}.weight"] = (width, before, 3, 3)
        for name in ("weight", "bias", "running_mean", "running_var"):
            expected[f"blocks.{4 * block + 1}.{name}"] = (width,)
        expected[f"blocks.{4 * block + 1}.num_batches_tracked"] = ()
    assert found == expected


def test_the_small_network_is_four_halvings_the_mean_over_space_and_a_linear_layer_written_out():
    torch.manual_seed(0)
    network = SmallConvNet(3).eval()
    pictures = torch.randint(0, 256, (2, 48, 32, 3), dtype=torch.uint8)
    state = network.state_dict()

    seen = pictures.permute(0, 3, 1, 2) / 255 * 2 - 1
    for layer in (0, 4, 8, 12):
        seen = torch.conv2d(seen, state[f"blocks.{layer}.weight"], padding=1) / (1 + 1e-5) ** 0.5  # a fresh batch norm
        rows, columns = seen.shape[2] // 2, seen.shape[3] // 2
        seen = seen.clamp(min=0).reshape(2, -1, rows, 2, columns, 2).amax((3, 5))
    assert seen.shape == (2, 256, 3, 2)
    expected = seen.mean((2, 3)) @ state["linear.weight"].T + state["linear.bias"]

    with torch.no_grad():
        assert network(pictures).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_fresh_probe_knows_nothing_and_standardises_what_it_reads():
    probe = Probe(2, 3)
    features = torch.tensor([[3.0, 10.0]])
    fresh = probe(features).tolist()

    probe.mean += torch.tensor([1.0, 2.0])
    probe.scale *= torch.tensor([2.0, 4.0])
    torch.nn.init.ones_(probe.linear.weight)

    assert fresh == [[0, 0, 0]]
    assert probe(features).tolist() == [[3, 3, 3]]  # (3 - 1) / 2 + (10 - 2) / 4


def test_a_checkpoint_reads_pictures_at_its_size_and_in_its_colours():
    seen = []

    class Network(torch.nn.Module):
        def forward(self, pixel_values):
            seen.append(pixel_values)
            return type("Found", (), {"logits": pixel_values.mean((2, 3))})

    network = FineTuned(Network(), mean=[0.5, 0.4, 0.0], deviation=[0.25, 0.2, 2.0], side=8)

    found = network(torch.tensor([255, 0, 51], dtype=torch.uint8).expand(2, 4, 6, 3))

    assert seen[0].shape == (2, 3, 8, 8)
    assert found.numpy() == pytest.approx(torch.tensor([[2, -2, 0.1]] * 2).numpy(), abs=1e-6)
