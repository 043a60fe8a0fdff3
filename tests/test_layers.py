"""The house stands: imports go strictly down, each heavy library has one owner, nothing works at import time."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "lib" / "pluribus"
