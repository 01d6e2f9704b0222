"""Whatever core can say has its Chinese, and is known again when it comes with its values filled in."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from string import Formatter

import compresslab
import compresslab_dashboard
import pytest
from compresslab.errors import BadInput
from compresslab.models.source import read_config
from compresslab.recipes.method import METHODS
from compresslab.recipes.recipe import Recipe
from compresslab_dashboard.texts import words_of
from compresslab_dashboard.texts.sentences import Catalogue, _literals
from compresslab_dashboard.texts.zh.sentences import SENTENCES, SYSTEM, WORDS, exports, models, recipes, runs, runtimes

from tests.core_sentences import spoken, words_in

CORE, PAGES = Path(compresslab.__file__).parent, Path(compresslab_dashboard.__file__).parent
AREAS = (recipes, models, runs, runtimes, exports)
# Files whose words reach a terminal or a file, never a page.
ELSEWHERE = {"launcher.py", "sign_in.py", "card.py", "run_onnx.py"}
TERMINAL = {"commands", "migrations"}
# What is no prose: code to copy, names of programs with their version, needles in what others say, keys of caches.
NO_PROSE = {
    "Export of compresslab",
    "Gemma 2",
    "Gemma 3 (text)",
    "GPTQModel {}",
    "RunRecord | str",
    "block influence",
    "can't allocate memory",
    "connection failed",
    "disk I/O error",
    "disk is full",
    "factor {}",
    "failed to resolve",
    "inputs {}",
    "llama-cpp-python {}",
    "low rank",
    "measured loss",
    "model name",
    "not a database",
    "not enough memory",
    "onnxruntime {}",
    "transformers {}",
    "unable to open",
    "{}.overrides {}",
}


def core_files() -> list[Path]:
    found = CORE.rglob("*.py")
    return sorted(path for path in found if path.name not in ELSEWHERE and not TERMINAL & set(path.parts))


def all_spoken() -> dict[str, str]:
    return spoken(iter(core_files())) | spoken(PAGES.rglob("*.py"), only_refusals=True)


def holes(template: str) -> int:
    return len(_literals(template)) - 1


def test_every_sentence_has_its_chinese() -> None:
    missing = {text: where for text, where in all_spoken().items() if text not in SENTENCES and text not in NO_PROSE}
    listed = "\n".join(f"  {where}: {text!r}" for text, where in missing.items())
    assert not missing, f"Write the Chinese of these in dashboard/texts/zh/sentences/:\n{listed}"
    assert len(SENTENCES) > 250


def test_no_sentence_has_two_entries_and_none_is_dead() -> None:
    times = Counter(text for area in AREAS for text in area.SENTENCES)
    assert [text for text, count in times.items() if count > 1] == []
    everything = all_spoken()
    assert [text for text in SENTENCES if text not in everything] == [], "core does not say these any more"
    assert [text for text in NO_PROSE if text not in everything] == []
    names = words_in(iter(core_files()))
    assert [word for word in WORDS if word.removesuffix(" {}").removesuffix(",") not in names] == []
    assert set(SYSTEM) <= {os.strerror(code) for code in errno.errorcode}


def test_both_languages_have_the_same_holes() -> None:
    for text, chinese in SENTENCES.items():
        names = [name for _, name, _, _ in Formatter().parse(chinese) if name is not None]
        assert names == [""] * holes(text) or sorted(names) == [str(place) for place in range(holes(text))], text
        assert re.search("[\u4e00-\u9fff]", chinese) or text == "MatMul float32"


def test_every_sentence_is_known_again_with_values_in_it() -> None:
    for text, chinese in SENTENCES.items():
        values = [f"<{place}>" for place in range(holes(text))]
        assert words_of("zh").said(text.format(*values)) == chinese.format(*values)
        assert words_of("en").said(text.format(*values)) == text.format(*values)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as refused:
        act()
    return words_of("zh").said(str(refused.value))


def test_what_core_really_says(tmp_path: Path) -> None:
    """Sentences within sentences, kinds of settings, lists."""
    assert refusal(lambda: METHODS["quantize_rtn"].parse({"bits": 99}, "quantize_rtn")) == (
        "quantize_rtn.bits 是 99；应为2 到 8 的整数。"
    )
    assert refusal(lambda: METHODS["prune_wanda"].parse({"ratios": "x"}, "prune_wanda")) == (
        "prune_wanda.ratios 是 'x'；应为以下之一：uniform、global、outliers。"
    )
    assert refusal(lambda: Recipe.from_yaml("model: [")).startswith("配方不是有效的 YAML（第 1 行）：")
    assert refusal(lambda: Recipe.from_dict({"model": "m", "steps": ["nothing"]})).startswith(
        "没有名为 'nothing' 的方法；"
    )
    assert refusal(lambda: read_config(tmp_path, "mine")) == (
        f"mine 的文件夹 {tmp_path} 里没有 config.json；请给出 Hugging Face 检查点的文件夹。"
    )


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("The worker that ran it is gone; submit it again.", "执行它的工作进程已经不在；请重新提交。"),
        (
            "The process that did the work crashed (SIGSEGV); see child.log.",
            "执行的进程崩溃了（SIGSEGV）；详见 child.log。",
        ),
        (
            "Step 2: quantize_rtn stands after another quantize step; keep one of them.",
            "第 2 步：quantize_rtn 之前已有一个量化步骤；请只留一个。",
        ),
        (
            "Step 1: prune_layers does not know classifiers yet, and tiny is one of them; it works on models that "
            "write on and encoder-decoders.",
            "第 1 步：prune_layers 还不支持分类模型，而 tiny 正是这一类；它适用于续写文本的模型、编码器—解码器模型。",
        ),
        ("bundled stories, context 256", "自带的故事，上下文 256"),
        (
            "onnxruntime, MatMulNBits int4 group 32, int8 activations",
            "onnxruntime，MatMulNBits int4 每组 32 个，int8 激活",
        ),
        (
            "torch, MatMulNBits int4 per row, int8 activations and MatMul float32",
            "torch，MatMulNBits int4 逐行，int8 激活、MatMul float32",
        ),
        (
            "prune_layers removed layers 3, 5 of 8, counted from 0.",
            "prune_layers 从 8 层中去掉了：第 3、5 层（从 0 数起）。",
        ),
        ("the machine was busy; 3 bits run in the 4-bit kernel", "机器当时很忙；3 位在 4 位内核中运行"),
        (
            "layers.0.q: the statistics of its input needed 4 times the dampening.",
            "layers.0.q：其输入的统计量用了 4 倍的阻尼。",
        ),
        (
            "The data folder /x can't be made (permission denied); set COMPRESSLAB_HOME to another.",
            "建不了数据文件夹 /x（没有权限）；请把 COMPRESSLAB_HOME 设为别处。",
        ),
        ("There is no cuda device here; use mps or cpu, or auto.", "这里没有 cuda 设备；请用 mps 或 cpu，或自动。"),
        ("Once upon a time, Tom and Sam met a fox.", "Once upon a time, Tom and Sam met a fox."),
        ("", ""),
    ],
)
def test_what_is_put_together_is_taken_apart(english: str, chinese: str) -> None:
    assert words_of("zh").said(english) == chinese


def test_values_are_never_taken_for_holes() -> None:
    catalogue = Catalogue({"There is no {}.": "没有 {}。"}, {})
    assert catalogue.said("There is no {0}{x}.") == "没有 {0}{x}。"
