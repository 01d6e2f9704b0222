"""Chats: the very ids that transformers sends, several templates, and what is said of those that do not work."""

import json
import shutil

import pytest
from click.testing import CliRunner
from compresslab import generate
from compresslab.commands.main import cli
from compresslab.data.conversations import Conversation, Turn, parse_turns
from compresslab.engine.models.chat import conversation_ids
from compresslab.engine.session import shared_session
from compresslab.errors import BadInput
from compresslab.models.chat_templates import read_chat_templates
from compresslab.models.facts import read_facts
from compresslab.recipes.generation_request import Chat, Decoding, GenerateRequest, Pane
from transformers import AutoTokenizer

CHATML = (
    "{% for message in messages %}<{{ message['role'][0] }}>{{ message['content'] | trim }}<|endoftext|>\n{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)
SHORT = "{{ messages[-1]['content'] }}\nA:"
FAILS = "{{ raise_exception('Roles must be knights and knaves.') }}"
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who had a red kite?"},
    {"role": "assistant", "content": " Mia. "},
    {"role": "user", "content": "And a <b>hat</b>?"},
]
SHORTLY = Decoding(max_new_tokens=6)


@pytest.fixture
def chatty(tiny_folders, tmp_path):
    """A folder of a tiny model, whose tokenizer has no template yet."""
    folder = tmp_path / "chatty"
    shutil.copytree(tiny_folders["llama"], folder)
    return folder


def configured(folder, said):
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": said}))


def in_config(folder):
    configured(folder, CHATML)


def named_in_config(folder):
    configured(folder, [{"name": "short", "template": SHORT}, {"name": "default", "template": CHATML}])


def in_files(folder):
    configured(folder, SHORT)  # which files take the place of
    (folder / "chat_template.jinja").write_text(CHATML)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "short.jinja").write_text(SHORT)


def ids(folder, messages=MESSAGES, template=None):
    model = shared_session()._resolve(str(folder))
    return conversation_ids(model, Conversation(parse_turns(messages), template))


@pytest.mark.parametrize("put", [in_config, named_in_config, in_files])
def test_ids_are_those_of_transformers(chatty, put):
    put(chatty)
    tokenizer = AutoTokenizer.from_pretrained(chatty)
    own = tokenizer.chat_template
    assert dict(read_chat_templates(chatty).named) == (own if isinstance(own, dict) else {"default": own})
    for name in (None, *read_facts(str(chatty)).chat.names):
        chosen = None if name == "default" else name
        plain = tokenizer.apply_chat_template(
            MESSAGES, chat_template=chosen, add_generation_prompt=True, return_dict=False
        )
        assert ids(chatty, template=name) == plain
    assert ids(chatty) == tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=False)


def test_the_template_of_a_processor_counts_where_there_is_no_other(chatty):
    (chatty / "chat_template.json").write_text(json.dumps({"chat_template": SHORT}))
    assert read_facts(str(chatty)).chat.names == ("default",)
    assert ids(chatty) == AutoTokenizer.from_pretrained(chatty)("And a <b>hat</b>?\nA:").input_ids


def test_an_edited_template_is_another_model(chatty):
    in_files(chatty)
    before = read_facts(str(chatty)).digest
    (chatty / "additional_chat_templates" / "short.jinja").write_text(SHORT + " ")
    assert read_facts(str(chatty)).digest != before


def test_a_chat_is_the_default_where_there_is_a_template(chatty, tiny_folders):
    in_config(chatty)
    asked, continued = (generate(str(chatty), "Mia had a", SHORTLY, chat=chat) for chat in (None, False))
    assert asked == generate(str(chatty), [{"role": "user", "content": "Mia had a"}], SHORTLY)
    assert asked == generate(str(chatty), "<u>Mia had a<|endoftext|>\n<a>", SHORTLY, chat=False)
    assert continued == generate(str(tiny_folders["llama"]), "Mia had a", SHORTLY) != asked


def test_every_pane_goes_on_from_its_own_answers(chatty):
    in_config(chatty)
    earlier = [(*parse_turns(MESSAGES[1:2]), Turn(role="assistant", content=said)) for said in ("Mia.", "Tom")]
    panes = [Pane(label="b", source="baseline", model=str(chatty), earlier=turns) for turns in earlier]
    request = GenerateRequest(prompt="And a hat?", panes=panes, decoding=SHORTLY, chat=Chat(system="Be brief."))
    events = []
    shared_session().generate(request, report=events.append, cancelled=lambda: False)
    answers = [event.text for event in events if event.kind == "pane_done"]
    expected = [
        generate(
            str(chatty),
            [MESSAGES[0], *(turn.model_dump() for turn in turns), {"role": "user", "content": "And a hat?"}],
            SHORTLY,
        )
        for turns in earlier
    ]
    assert answers == expected


def test_the_command_takes_system_and_template(chatty):
    named_in_config(chatty)

    def told(*more):
        ran = CliRunner().invoke(
            cli,
            ["generate", str(chatty), "--prompt", "Who?", "--set", "max_new_tokens=6", "--json", *more],
            catch_exceptions=False,
        )
        return json.loads(ran.stdout)

    turns = [MESSAGES[0], {"role": "user", "content": "Who?"}]
    assert told("--system", "Be brief.")["panes"][0]["text"] == generate(str(chatty), turns, SHORTLY)
    assert told("--template", "short")["panes"][0]["text"] == generate(str(chatty), "Who?\nA:", SHORTLY, chat=False)
    assert told("--plain")["chat"] is None
    assert told()["chat"] == {"system": "", "template": None}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (FAILS, "Roles must be knights"),
        ("{% for message in messages %}", "endfor"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ messages[0]['content'] + 1 }}", "str"),
    ],
)
def test_a_template_that_fails_is_one_sentence(chatty, template, said):
    configured(chatty, template)
    with pytest.raises(BadInput, match="can't render this conversation") as refused:
        ids(chatty)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([], "chat.no_question"),
        (MESSAGES[:1], "chat.no_question"),
        (MESSAGES[:3], "chat.no_question"),
        (MESSAGES[2:], "chat.not_alternating"),
        ([MESSAGES[1], MESSAGES[1]], "chat.not_alternating"),
        ([*MESSAGES[1:3], MESSAGES[0], MESSAGES[3]], "chat.not_alternating"),
        ([{"role": "wizard", "content": "x"}], "chat.no_message"),
        ([{"role": "user"}], "chat.no_message"),
        (["Who?"], "chat.no_message"),
    ],
)
def test_a_conversation_that_is_none_is_refused(messages, code):
    with pytest.raises(BadInput) as refused:
        Conversation(parse_turns(messages))
    assert refused.value.message.code == code


def test_what_is_not_there_is_not_taken_for_a_template(chatty, tiny_folders):
    in_config(chatty)
    with pytest.raises(BadInput, match="no chat template that is called rag; it has default"):
        generate(str(chatty), "Who?", SHORTLY, template="rag")
    with pytest.raises(BadInput, match="has no chat template; use plain text"):
        generate(str(tiny_folders["llama"]), "Who?", SHORTLY, chat=True)
    with pytest.raises(BadInput, match="belong to a chat"):
        generate(str(chatty), "Who?", SHORTLY, chat=False, system="Be brief.")


def test_a_link_among_the_templates_is_refused(chatty, tmp_path):
    (tmp_path / "secret").write_text("mine")
    (chatty / "additional_chat_templates").mkdir()
    (chatty / "additional_chat_templates" / "short.jinja").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="link"):
        read_facts(str(chatty))
