"""The tales that the bundled questions are about: whatever is asked for is the only one of its kind in its tale.

A small model learns to look that up in the minutes that training takes; telling two of a kind apart, which the plots
of `plots.py` ask for, it learns far more slowly.
"""

from .plots import OPENING, PARAGRAPH, Ask, Plot

ALONE_AT_THE_END = (
    "It was the best day ever.",
    "{hero} went home with a big smile.",
    "And so the day ended well.",
    "That night, {hero} told Mom all about it and fell asleep with a smile.",
    "{hero} laughed and ran home to Mom.",
    "And they all lived happily ever after.",
)

LOST_TOY = Plot(
    "lost toy",
    (
        OPENING,
        (
            "{hero.He} had {toy.a_colored}.",
            "Grandma had given {hero.him} {toy.a_colored}.",
            "The thing {hero.he} loved most was {toy.a_colored}.",
            "On {hero.his} birthday, {hero} got {toy.a_colored}.",
        ),
        PARAGRAPH,
        (
            "One day, {hero} played with the {toy} {place.at}.",
            "One {weather} morning, {hero} was {place.at} with the {toy}.",
            "The next day, {hero} sat {place.at} to show the {toy} to everyone.",
        ),
        (
            "But then the {toy} was gone, and {hero} felt very {worry}.",
            "When it was time to go home, the {toy} was gone! {hero} was so {worry}.",
            '"Oh no, my {toy} is gone!" cried {hero}. {hero.He} felt {worry}.',
        ),
        PARAGRAPH,
        (
            "Just then, {animal.a} came along with the {toy} in its mouth.",
            "{animal.A} heard this. It looked everywhere and found the {toy}.",
            "Then {animal.a} came out and gave the {toy} back.",
        ),
        (
            '"Thank you!" said {hero}, and gave the {animal} some {food}.',
            "{hero} was so glad that {hero.he} shared some {food} with the {animal}.",
            "They sat down and ate some {food} together.",
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("thing", "toy", ("What did {hero} lose?", "Which thing was lost?")),
        Ask("place", "place.at", ("Where was the {toy} lost?", "Where did {hero} lose the {toy}?")),
        Ask("animal", "animal", ("Which animal found the {toy}?", "Which animal helped {hero}?")),
        Ask("feeling", "worry", ("How did {hero} feel?", "How did {hero} feel without the {toy}?")),
        Ask("food", "food", ("What did they eat?", "What did the {animal} eat?")),
        Ask("person", "hero", ("Who lost the {toy}?", "Who had the {toy}?")),
    ),
)

PICNIC_WITH_MOM = Plot(
    "picnic with Mom",
    (
        OPENING,
        (
            "One {weather} day, {hero} and Mom had a picnic {place.at}.",
            '"Let us have a picnic {place.at}!" said Mom.',
            "Mom took {hero} out for a picnic {place.at}.",
        ),
        (
            "They had some {food} and {count} {fruit}.",
            "Mom had made some {food}, and {hero} had found {count} {fruit}.",
            "There was some {food}, and there were {count} {fruit}.",
        ),
        PARAGRAPH,
        (
            "Then {animal.a} came out to look.",
            "All at once, {animal.a} jumped out!",
            "After a while, {animal.a} came very near.",
        ),
        (
            'The {animal} looked {worry}. "Do you want some?" asked {hero}.',
            'It seemed to be {worry}. "Come and eat with us," said {hero}.',
            'It was very {worry}. "Poor {animal}!" said Mom.',
        ),
        (
            "So they shared everything with the {animal}.",
            "They gave it something to eat, and soon it felt better.",
            "The {animal} stayed with them until the evening.",
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("place", "place.at", ("Where was the picnic?", "Where did they have the picnic?")),
        Ask("food", "food", ("What did they eat?", "Which food did Mom bring?")),
        Ask("count", "count", ("How many {fruit} were there?", "How many {fruit} did they have?")),
        Ask("animal", "animal", ("Which animal came?", "Which animal did they see?")),
        Ask("feeling", "worry", ("How did the {animal} feel?",)),
        Ask("person", "hero", ("Who had a picnic with Mom?", "Who went out with Mom?")),
    ),
)

STUCK = Plot(
    "stuck",
    (
        OPENING,
        (
            "One {weather} day, {hero} saw {animal.a} that was stuck {place.at}.",
            "{place.At}, {hero.he} met {animal.a} that could not get out.",
            "One day, {hero} heard a cry {place.at}. It was {animal.a}, and it was stuck!",
        ),
        (
            "The poor {animal} was very {worry}.",
            '"I am so {worry}," said the {animal}.',
            "The {animal} felt {worry} and did not move.",
        ),
        PARAGRAPH,
        (
            "{hero} took {toy.a_colored} and pulled the {animal} out.",
            '"I can use my {toy.colored}!" said {hero}, and soon the {animal} was free.',
            "{hero} had {toy.a_colored} with {hero.him}. With it, {hero.he} got the {animal} out.",
        ),
        (
            "Then they ate some {food} together.",
            "{hero} gave the {animal} some {food}.",
            "To say thank you, the {animal} gave {hero.him} some {food}.",
        ),
        (
            "From then on, they met every day.",
            "After that, they were good friends.",
            *ALONE_AT_THE_END,
        ),
    ),
    (
        Ask("animal", "animal", ("Which animal was stuck?", "Which animal needed help?")),
        Ask("place", "place.at", ("Where was the {animal} stuck?", "Where did {hero} meet the {animal}?")),
        Ask("feeling", "worry", ("How did the {animal} feel?", "How did it feel to be stuck?")),
        Ask("thing", "toy", ("What did {hero} use to help?", "What helped {hero} to free the {animal}?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("food", "food", ("What did they eat?", "What was there to eat?")),
        Ask("person", "hero", ("Who helped the {animal}?", "Who freed the {animal}?")),
    ),
)

SHOPPING = Plot(
    "shopping",
    (
        OPENING,
        (
            "One day, Mom gave {hero.him} some coins to spend.",
            "{hero} had saved some coins to spend.",
            "Dad sent {hero.him} out to buy something nice.",
        ),
        (
            "{hero} bought {count} {fruit} and {toy.a_colored}.",
            "{hero.He} paid for {count} {fruit}. {hero.He} also got {toy.a_colored}.",
            "{hero} came back with {toy.a_colored} and {count} {fruit}.",
        ),
        PARAGRAPH,
        (
            "But {place.at}, {hero} tripped, and everything fell to the ground.",
            "{place.At}, everything fell out of {hero.his} hands!",
            "Then the wind blew {place.at}, and all the things fell down.",
        ),
        (
            "{hero} was {worry}.",
            "{hero} sat down and felt {worry}.",
            '"Now I am {worry}," said {hero}.',
        ),
        (
            "A kind {animal} helped to pick it all up.",
            "Then {animal.a} came and picked everything up.",
            '"I will help you," said {animal.a}.',
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("count", "count", ("How many {fruit} were there?", "How many {fruit} did {hero} buy?")),
        Ask("thing", "toy", ("What else did {hero} get?", "Which thing did {hero} buy?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("place", "place.at", ("Where did the things fall down?", "Where did everything fall?")),
        Ask("feeling", "worry", ("How did {hero} feel?",)),
        Ask("animal", "animal", ("Which animal helped {hero}?", "Which animal came to help?")),
        Ask("person", "hero", ("Who bought the {toy}?", "Who got the {toy}?")),
    ),
)

STORM = Plot(
    "storm",
    (
        (
            "One day, there was a big storm, and {hero} was {place.at}.",
            "Once upon a time, {hero} was playing {place.at} when a big storm came.",
            "A little {hero.kid} named {hero} was {place.at}. All at once, the wind was very strong.",
        ),
        (
            "{hero} was {worry}.",
            "{hero.He} felt very {worry}.",
            '"I am {worry}!" cried {hero}.',
        ),
        (
            "{hero.He} held {hero.his} {toy.colored} very tight.",
            "The wind took {hero.his} {toy.colored} away.",
            "All {hero.he} had with {hero.him} was {toy.a_colored}.",
        ),
        PARAGRAPH,
        (
            "Then {animal.a} showed {hero} the way home.",
            "{hero} met {animal.a} that knew the way.",
            '"Come with me," said {animal.a}, and it took {hero.him} home.',
        ),
        (
            "At home, there was some warm {food}.",
            "Mom gave {hero.him} some {food}, and the sun came out.",
            "{hero} ate a lot of {food} and felt much better.",
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("place", "place.at", ("Where was {hero}?", "Where was {hero} when the storm came?")),
        Ask("feeling", "worry", ("How did {hero} feel?", "How did {hero} feel in the storm?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("thing", "toy", ("What did {hero} have?", "Which thing did {hero} have in the storm?")),
        Ask("animal", "animal", ("Which animal helped {hero}?", "Which animal knew the way?")),
        Ask("food", "food", ("What did {hero} eat?", "What was there to eat?")),
        Ask("person", "hero", ("Who was in the storm?", "Who met the {animal}?")),
    ),
)

PAINT = Plot(
    "paint",
    (
        OPENING,
        (
            "One {weather} day, {hero} sat {place.at} and painted {toy.a}. The {toy} was all {toy.color} in the end.",
            "{place.At}, {hero.he} found some paint. {hero} took {toy.a} and painted it {toy.color}.",
            "{hero} wanted to paint. {place.At}, {hero.he} made {toy.a_colored}.",
        ),
        PARAGRAPH,
        (
            "Then {animal.a} walked through the paint and left {count} spots on the floor.",
            "{animal.A} ran by. Now there were {count} spots on the floor!",
            "But {animal.a} jumped into the paint, and it made {count} spots on the floor.",
        ),
        (
            '"What a mess!" said Dad. "I am sorry," said the {animal}.',
            "They cleaned it up together.",
            '"We will help you," said {hero}, and they cleaned the floor.',
        ),
        (
            "Then Dad gave them some {food}.",
            "After that, they ate some {food}.",
            "There was some {food} for everyone.",
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("thing", "toy", ("What did {hero} paint?", "What did {hero} make?")),
        Ask("place", "place.at", ("Where was {hero}?", "Where did {hero} paint?")),
        Ask("animal", "animal", ("Which animal made the spots?", "Which animal made a mess?")),
        Ask("count", "count", ("How many spots were there?", "How many spots did the {animal} make?")),
        Ask("food", "food", ("What did they eat?", "What was there to eat?")),
        Ask("person", "hero", ("Who painted the {toy}?", "Who made the {toy}?")),
    ),
)

MAP = Plot(
    "map",
    (
        OPENING,
        (
            "One day, {hero} and {hero.his} pet {animal} found an old map.",
            "{hero} had a pet {animal}. One day, they found a map under a stone.",
            "Grandpa gave {hero.him} a map. {hero} took {hero.his} pet {animal} along.",
        ),
        (
            "The map led them to a big tree {place.at}.",
            '"The treasure is {place.at}!" said {hero}.',
            "They walked and walked until they were {place.at}.",
        ),
        PARAGRAPH,
        (
            "They dug a deep hole and found {count} {fruit} and {toy.a_colored}.",
            "In an old box, there were {count} {fruit}. There was also {toy.a_colored}.",
            "What a surprise! There was {toy.a_colored}, and there were {count} {fruit}.",
        ),
        (
            "They had some {food} to celebrate.",
            "{hero} shared some {food} with the {animal}.",
            "After all that work, they ate some {food}.",
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("animal", "animal", ("What pet did {hero} have?", "Which animal did {hero} have?")),
        Ask("place", "place.at", ("Where was the treasure?", "Where did they find the treasure?")),
        Ask("count", "count", ("How many {fruit} were there?", "How many {fruit} did they find?")),
        Ask("thing", "toy", ("What else did they find?", "Which thing did they find?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("food", "food", ("What did they eat?", "What was there to eat?")),
        Ask("person", "hero", ("Who had a map?", "Who found the treasure?")),
    ),
)

RAN_AWAY = Plot(
    "ran away",
    (
        OPENING,
        (
            "{hero.He} had a pet {animal} and {toy.a_colored}.",
            "{hero} had a pet {animal}. It loved to play with {hero.his} {toy.colored}.",
            "Every day, {hero} and {hero.his} pet {animal} played with {toy.a_colored}.",
        ),
        (
            "One {weather} day, the {animal} ran away. {hero} was {worry}.",
            "One day, the {animal} was gone! {hero} felt {worry}.",
            '"Where is my {animal}?" cried {hero} one morning. {hero.He} was so {worry}.',
        ),
        PARAGRAPH,
        (
            "{hero} looked for it for {count} days.",
            "{hero} asked {count} people, but no one knew.",
            "{hero} called its name {count} times.",
        ),
        (
            "In the end, the {animal} was {place.at}. It was eating some {food}!",
            "At last {hero} found it {place.at}. It had some {food} in its mouth.",
            "{place.At}, {hero.he} saw the {animal}. Someone had given it some {food}.",
        ),
        (
            '"Please do not run away again," said {hero}.',
            "{hero} gave the {animal} a big hug.",
            "",
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("animal", "animal", ("What pet did {hero} have?", "Which animal ran away?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("thing", "toy", ("What did they play with?", "Which thing did {hero} have?")),
        Ask("feeling", "worry", ("How did {hero} feel?", "How did {hero} feel when the {animal} was gone?")),
        Ask("place", "place.at", ("Where was the {animal}?", "Where did {hero} find the {animal}?")),
        Ask("food", "food", ("What did the {animal} eat?", "Which food did the {animal} have?")),
        Ask("person", "hero", ("Who had the {animal}?", "Who looked for the {animal}?")),
    ),
)

AT_PLAY = Plot(
    "at play",
    (
        (
            "Once upon a time, {hero} was playing {place.at}.",
            "One {weather} day, {hero} went out to play {place.at}.",
            "A little {hero.kid} named {hero} loved to play {place.at}.",
        ),
        (
            "{hero.He} met {animal.a} who wanted to play, too.",
            '"Do you want to play?" asked {animal.a}.',
            "{animal.A} came by and asked to play.",
        ),
        (
            "{hero} hid behind a tree, and the {animal} counted to {count}.",
            "The {animal} closed its eyes and counted to {count}. {hero} ran and hid.",
            '"I will count to {count}," said the {animal}, and {hero} hid.',
        ),
        PARAGRAPH,
        (
            "But the {animal} saw {hero.his} {toy.colored} and found {hero.him}.",
            "{hero} had {toy.a_colored}, and the {animal} could see it from far away.",
            '"I can see your {toy.colored}!" cried the {animal}.',
        ),
        (
            "After the game, they had some {food}.",
            "Then Mom called them in for some {food}.",
            "They were hungry now and ate some {food}.",
        ),
        ALONE_AT_THE_END,
    ),
    (
        Ask("place", "place.at", ("Where did {hero} play?", "Where was {hero}?")),
        Ask("animal", "animal", ("Which animal played with {hero}?", "Which animal came to play?")),
        Ask("count", "count", ("How far did the {animal} count?", "What did the {animal} count to?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("thing", "toy", ("What did the {animal} see?", "Which thing did {hero} have?")),
        Ask("food", "food", ("What did they eat?", "What was there to eat?")),
        Ask("person", "hero", ("Who hid?", "Who played with the {animal}?")),
    ),
)

TALES = (LOST_TOY, PICNIC_WITH_MOM, STUCK, SHOPPING, STORM, PAINT, MAP, RAN_AWAY, AT_PLAY)
