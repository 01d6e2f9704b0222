"""Folders and the names under which they are imported; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

ROOMS = {"compresslab": "core", "compresslab_dashboard": "dashboard", "compresslab_assets": "assets"}

setup(
    package_dir=ROOMS,
    packages=[
        package for name, folder in ROOMS.items() for package in (name, *(f"{name}.{p}" for p in find_packages(folder)))
    ],
)
