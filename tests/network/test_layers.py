"""The layer tables and the names of layers, against torchvision's own networks and lists written by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from nst_lightning.errors import BadArgument
from nst_lightning.network.layers import CONVOLUTIONS_PER_BLOCK, find_layer, layer_weights, layers_of

KINDS = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool"}

# The convolutions as the papers name them, in order; the n-th is conv_n.
# fmt: off
VGG16 = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3",
         "conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"]
VGG19 = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
         "conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1", "conv5_2", "conv5_3", "conv5_4"]
# fmt: on
# The pooling after a block, counted over the convolutions before it.
POOLS = {
    "vgg16": {"pool1": "pool_2", "pool2": "pool_4", "pool3": "pool_7", "pool4": "pool_10", "pool5": "pool_13"},
    "vgg19": {"pool1": "pool_2", "pool2": "pool_4", "pool3": "pool_8", "pool4": "pool_12", "pool5": "pool_16"},
}


def torchvision_layers(arch: str) -> list[tuple[int, str, int]]:
    """Position, kind and channels of every module of torchvision's network, without its numbers."""
    with torch.device("meta"):
        features = torchvision.models.get_model(arch, weights=None).features
    found, channels = [], 3
    for position, module in enumerate(features):
        channels = getattr(module, "out_channels", channels)
        found.append((position, KINDS[type(module)], channels))
    return found


@pytest.mark.parametrize("arch", CONVOLUTIONS_PER_BLOCK)
def test_table_is_torchvisions_listing(arch):
    """If this fails, a layer's weights are read from another layer's keys."""
    assert [(layer.position, layer.kind, layer.channels) for layer in layers_of(arch)] == torchvision_layers(arch)


@pytest.mark.parametrize("arch", CONVOLUTIONS_PER_BLOCK)
def test_pools_before_counts_torchvisions_poolings(arch):
    """If this fails, pictures that are too small reach the network, or fitting ones are refused."""
    halvings = 0
    for layer, (_, kind, _) in zip(layers_of(arch), torchvision_layers(arch), strict=True):
        halvings += kind == "pool"
        assert layer.pools_before == halvings


@pytest.mark.parametrize(("arch", "names"), [("vgg16", VGG16), ("vgg19", VGG19)])
def test_both_names_of_every_convolution_and_relu(arch, names):
    """If this fails, a name of the papers means another layer here."""
    convolutions = [layer for layer in layers_of(arch) if layer.kind == "conv"]
    assert [layer.name for layer in convolutions] == names
    assert [layer.sequential_name for layer in convolutions] == [f"conv_{n}" for n in range(1, len(names) + 1)]
    for number, name in enumerate(names, start=1):
        convolution = find_layer(name, arch)
        assert find_layer(f"conv_{number}", arch) == convolution == convolutions[number - 1]
        relu = find_layer(name.replace("conv", "relu"), arch)
        assert find_layer(f"relu_{number}", arch) == relu
        assert (relu.kind, relu.position) == ("relu", convolution.position + 1)


@pytest.mark.parametrize("arch", POOLS)
def test_both_names_of_every_pooling(arch):
    """If this fails, poolX or pool_N means another layer."""
    pools = [layer for layer in layers_of(arch) if layer.kind == "pool"]
    assert {layer.name: layer.sequential_name for layer in pools} == POOLS[arch]
    for name, sequential_name in POOLS[arch].items():
        assert find_layer(name, arch) == find_layer(sequential_name, arch)


def test_conv_4_is_conv2_2():
    """The example of the requirements, in the networks where it holds."""
    for arch in ("vgg13", "vgg16", "vgg19"):
        assert find_layer("conv_4", arch) == find_layer("conv2_2", arch)
    assert find_layer("conv_4", "vgg11") == find_layer("conv3_2", "vgg11")


def test_layers_sort_by_depth():
    """If this fails, the network is computed to the wrong depth."""
    assert sorted(set(layers_of("vgg19"))) == list(layers_of("vgg19"))


def test_unknown_layer_names_the_nearest_and_all():
    """If this fails, a misspelt layer is not helped along."""
    with pytest.raises(BadArgument, match=r"cnv_4: .*did you mean 'conv_4'.*conv_1 to conv_13.*conv5_3"):
        find_layer("cnv_4", "vgg16", "content_layers")


def test_layer_of_another_network_is_refused_with_the_last_there_is():
    """If this fails, vgg19's names seem misspelt where only the network is another."""
    with pytest.raises(BadArgument, match=r"vgg16 has no such layer \(vgg19 has\).*conv_13.*conv5_3"):
        find_layer("conv5_4", "vgg16")


def test_list_shares_a_weight_of_one():
    """If this fails, adding a layer to a list changes the weight of the whole term."""
    weights = layer_weights(["conv_1", "relu2_1", "pool3", "conv_10"], "vgg16", "style_layers")
    assert weights == {find_layer(name, "vgg16"): 0.25 for name in ("conv1_1", "relu_3", "pool_7", "conv4_3")}


def test_map_is_taken_as_it_is():
    """If this fails, weights given per layer are rescaled."""
    weights = layer_weights({"conv_1": 3, "conv2_2": 0.5}, "vgg19", "style_layers")
    assert weights == {find_layer("conv1_1", "vgg19"): 3.0, find_layer("conv_4", "vgg19"): 0.5}


@pytest.mark.parametrize("layers", [["conv_4", "conv2_2"], ["relu_1", "relu_1"], {"pool2": 1.0, "pool_4": 0.0}])
def test_layer_named_twice_is_refused(layers):
    """If this fails, one of the two weights is lost without a word."""
    with pytest.raises(BadArgument, match="named twice"):
        layer_weights(layers, "vgg16", "content_layers")


def test_zero_weight_drops_the_layer():
    """If this fails, a layer without weight is computed, or the network goes deeper than needed."""
    assert layer_weights({"conv_1": 1.0, "conv_13": 0.0}, "vgg16", "style_layers") == {find_layer("conv_1", "vgg16"): 1.0}
    assert layer_weights({"conv_1": 0.0}, "vgg16", "style_layers") == {}
    assert layer_weights([], "vgg16", "style_layers") == {}


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_weight_is_refused(weight):
    """If this fails, the objective has no minimum or is not a number."""
    with pytest.raises(BadArgument, match="a number of 0 or more"):
        layer_weights({"conv_1": weight}, "vgg16", "style_layers")
