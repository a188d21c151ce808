"""The words that filters take. The command line loads only these."""

AUTO = "auto"
DEINTERLACE = (AUTO, "always")
DENOISE = ("light", "medium", "strong")
BARE = {"crop": AUTO, "deinterlace": AUTO, "denoise": "medium"}
"""What these filters mean without a value, or with True."""
