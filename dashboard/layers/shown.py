"""What the Layers page shows: the Studio's recipe or a run's, its plan, and the matrix that is looked at closely."""

from __future__ import annotations

from dataclasses import dataclass

from compresslab.errors import BadInput
from compresslab.recipes.layerwise import LayerMethod
from compresslab.recipes.plan import Plan
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.layers.looking import Looking
from compresslab_dashboard.layers.readings import Cell, cells
from compresslab_dashboard.session import state
from compresslab_dashboard.session.state import State


@dataclass(frozen=True)
class Shown:
    recipe: Recipe
    run_id: str | None  # None: the recipe is the Studio's and can be edited
    plan: Plan
    cells: list[Cell]
    matrix: str

    @property
    def editable(self) -> bool:
        return self.run_id is None

    @property
    def steps(self) -> list[LayerMethod]:
        """Those that treat matrices one by one."""
        return [step for step in self.recipe.steps if isinstance(step, LayerMethod)]


def shown_of(session: State) -> Shown:
    """Raises CompresslabError where the recipe does not fit its model, or there is no such run."""
    run_id = state.own(Looking).run
    recipe = session.recipe if run_id is None else Recipe.from_dict(state.record(run_id).recipe)
    plan = state.workspace().plan(recipe)
    found = cells(plan)
    if not found:
        raise BadInput("layers.no_matrices", model=recipe.model)
    names = {cell.name for cell in found}
    matrix = state.own(Looking).matrix if state.own(Looking).matrix in names else found[0].name
    return Shown(recipe, run_id, plan, found, matrix)
