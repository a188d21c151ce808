"""The words that filters take, for the command line too, which has no use for the rest of them."""

AUTO = "auto"
DEINTERLACE = (AUTO, "always")
DENOISE = ("light", "medium", "strong")
BARE = {"crop": AUTO, "deinterlace": AUTO, "denoise": "medium"}
"""What these filters mean without a value, or with True."""
