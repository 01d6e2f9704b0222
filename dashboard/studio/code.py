"""The recipe to take along: as YAML, Python and a command."""

from __future__ import annotations

import streamlit as st
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.recipe.code import as_command, as_python
from compresslab_dashboard.texts import Words
from compresslab_dashboard.widgets.section import section

HEIGHT = 240  # pixels


def recipe_code(recipe: Recipe, words: Words) -> None:
    with section(words("recipe.code"), key="yaml") as is_open:
        if not is_open:
            return
        yaml, python, command = st.tabs([words(f"recipe.code.{form}") for form in ("yaml", "python", "command")])
        yaml.caption(words("recipe.code.yaml.help"))
        yaml.code(recipe.to_yaml(), language="yaml", height=HEIGHT)
        python.caption(words("recipe.code.python.help"))
        python.code(as_python(recipe), language="python", height=HEIGHT)
        command.caption(words("recipe.code.command.help"))
        command.code(as_command(recipe), language="bash", height=HEIGHT)
