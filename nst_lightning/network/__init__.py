"""The frozen VGG: its layers, weights and features."""
