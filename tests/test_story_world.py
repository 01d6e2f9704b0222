import random
import re
from itertools import islice
from pathlib import Path

import pytest

from scripts.storyteller.corpus import ANSWER_WEIGHT, Corpus, Mix, read_texts, tokenizer_sample
from scripts.storyteller.evaluation_files import (
    EARLIER,
    QUESTIONS_A_KIND,
    calibration_stories,
    evaluation_files,
    held_out_questions,
    held_out_stories,
)
from scripts.storyteller.measures import (
    accuracy,
    accuracy_by_kind,
    contested_questions,
    guess_frequent,
    mentioned_guess_accuracy,
)
from scripts.storyteller.plots import PLOTS
from scripts.storyteller.stories import CHOICES, facts_of, is_held_out, tell, tell_stories
from scripts.storyteller.tales import TALES
from scripts.storyteller.tokenizer import SEPARATOR, train_tokenizer
from scripts.storyteller.world import ANSWERS, draw_cast

EVALUATION = Path(__file__).parents[1] / "assets" / "evaluation"


@pytest.fixture(scope="module")
def stories():
    return list(islice(tell_stories(seed=5, held_out=False, plots=TALES + PLOTS), 1800))


def test_the_same_seed_tells_the_same_stories():
    first, second = (list(islice(tell_stories(seed=7, held_out=True), 20)) for _ in range(2))
    assert first == second
    assert first != list(islice(tell_stories(seed=8, held_out=True), 20))


def test_sentences_are_well_formed(stories):
    for story in stories:
        assert story.text.isascii()
        assert not re.search(r"[{}]|  | [.,!?]|\n\n\n", story.text), story.text
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", story.text), story.text
        after_speech = re.sub(r'[!?]" [a-z]', "", story.text)
        assert not re.search(r'(^|[.!?]"? |\n)[a-z]', after_speech), story.text
        assert story.text.count('"') % 2 == 0


def test_every_telling_answers_every_question(stories):
    for story in stories:
        for question in story.questions:
            assert re.search(rf"\b{question.answer.split()[-1]}\b", story.text, re.IGNORECASE), (story.text, question)


def test_choices_are_different_and_hold_the_answer(stories):
    for story in stories:
        for question in story.questions:
            assert len(set(question.choices)) == CHOICES
            assert question.answer in question.choices
            wrong = set(question.choices) - {question.answer}
            told = [word for word in wrong if re.search(rf"\b{word.split()[-1]}\b", story.text, re.IGNORECASE)]
            assert told or not question.contested, (story.text, question)


def test_every_plot_and_every_kind_of_question_occurs(stories):
    assert {story.facts.split(":")[0] for story in stories} == {plot.name for plot in TALES + PLOTS}
    assert {question.kind for story in stories for question in story.questions} == set(ANSWERS)


def test_wording_does_not_move_a_story_across_the_partition():
    rng = random.Random(3)
    cast = draw_cast(rng)
    tellings = {tell(PLOTS[0], cast, rng) for _ in range(20)}
    assert len(tellings) > 10
    assert len({is_held_out(facts_of(PLOTS[0], cast)) for _ in tellings}) == 1


def test_training_never_sees_held_out_facts(stories):
    assert not any(is_held_out(story.facts) for story in stories + calibration_stories())
    assert all(is_held_out(story.facts) for story in held_out_stories())
    assert not {story.text for story in stories + calibration_stories()} & {story.text for story in held_out_stories()}


def test_every_evaluation_question_stands_on_held_out_facts():
    told = {story.text: story for story in islice(tell_stories(seed=20_002, held_out=True), 6000)}
    for question in held_out_questions():
        texts, asked = question["prompt"].rsplit("\n\n", 1)
        *before, story = told_in(texts, told)
        assert len(before) == EARLIER and all(is_held_out(each.facts) for each in (*before, story))
        text = asked.removeprefix("Question: ").removesuffix("\nAnswer:")
        assert story.could_be_asked(text) and not any(other.could_be_asked(text) for other in before)


def told_in(texts, told):
    """The stories of a prompt; a story may hold a paragraph break itself."""
    paragraphs, found = texts.split("\n\n"), []
    while paragraphs:
        ends = [end for end in range(1, len(paragraphs) + 1) if "\n\n".join(paragraphs[:end]) in told]
        found.append(told["\n\n".join(paragraphs[: ends[-1]])])
        paragraphs = paragraphs[ends[-1] :]
    return found


def test_wrong_choices_are_told_too():
    questions = held_out_questions()
    assert mentioned_guess_accuracy(questions) <= 0.55
    for question in questions:
        assert len(set(question["choices"])) == CHOICES


def test_the_evaluation_files_are_what_their_seed_tells():
    for name, text in evaluation_files().items():
        assert (EVALUATION / name).read_text(encoding="utf-8") == text, name


def test_no_guesser_gets_far():
    questions = held_out_questions()
    guesses = guess_frequent(questions)
    assert accuracy(questions, guesses) < 0.40
    assert max(accuracy_by_kind(questions, guesses).values()) < 0.50
    assert {question["kind"] for question in questions} == set(ANSWERS)
    assert len(questions) == QUESTIONS_A_KIND * len(ANSWERS)


def test_the_card_also_asks_what_is_hard():
    questions = contested_questions(20)
    assert mentioned_guess_accuracy(questions) <= 0.50
    assert {question["kind"] for question in questions} == set(ANSWERS)


def test_texts_are_parted_cleaned_and_told_once(tmp_path):
    long = "Once upon a time there was a " + "very " * 30
    (tmp_path / "a.txt").write_text(f"{long}good dog.\n{long}\u201cbad\u201d cat.\n", encoding="utf-8")
    parted = SEPARATOR.join([f"{long}good dog.\n", f"\n{long}caf\u00e9.\n", "\nShort."])
    (tmp_path / "b.txt").write_text(parted, encoding="utf-8")
    assert read_texts(tmp_path) == [f"{long}good dog.", f'{long}"bad" cat.']


def test_rows_are_full_and_weigh_answers_more():
    texts = ["A real story about " + " and ".join(["nothing"] * 200)]
    tokenizer = train_tokenizer(tokenizer_sample(texts, 200, seed=1), 512, 512)
    corpus = Corpus(tokenizer, texts, seed=1)
    tokens, weights = corpus.batch(20, 512, Mix(contested=0.2, texts=0.3))
    assert tokens.shape == weights.shape == (20, 513)
    assert set(weights.unique().tolist()) == {1.0, ANSWER_WEIGHT}
    assert corpus.read["texts"] / sum(corpus.read.values()) == pytest.approx(0.3, abs=0.03)
    began_without = [row[0] != tokenizer.bos_token_id for row in tokens]
    assert any(began_without) and not all(began_without)
