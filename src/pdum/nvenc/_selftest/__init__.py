"""The self-test: what only a card with an encoder can tell, asked of the card and written down for a report.

``runner`` starts the questions in processes of their own, ``child`` asks them, ``report`` writes the answers. The
questions stand in one module for each theme. They call the driver themselves, below everything that this package checks
elsewhere, because they ask about what the package never does.
"""
