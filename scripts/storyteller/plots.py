"""What can happen in the story world: each plot is a row of beats, and each beat can be told in several ways.

In these plots there are two of most things, so that a wrong answer stands beside the right one.

Whatever a plot asks about must be told by every way of some beat, so that any telling answers every question.
"""

from dataclasses import dataclass

Ways = tuple[str, ...]


@dataclass(frozen=True)
class InAnyOrder:
    beats: tuple[Ways, ...]


Beat = Ways | InAnyOrder


@dataclass(frozen=True)
class Ask:
    kind: str
    answer: str
    ways: Ways


@dataclass(frozen=True)
class Plot:
    name: str
    beats: tuple[Beat, ...]
    asks: tuple[Ask, ...]


PARAGRAPH = ("\n\n", "\n\n", "")

OPENING = (
    "Once upon a time, there was a little {hero.kid} named {hero}.",
    "Once upon a time, a {hero.kid} called {hero} lived in a small house.",
    "There once was a {hero.kid} named {hero} who loved to play outside.",
    "{hero} was a kind little {hero.kid}.",
    "In a small town lived a {hero.kid} named {hero}.",
    "Once there was a {hero.kid} named {hero}.",
)

OPENING_OF_TWO = (
    "Once upon a time, there were two good friends named {hero} and {friend}.",
    "Once upon a time, {hero} and {friend} lived in the same little town.",
    "{hero} and {friend} were best friends.",
    "{hero} and {friend} liked to play together every day.",
    "Once there was a {hero.kid} named {hero}. {hero.His} best friend was {friend}.",
    "There once was a {hero.kid} named {hero} who had a friend called {friend}.",
)

ON_THE_WAY = (
    "They sang a song on the way.",
    "What a fine day it was!",
    "There was so much to see and to do.",
    "They could hardly wait.",
    "",
    "",
    "",
)

HAPPY_END = (
    "They laughed and hugged, and then they went home.",
    "From that day on, {hero} and {friend} were the best of friends.",
    "It was the best day ever.",
    "They played until the sun went down.",
    "{hero} and {friend} went home with a big smile.",
    "And they all lived happily ever after.",
    "That night, {hero} told Mom all about it and fell asleep with a smile.",
    "They were glad that they had helped each other.",
)

LOST = Plot(
    "lost and found",
    (
        OPENING,
        (
            "{hero.He} had {toy.a_colored} and {prize.a_colored}.",
            "Grandma had given {hero.him} {toy.a_colored} and {prize.a_colored}.",
            "{hero} owned {prize.a_colored}, but {hero.he} liked {hero.his} {toy.colored} even more.",
            "{hero.He} loved two things the most: {toy.a_colored} and {prize.a_colored}.",
            "On {hero.his} birthday, {hero} got {prize.a_colored} and {toy.a_colored}.",
        ),
        PARAGRAPH,
        (
            "One day, {hero} took the {toy} to {place} and left the {prize} at home.",
            "One morning, {hero} left the {prize} in {hero.his} room and went to {place} with the {toy}.",
            "One day, {hero} carried the {toy} all the way to {place}. The {prize} stayed at home.",
            "The next day, {hero} went to {place} to show the {toy} to everyone, but the {prize} stayed in bed.",
        ),
        (
            "When it was time to go home, the {toy} was gone!",
            "But on the way home, {hero} lost the {toy}.",
            '"Oh no!" cried {hero}. "I have lost my {toy}!"',
            'Then the wind blew, and the {toy} was gone. "Where is my {toy}?" cried {hero}.',
        ),
        (
            "{hero} looked up and down, but it was not there.",
            "{hero} sat down and began to cry.",
            "{hero} searched and searched.",
            "",
        ),
        PARAGRAPH,
        (
            "{friend} came to help. {friend.He} looked everywhere and found the {toy} {spot.at}.",
            'A {friend.kid} named {friend} heard this. "I saw it {spot.at}!" said {friend}, and ran to get the {toy}.',
            '"Do not be sad," said {friend}. {friend} searched for a long time and found the {toy} {spot.at}.',
            'Just then, {friend} came by. "Look what I found {spot.at}!" said {friend}. It was the {toy}!',
            "Not far away, a {friend.kid} named {friend} saw something {spot.at}. It was the {toy}! {friend} gave it back.",
        ),
        (
            '"Thank you, {friend}!" said {hero}.',
            "{hero} gave {friend} a big hug.",
            '"You are a true friend," said {hero}.',
            "{hero} jumped for joy.",
        ),
        HAPPY_END,
    ),
    (
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("color", "prize.color", ("What color was the {prize}?", "What was the color of the {prize}?")),
        Ask("thing", "toy", ("What did {hero} lose?", "Which thing was lost?")),
        Ask("thing", "prize", ("What did {hero} leave at home?", "Which thing stayed at home?")),
        Ask("person", "friend", ("Who found the {toy}?",)),
        Ask("person", "hero", ("Who lost the {toy}?",)),
        Ask("place", "spot.at", ("Where was the {toy} found?", "Where did {friend} find the {toy}?")),
    ),
)

BIRTHDAY = Plot(
    "birthday",
    (
        (
            "It was a {weather} day, and there was a birthday party {place.at}.",
            "Once upon a time, there was a birthday party {place.at}.",
            "One {weather} day, a bear had a birthday party {place.at}, and all the children came.",
            "Grandpa had a birthday, so there was a big party {place.at}.",
        ),
        InAnyOrder(
            (
                (
                    "{hero} brought {toy.a_colored} as a gift.",
                    '"I have a gift for you," said {hero}. It was {toy.a_colored}.',
                    "{hero} had made {toy.a_colored} for the party.",
                    "The gift from {hero} was {toy.a_colored}.",
                ),
                (
                    "{friend} brought {prize.a_colored} as a gift.",
                    '"Here is a gift from me," said {friend}. It was {prize.a_colored}.',
                    "{friend} came with {prize.a_colored} in a box.",
                    "The gift from {friend} was {prize.a_colored}.",
                ),
            )
        ),
        ("Everyone clapped.", "What nice gifts they were!", "The gifts were lovely.", ""),
        PARAGRAPH,
        InAnyOrder(
            (
                (
                    "{hero} ate some {food}.",
                    "{hero} was hungry and ate a lot of {food}.",
                    "{hero} asked for some {food}.",
                ),
                ("{friend} ate some {snack}.", "{friend} tasted the {snack}.", "{friend} had a big bowl of {snack}."),
            )
        ),
        (
            "Suddenly, {animal.a} ran in and took the {toy}!",
            "But then {animal.a} jumped on the table and grabbed the {toy}!",
            "Just then, a little {animal} came in and sat on the {toy}.",
            "All at once, there was a noise. {animal.A} was playing with the {toy}!",
        ),
        (
            "Everyone laughed, and the {animal} danced with them until it let go of the {toy}.",
            '"You can come to the party too," said {friend}.',
            "They gave the {animal} a hug, and it gave the {toy} back.",
            'Then {hero} said, "Please give it back, and we will share." And it did.',
        ),
        HAPPY_END,
    ),
    (
        Ask("person", "hero", ("Who brought the {toy}?", "Who gave the {toy}?")),
        Ask("person", "friend", ("Who brought the {prize}?", "Who gave the {prize}?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("color", "prize.color", ("What color was the {prize}?", "What was the color of the {prize}?")),
        Ask("food", "food", ("What did {hero} eat?",)),
        Ask("food", "snack", ("What did {friend} eat?",)),
        Ask("place", "place.at", ("Where was the party?",)),
    ),
)

GATHERING = Plot(
    "gathering",
    (
        OPENING_OF_TWO,
        (
            "One {weather} day, they went out to fill their baskets.",
            'One day, Mom said, "Please bring me {fruit} and {finds}."',
            "One {weather} morning, they took a bag and went for a walk.",
            "They wanted to make a surprise for Grandma.",
        ),
        ON_THE_WAY,
        InAnyOrder(
            (
                (
                    "{hero} went to {place} and found {count} {fruit}.",
                    "{place.At}, {hero} picked up {count} {fruit}.",
                    "{hero} ran to {place}. There {hero.he} found {count} {fruit}.",
                    '"I have {count} {fruit}!" called {hero}, who was {place.at}.',
                ),
                (
                    "{friend} went to {spot} and found {tally} {finds}.",
                    "{spot.At}, {friend} picked up {tally} {finds}.",
                    "{friend} walked to {spot}. There {friend.he} found {tally} {finds}.",
                    '"Look, {tally} {finds}!" called {friend}, who was {spot.at}.',
                ),
            )
        ),
        PARAGRAPH,
        (
            "Then a hungry {animal} came along and looked at the {fruit}.",
            "{animal.A} was watching them. It had nothing at all.",
            "On the way home, they met {animal.a}. It looked sad.",
            'A little {animal} came up to them. "Will you share?" it asked.',
        ),
        (
            '"We have so much," said {hero}. "Let us share!"',
            "{friend} said that sharing is good, so they did.",
            "The two friends shared with it, and it was very happy.",
            '"Take what you like," said {friend} with a smile.',
        ),
        HAPPY_END,
    ),
    (
        Ask("count", "count", ("How many {fruit} did {hero} find?", "How many {fruit} were there?")),
        Ask("count", "tally", ("How many {finds} did {friend} find?", "How many {finds} were there?")),
        Ask("person", "hero", ("Who found the {fruit}?",)),
        Ask("person", "friend", ("Who found the {finds}?",)),
        Ask("place", "place.at", ("Where were the {fruit}?", "Where did {hero} find the {fruit}?")),
        Ask("place", "spot.at", ("Where were the {finds}?", "Where did {friend} find the {finds}?")),
        Ask("animal", "animal", ("Which animal did they meet?",)),
    ),
)

RESCUE = Plot(
    "rescue",
    (
        OPENING,
        (
            "One {weather} day, {hero.he} went for a walk with {hero.his} pet {beast}.",
            "{hero.He} had a pet {beast} that went everywhere with {hero.him}.",
            "One morning, {hero} and {hero.his} pet {beast} went out to play.",
            "{hero.His} pet was a funny {beast}, and they were always together.",
        ),
        PARAGRAPH,
        (
            '{place.At}, they heard a small voice. "Help!" {animal.A} was stuck!',
            "They walked and walked. Then they saw {animal.a} that was stuck {place.at}.",
            "Suddenly, they saw a poor {animal} {place.at}. It was stuck and could not get out.",
            'A little {animal} sat {place.at} and cried, "Please help me! I am stuck!"',
        ),
        InAnyOrder(
            (
                (
                    "{hero} was {worry}, but {hero.he} wanted to help.",
                    '"I feel {worry}," said {hero}.',
                    "{hero} felt {worry} that day.",
                ),
                (
                    "The {animal} was {grief}.",
                    "The {animal} felt very {grief}.",
                    '"I am so {grief}," said the {animal}.',
                ),
            )
        ),
        (
            "{hero} took {hero.his} {toy.colored} and pulled the {animal} out.",
            "{hero} had a good idea. {hero.He} used {toy.a_colored} to get the {animal} out.",
            "Then {hero} found {toy.a_colored}. With it, {hero.he} set the {animal} free.",
            '"I can use my {toy.colored}!" said {hero}, and soon the {animal} was free.',
        ),
        PARAGRAPH,
        (
            '"Thank you, {hero}!" said the {animal}.',
            "The {animal} was so glad that it gave {hero} a kiss.",
            "The {beast} jumped around and the {animal} sang a song.",
            '"You saved me," said the {animal}. "Now we are friends."',
        ),
        (
            "They all played until it was dark.",
            "From then on, they met every day.",
            "And {hero} knew now how brave {hero.he} could be.",
            "They went home together and had some tea.",
            "And {hero} learned that helping others feels good.",
        ),
    ),
    (
        Ask("animal", "animal", ("Which animal was stuck?", "Which animal needed help?")),
        Ask("animal", "beast", ("Which animal was the pet of {hero}?", "What pet did {hero} have?")),
        Ask("place", "place.at", ("Where was the {animal}?", "Where was the {animal} stuck?")),
        Ask("feeling", "worry", ("How did {hero} feel?",)),
        Ask("feeling", "grief", ("How did the {animal} feel?",)),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("thing", "toy", ("What did {hero} use?", "What helped {hero} to free the {animal}?")),
    ),
)

PICNIC = Plot(
    "picnic",
    (
        OPENING_OF_TWO,
        (
            "One {weather} day, they had a picnic {place.at}.",
            'One morning, {friend} said, "Let us have a picnic!" So they met {place.at}.',
            "On a {weather} day, they wanted to eat outside, so they went to {place}.",
            "They sat down {place.at} to have lunch.",
        ),
        ON_THE_WAY,
        InAnyOrder(
            (
                (
                    "{hero} brought some {food}.",
                    '"I made {food}," said {hero}.',
                    "{hero} had a basket full of {food}.",
                    "Mom had given {hero} some {food}.",
                ),
                (
                    "{friend} brought some {snack}.",
                    '"I have {snack}," said {friend}.',
                    "{friend} had a bag full of {snack}.",
                    "Dad had given {friend} some {snack}.",
                ),
            )
        ),
        PARAGRAPH,
        (
            "While they were talking, {animal.a} came and ate all the {food}! {beast.A} saw it and laughed.",
            "Soon {beast.a} came to look. But it was {animal.a} that ate all the {food}!",
            "{animal.A} smelled the food. It ran up and ate the {food}, while {beast.a} slept under a tree.",
            "{beast.A} was singing nearby. Then {animal.a} jumped out and ate the {food}!",
        ),
        (
            '"Hey! That was ours!" said {hero}.',
            "They were so surprised that they could not speak.",
            '"Oh no!" said {friend}. "Stop!"',
            "The {animal} looked sorry.",
        ),
        (
            '"It is all right," said {friend}. "We can share the {snack}."',
            "But there was still a lot of {snack}, so everyone ate that.",
            "Then they shared the {snack} and nobody was hungry.",
            '"Next time, just ask," they said, and they shared the {snack}.',
        ),
        HAPPY_END,
    ),
    (
        Ask("food", "food", ("What did {hero} bring?", "Which food did {hero} bring?")),
        Ask("food", "snack", ("What did {friend} bring?", "Which food did {friend} bring?")),
        Ask("person", "hero", ("Who brought the {food}?", "Who had the {food}?")),
        Ask("person", "friend", ("Who brought the {snack}?", "Who had the {snack}?")),
        Ask("animal", "animal", ("Which animal ate the {food}?",)),
        Ask("food", "food", ("What did the {animal} eat?",)),
        Ask("place", "place.at", ("Where was the picnic?", "Where did they eat?")),
    ),
)

HIDING = Plot(
    "hide and seek",
    (
        OPENING_OF_TWO,
        (
            "One {weather} day, they played hide and seek with {animal.a}.",
            'One day, they met {animal.a}. "Let us play hide and seek!" it said.',
            "{animal.A} wanted to play with them. It closed its eyes and began to count.",
            'On a {weather} morning, their friend the {animal} said, "You hide, and I will find you!"',
        ),
        ON_THE_WAY,
        InAnyOrder(
            (
                (
                    "{hero} hid {place.at}.",
                    "{hero} ran away and hid {place.at}.",
                    "{place.At}, {hero} found a good place to hide.",
                    '"Nobody will look {place.at}," said {hero}, and hid there.',
                ),
                (
                    "{friend} hid {spot.at}.",
                    "{friend} went to hide {spot.at}.",
                    "{spot.At}, {friend} found a safe place to hide.",
                    '"I will be quiet {spot.at}," said {friend}, and hid there.',
                ),
            )
        ),
        PARAGRAPH,
        (
            "The {animal} looked and looked. At last it saw {toy.a_colored}. It belonged to {hero}!",
            "{hero} was not careful and dropped {toy.a_colored}. So the {animal} found {hero} first.",
            'After a while, the {animal} saw {hero} and {hero.his} {toy.colored}. "I see you!" it said.',
            "But {hero} had {toy.a_colored} that was easy to see.",
        ),
        (
            "{hero} was {mood}, and {friend} was {temper}.",
            "{friend} was {temper}, and {hero} was {mood}.",
            '{hero} felt {mood}. "I am {temper}," said {friend}.',
            '"I feel {mood}," said {hero}. {friend} felt {temper}.',
        ),
        (
            '"Let us play again!" said the {animal}.',
            "Then it was time for the {animal} to hide.",
            "They all giggled and giggled.",
            '"That was fun," said {friend}.',
        ),
        HAPPY_END,
    ),
    (
        Ask("place", "place.at", ("Where did {hero} hide?",)),
        Ask("place", "spot.at", ("Where did {friend} hide?",)),
        Ask("person", "hero", ("Who hid {place.at}?",)),
        Ask("person", "friend", ("Who hid {spot.at}?",)),
        Ask("animal", "animal", ("Which animal played with them?",)),
        Ask("feeling", "mood", ("How did {hero} feel?",)),
        Ask("feeling", "temper", ("How did {friend} feel?",)),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
    ),
)

SWAP = Plot(
    "swap",
    (
        OPENING,
        InAnyOrder(
            (
                (
                    "{hero} had {toy.a_colored}.",
                    "{hero} always played with {toy.a_colored}.",
                    "Every day, {hero} carried {toy.a_colored}.",
                ),
                (
                    "{hero.His} friend {friend} had {prize.a_colored}.",
                    "{friend}, who lived next door, had {prize.a_colored}.",
                    "A {friend.kid} named {friend} had {prize.a_colored}.",
                ),
            )
        ),
        PARAGRAPH,
        (
            "One day, they met {place.at}.",
            "On a {weather} day, the two of them sat {place.at}.",
            "One {weather} morning, {hero} saw {friend} {place.at}.",
        ),
        (
            '"May I have your {prize}?" asked {hero}. "Only if I may have your {toy}," said {friend}. They both said no.',
            '"I want your {toy}," said {friend}. "And I want your {prize}," said {hero}. But they did not want to share.',
            "{hero} wanted the {prize}, and {friend} wanted the {toy}. They both said no and turned away.",
            "They began to fight. {friend} pulled at the {toy}, and {hero} pulled at the {prize}.",
        ),
        (
            "{hero} was {worry} about it, and {friend} was {grief}.",
            "That made {friend} {grief} and {hero} {worry}.",
            "{hero} felt {worry}, but {friend} felt {grief}.",
        ),
        PARAGRAPH,
        (
            'Then a wise old {animal} said, "Share, and you will both have two things."',
            "{animal.A} came by and told them a story about sharing.",
            '{animal.A} sat under a tree and watched them. "How nice it is to have a friend!" it said.',
        ),
        HAPPY_END,
    ),
    (
        Ask("thing", "toy", ("What did {hero} have?", "Which thing did {hero} have at first?")),
        Ask("thing", "prize", ("What did {friend} have?", "Which thing did {friend} have at first?")),
        Ask("person", "hero", ("Who had the {toy}?", "Who had the {toy} at first?")),
        Ask("person", "friend", ("Who had the {prize}?", "Who had the {prize} at first?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("feeling", "worry", ("How did {hero} feel?",)),
        Ask("feeling", "grief", ("How did {friend} feel?",)),
        Ask("animal", "animal", ("Which animal was in the story?", "Which animal did they meet?")),
    ),
)

PAINTING = Plot(
    "painting",
    (
        OPENING_OF_TWO,
        (
            "One {weather} day, they found some paint {place.at}.",
            "One day, they went to {place} with pots of paint.",
            'On a {weather} day, they sat {place.at}. "Let us paint!" said {hero}.',
        ),
        ON_THE_WAY,
        InAnyOrder(
            (
                (
                    "{hero} painted {toy.a} {toy.color}.",
                    "{hero} took {toy.a} and painted it {toy.color}.",
                    "{hero} made {toy.a_colored}.",
                ),
                (
                    "{friend} painted {prize.a} {prize.color}.",
                    "{friend} took {prize.a} and painted it {prize.color}.",
                    "{friend} made {prize.a_colored}.",
                ),
            )
        ),
        PARAGRAPH,
        (
            "{animal.A} walked through the paint and left {count} spots on the floor.",
            "Then {animal.a} ran by. Now there were {count} spots on the floor!",
            "But {animal.a} jumped into the paint. It made {count} spots on the floor.",
            "A clumsy {animal} fell over a pot and made {count} spots.",
        ),
        (
            '"What a mess!" said {friend}. They cleaned it up together.',
            'Mom came in. "Oh dear!" she said. But then she smiled.',
            "{hero} and {friend} looked at the spots and laughed.",
            '"I am sorry," said the {animal}. "We will help you," said {hero}.',
        ),
        (
            "After that, {hero} ate some {food}, and {friend} ate some {snack}.",
            "Then Mom gave {friend} some {snack}. {hero} wanted {food}.",
            "For dinner, {hero} had {food}, and {friend} had {snack}.",
        ),
        HAPPY_END,
    ),
    (
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("color", "prize.color", ("What color was the {prize}?", "What was the color of the {prize}?")),
        Ask("thing", "toy", ("What did {hero} paint?", "What did {hero} make?")),
        Ask("thing", "prize", ("What did {friend} paint?", "What did {friend} make?")),
        Ask("person", "hero", ("Who painted the {toy}?", "Who made the {toy}?")),
        Ask("person", "friend", ("Who painted the {prize}?", "Who made the {prize}?")),
        Ask("count", "count", ("How many spots were there?",)),
        Ask("food", "food", ("What did {hero} eat?",)),
        Ask("food", "snack", ("What did {friend} eat?",)),
        Ask("animal", "animal", ("Which animal made the spots?", "Which animal made a mess?")),
    ),
)

MARKET = Plot(
    "market day",
    (
        OPENING,
        (
            "One {weather} day, {hero.he} went shopping with {hero.his} friend {friend}.",
            "One day, {hero.he} and {friend} had some coins to spend.",
            'One morning, Mom said to {hero} and {friend}, "Please go to the shop for me."',
        ),
        ON_THE_WAY,
        InAnyOrder(
            (
                (
                    "{hero} bought {count} {fruit}.",
                    '"{count.Cap} {fruit}, please," said {hero}.',
                    "{hero} paid for {count} {fruit}.",
                ),
                (
                    "{friend} bought {tally} {finds}.",
                    '"I would like {tally} {finds}," said {friend}.',
                    "{friend} paid for {tally} {finds}.",
                ),
            )
        ),
        (
            "They also got {toy.a_colored}.",
            "They saw {toy.a_colored} and got that too.",
            "The shopkeeper gave them {toy.a_colored} as a present.",
        ),
        PARAGRAPH,
        (
            "On the way home, the bag broke {place.at}, and everything fell out.",
            "But {place.at}, {friend} tripped, and everything fell to the ground.",
            'The bag was too heavy. {place.At}, it broke. "Oh no!" cried {friend}.',
        ),
        (
            "A kind {animal} helped them to pick it all up.",
            '{animal.A} saw it. "I will help you," it said.',
            "A big {animal} came and helped to carry everything home.",
        ),
        HAPPY_END,
    ),
    (
        Ask("count", "count", ("How many {fruit} did {hero} buy?", "How many {fruit} were there?")),
        Ask("count", "tally", ("How many {finds} did {friend} buy?", "How many {finds} were there?")),
        Ask("person", "hero", ("Who bought the {fruit}?", "Who paid for the {fruit}?")),
        Ask("person", "friend", ("Who bought the {finds}?", "Who paid for the {finds}?")),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("place", "place.at", ("Where did everything fall?", "Where did the things fall down?")),
        Ask("animal", "animal", ("Which animal helped them?",)),
        Ask("thing", "toy", ("What else did they get?", "Which thing did they get?")),
    ),
)

STORM = Plot(
    "lost in the storm",
    (
        (
            "One day, there was a big storm.",
            "Once upon a time, the wind was very strong.",
            "One evening, dark clouds came and it began to rain.",
        ),
        (
            "{hero} was {place.at}, and {friend} was {spot.at}.",
            "{friend} was {spot.at}, and {hero} was {place.at}.",
            "{hero} was playing {place.at}. Far away, {friend} was playing {spot.at}.",
        ),
        InAnyOrder(
            (
                ("{hero} felt {worry}.", '"I feel {worry}," said {hero}.', "{hero} was very {worry}."),
                ("{friend} felt {grief}.", '"I feel {grief}," said {friend}.', "{friend} was very {grief}."),
            )
        ),
        PARAGRAPH,
        InAnyOrder(
            (
                (
                    "{animal.A} showed {hero} the way home.",
                    '{animal.A} came to {hero} and said, "Follow me."',
                    "{hero} met {animal.a} that knew the way.",
                ),
                (
                    "{beast.A} showed {friend} the way home.",
                    '{beast.A} came to {friend} and said, "Come with me."',
                    "{friend} met {beast.a} that knew the way.",
                ),
            )
        ),
        (
            "Soon everyone was safe and warm.",
            "At last the rain stopped and the sun came out.",
            "They ran and ran until they were home.",
        ),
        (
            "Mom gave {hero} some {food}. {friend} got some {snack}.",
            "At home, {friend} had some {snack}, and {hero} had some {food}.",
            "{hero} ate some warm {food}, and {friend} ate some {snack}.",
        ),
        HAPPY_END,
    ),
    (
        Ask("place", "place.at", ("Where was {hero}?", "Where was {hero} when the storm came?")),
        Ask("place", "spot.at", ("Where was {friend}?", "Where was {friend} when the storm came?")),
        Ask("feeling", "worry", ("How did {hero} feel?", "How did {hero} feel in the storm?")),
        Ask("feeling", "grief", ("How did {friend} feel?", "How did {friend} feel in the storm?")),
        Ask("animal", "animal", ("Which animal helped {hero}?",)),
        Ask("animal", "beast", ("Which animal helped {friend}?",)),
        Ask("person", "hero", ("Who met the {animal}?", "Who was {worry}?")),
        Ask("person", "friend", ("Who met the {beast}?", "Who was {grief}?")),
        Ask("food", "food", ("What did {hero} eat?",)),
        Ask("food", "snack", ("What did {friend} eat?",)),
    ),
)

TREASURE = Plot(
    "treasure",
    (
        OPENING_OF_TWO,
        (
            "One {weather} day, they found an old map.",
            "One day, Grandpa gave them a map.",
            'One day, {hero} said, "Let us look for a treasure!"',
        ),
        ON_THE_WAY,
        (
            "They looked {place.at}, but there was nothing. Then they went to {spot} and dug.",
            "First they dug {place.at} and found only mud. So they tried again {spot.at}.",
            "{place.At}, there was nothing at all. Then {friend} had an idea: they should dig {spot.at}.",
        ),
        (
            "There was a box! In it were {count} {fruit} and {tally} {finds}.",
            "They pulled out a box with {tally} {finds} and {count} {fruit} in it.",
            '"A box!" cried {friend}. It was full: {count} {fruit} and {tally} {finds}.',
        ),
        (
            "Under them lay {toy.a_colored}, and {animal.a} was sleeping beside it.",
            "There was {toy.a_colored} too. It belonged to a little {animal}.",
            "Then {animal.a} came. It wanted only the {toy.colored} that was in the box.",
        ),
        PARAGRAPH,
        InAnyOrder(
            (
                ("{hero} kept the {fruit}.", "{hero} took the {fruit} home.", '"I like the {fruit}," said {hero}.'),
                (
                    "{friend} kept the {finds}.",
                    "{friend} took the {finds} home.",
                    '"I like the {finds}," said {friend}.',
                ),
            )
        ),
        ("They were rich now!", "What a treasure!", "It was fair, and nobody was sad.", ""),
        HAPPY_END,
    ),
    (
        Ask("place", "spot.at", ("Where was the box?", "Where did they find the treasure?")),
        Ask("count", "count", ("How many {fruit} were in the box?", "How many {fruit} were there?")),
        Ask("count", "tally", ("How many {finds} were in the box?", "How many {finds} were there?")),
        Ask("person", "hero", ("Who took the {fruit}?",)),
        Ask("person", "friend", ("Who took the {finds}?",)),
        Ask("color", "toy.color", ("What color was the {toy}?", "What was the color of the {toy}?")),
        Ask("animal", "animal", ("Which animal was in the story?", "Which animal did they meet?")),
    ),
)

PETS = Plot(
    "pets",
    (
        OPENING_OF_TWO,
        InAnyOrder(
            (
                (
                    "{hero} had {animal.a}.",
                    "{hero} had a pet {animal}.",
                    "{hero}'s pet was {animal.a}.",
                ),
                (
                    "{friend} had {beast.a}.",
                    "{friend} had a pet {beast}.",
                    "{friend}'s pet was {beast.a}.",
                ),
            )
        ),
        (
            "One {weather} day, both pets ran away!",
            'One morning, the pets were gone. "Where are they?" asked {friend}.',
            "One day, the door was open, and the pets ran off.",
        ),
        PARAGRAPH,
        InAnyOrder(
            (
                (
                    "The {animal} was {place.at}, eating {food}.",
                    "They saw the {animal} {place.at}. It was eating some {food}.",
                    "{place.At}, they found the {animal}. It had some {food} in its mouth.",
                ),
                (
                    "The {beast} was {spot.at}, eating {snack}.",
                    "They saw the {beast} {spot.at}. It was eating some {snack}.",
                    "{spot.At}, they found the {beast}. It had some {snack} in its mouth.",
                ),
            )
        ),
        (
            "{hero} was {mood}, and {friend} was {temper}.",
            "{friend} was {temper}, and {hero} was {mood}.",
            '"I feel {mood}," said {hero}. "I feel {temper}," said {friend}.',
        ),
        (
            '"Please do not run away again," they said.',
            "They gave both pets a big hug.",
            "Then all four went home.",
            "The pets were sorry and stayed close.",
        ),
        HAPPY_END,
    ),
    (
        Ask("animal", "animal", ("Which animal did {hero} have?", "What pet did {hero} have?")),
        Ask("animal", "beast", ("Which animal did {friend} have?", "What pet did {friend} have?")),
        Ask("place", "place.at", ("Where was the {animal}?", "Where did they find the {animal}?")),
        Ask("place", "spot.at", ("Where was the {beast}?", "Where did they find the {beast}?")),
        Ask("food", "food", ("What did the {animal} eat?",)),
        Ask("food", "snack", ("What did the {beast} eat?",)),
        Ask("feeling", "mood", ("How did {hero} feel?",)),
        Ask("feeling", "temper", ("How did {friend} feel?",)),
        Ask("person", "hero", ("Who had the {animal}?", "Who felt {mood}?")),
        Ask("person", "friend", ("Who had the {beast}?", "Who felt {temper}?")),
    ),
)

PLOTS = (LOST, BIRTHDAY, GATHERING, RESCUE, PICNIC, HIDING, SWAP, PAINTING, MARKET, STORM, TREASURE, PETS)
