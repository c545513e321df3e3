"""What is compared with what: the whole image at once, or from tiles, in one process or several."""
