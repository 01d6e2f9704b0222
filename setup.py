"""Folders and the names under which they are imported; everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

ROOMS = {"compresslab": "core", "compresslab_dashboard": "dashboard", "compresslab_assets": "assets"}


def packages(name: str, folder: str) -> list[str]:
    """The folder and those in it; folders of data alone are packages too."""
    return [name, *(f"{name}.{inner}" for inner in find_namespace_packages(folder, exclude=["*__pycache__"]))]


setup(package_dir=ROOMS, packages=[package for name, folder in ROOMS.items() for package in packages(name, folder)])
