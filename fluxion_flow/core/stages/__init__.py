"""Fluxion Core's stages, one file a stage or close family. A new stage is one file here; nothing else is edited."""

from .registry import StageEntry, all_stages, parse_stages, stage
from .shapes import Keyed, PerDocument, Stage, Whole, Windowed

__all__ = ["Keyed", "PerDocument", "Stage", "StageEntry", "Whole", "Windowed", "all_stages", "parse_stages", "stage"]
