"""Pictures: files and tensors, what a person names, colours, regions."""
