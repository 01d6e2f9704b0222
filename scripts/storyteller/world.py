"""The people, things and places of the story world, and how a cast is drawn from them."""

import random
from dataclasses import dataclass

GIRLS = "Lily Mia Anna Sara Emma Zoe Ruby Nina Ella Rosa Lucy Amy".split()
BOYS = "Tom Ben Max Sam Leo Tim Jack Finn Noah Oscar Hugo Paul".split()
COLORS = "red blue green yellow pink purple orange white black brown".split()
THINGS = (
    "kite ball hat cup drum boat book bell scarf coat ribbon balloon bag spoon ring basket lamp doll blanket bucket "
    "umbrella whistle mitten pillow"
).split()
ANIMALS = "dog cat bird frog rabbit duck mouse bear fox horse goat cow pig owl squirrel turtle".split()
FOODS = "bread soup cheese honey jam rice cake pie pasta salad candy popcorn chicken pudding".split()
TROUBLES = "sad angry scared tired lonely worried upset grumpy".split()
FEELINGS = "happy proud excited surprised calm shy".split() + TROUBLES
NUMBERS = "two three four five six seven eight nine ten".split()
GATHERED = "apples shells stones flowers eggs nuts berries cookies leaves pears acorns feathers plums buttons".split()
WEATHERS = "sunny rainy windy snowy cloudy foggy".split()
PLACES = {
    "park": "in", "garden": "in", "forest": "in", "kitchen": "in", "barn": "in", "yard": "in", "cave": "in",
    "meadow": "in", "farm": "at", "market": "at", "school": "at", "lake": "by", "river": "by", "pond": "by",
    "gate": "by", "well": "by", "hill": "on", "beach": "on", "bridge": "on", "road": "on",
}  # fmt: skip


def with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


class Word(str):
    """A word that a template can also ask for with an article, or to begin a sentence: `{animal.a}`."""

    a = property(lambda self: with_article(self))
    A = property(lambda self: self.a.capitalize())
    Cap = property(lambda self: self.capitalize())


@dataclass(frozen=True)
class Person:
    name: str
    girl: bool

    def __str__(self) -> str:
        return self.name

    # Format fields carry these into templates: `{hero.he}`; a capital begins a sentence.
    he = property(lambda self: "she" if self.girl else "he")
    him = property(lambda self: "her" if self.girl else "him")
    his = property(lambda self: "her" if self.girl else "his")
    He = property(lambda self: self.he.capitalize())
    His = property(lambda self: self.his.capitalize())
    kid = property(lambda self: "girl" if self.girl else "boy")


@dataclass(frozen=True)
class Thing:
    noun: str
    color: str

    def __str__(self) -> str:
        return self.noun

    a = property(lambda self: with_article(self.noun))
    colored = property(lambda self: f"{self.color} {self.noun}")
    a_colored = property(lambda self: with_article(self.colored))


@dataclass(frozen=True)
class Place:
    noun: str
    preposition: str

    def __str__(self) -> str:
        return f"the {self.noun}"

    at = property(lambda self: f"{self.preposition} the {self.noun}")
    At = property(lambda self: self.at.capitalize())


Cast = dict[str, Word | Person | Thing | Place]

# Roles of one kind come in pairs, so that a story can hold a wrong answer beside the right one. Worry and grief
# are feelings too, for the plots in which nobody could be happy.
ROLES = {
    "hero": "person", "friend": "person", "toy": "thing", "prize": "thing", "place": "place", "spot": "place",
    "animal": "animal", "beast": "animal", "food": "food", "snack": "food", "mood": "feeling", "temper": "feeling",
    "worry": "feeling", "grief": "feeling",
    "count": "count", "tally": "count", "fruit": "gathered", "finds": "gathered", "weather": "weather",
}  # fmt: skip

ANSWERS = {
    "color": COLORS,
    "person": GIRLS + BOYS,
    "thing": THINGS,
    "place": [f"{preposition} the {noun}" for noun, preposition in PLACES.items()],
    "animal": ANIMALS,
    "food": FOODS,
    "feeling": FEELINGS,
    "count": NUMBERS,
}


def draw_cast(rng: random.Random) -> Cast:
    """One value for every role; two roles of one kind never share a value."""
    people = [Person(name, name in GIRLS) for name in rng.sample(GIRLS + BOYS, 2)]
    things = [Thing(noun, color) for noun, color in zip(rng.sample(THINGS, 2), rng.sample(COLORS, 2), strict=True)]
    places = [Place(noun, PLACES[noun]) for noun in rng.sample(sorted(PLACES), 2)]
    words = {"animal": ANIMALS, "food": FOODS, "count": NUMBERS, "gathered": GATHERED}
    drawn = {kind: [Word(word) for word in rng.sample(pool, 2)] for kind, pool in words.items()}
    drawn["feeling"] = [Word(word) for word in rng.sample(FEELINGS, 2) + rng.sample(TROUBLES, 2)]
    drawn |= {"person": people, "thing": things, "place": places, "weather": [Word(rng.choice(WEATHERS))]}
    return {role: drawn[kind].pop(0) for role, kind in ROLES.items()}
