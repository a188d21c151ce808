"""The encoder configurations for one file: one for each kind of engine that works on it, so that their parts fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from .._errors import InvalidConfig, NvencError, PieceDamaged
from .._media.spool import RECIPE, load_json, write_atomically
from ..events import EngineInfo
from .encoder_config import Recipe

SAME_FOR_ALL = ("codec", "width", "height", "chroma", "bit_depth")


class Recipes:
    """Made once for each engine by ``make``, and saved in the work folder once that is the job's own."""

    def __init__(self, folder: Path, make: Callable[[EngineInfo], Recipe]) -> None:
        self.are_saved = False
        self._folder, self._make = folder, make
        self._lock = Lock()
        self._made: dict[tuple[str, str, int | None], Recipe] = {}

    def clear(self) -> None:
        self._made = {}
        self.are_saved = False

    def of(self, engine: EngineInfo) -> Recipe:
        key = engine.node, engine.kind, engine.gpu_id
        with self._lock:
            if key not in self._made:
                recipe = self._make(engine)
                self._require_fitting(recipe)
                self._made[key] = recipe
                self.save()
            return self._made[key]

    def any(self) -> Recipe:
        """The configuration of some engine, or of an earlier run if that encoded all ranges."""
        for recipe in self._made.values():
            return recipe
        from .._config.config import EncoderConfig

        path = self._folder / RECIPE
        values = load_json(path)
        try:
            if values is not None:
                return Recipe(EncoderConfig.from_dict(values))
        except (NvencError, TypeError, ValueError):
            pass
        raise PieceDamaged(f"{path} is damaged. Encode the file again.")

    def warnings(self) -> list[str]:
        return [text for recipe in self._made.values() for text in recipe.warnings]

    def save(self) -> None:
        """Saves the configuration beside the pieces, for a run that finds all of them complete and asks no engine."""
        if self._made and self.are_saved and self._folder.is_dir():
            write_atomically(self._folder / RECIPE, json.dumps(self.any().config.to_dict()).encode())

    def _require_fitting(self, recipe: Recipe) -> None:
        """Raises if the parts differ in codec or size, because they cannot be joined."""
        for other in self._made.values():
            mine, theirs = ([one.config.settings()[name] for name in SAME_FOR_ALL] for one in (recipe, other))
            if mine != theirs:
                raise InvalidConfig(
                    f"The engines would encode parts of one file as {mine} and {theirs}. Name a codec and settings "
                    "that all of them have."
                )
