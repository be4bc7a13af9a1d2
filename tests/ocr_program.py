"""Tesseract with Korean for the tests: the one of this machine, else Debian's, installed where we may."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from app.core.errors import ItemError
from ingest.readers import ocr

DEBIAN = ("tesseract-ocr", "tesseract-ocr-kor")


def tesseract() -> ocr.Tesseract:
    """The program; the test is skipped where there is none and it can't be installed."""
    try:
        return ocr.find()
    except ItemError as error:
        missing = error
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        patient = ["-o", "DPkg::Lock::Timeout=300"]
        for command in (["update"], [*patient, "install", "-y", "--no-install-recommends", *DEBIAN]):
            subprocess.run(["apt-get", "-qq", *command], env=quiet, capture_output=True, check=False)
        try:
            return ocr.find()
        except ItemError as error:
            missing = error
    pytest.skip(f"needs Tesseract with Korean: {missing.hint}")
